"""The network address of an agent: only with certificates on both sides."""

import logging
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

from deltann_agent.errors import StartError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Network:
    """Where to listen, and with which files.

    Attributes
    ----------
    address
        `host:port`.
    ca, certificate, key
        PEM files: the authority whose controllers may ask, this board's certificate, its key. Read again
        when they change, so that a renewed certificate needs no restart.
    revoked
        Fingerprints of certificates that are refused; None: there are none.
    """

    address: str
    ca: Path
    certificate: Path
    key: Path
    revoked: Path | None


def listen(server: grpc.aio.Server, network: Network) -> None:
    """Let the server listen there.

    Raises
    ------
    StartError
        If a file cannot be read, the key is readable by others, or the address is in use.
    """
    files = _Files(network)
    credentials = grpc.dynamic_ssl_server_credentials(
        files.read(),
        files.read_if_changed,  # type: ignore[arg-type]  # None is missing in the stubs
        require_client_authentication=True,
    )
    _try_address(network.address)
    try:
        server.add_secure_port(network.address, credentials)
    except RuntimeError as error:
        raise StartError(
            f"{network.certificate}, {network.key} and {network.ca} cannot be used together: one is no PEM "
            "file, or the key is not the certificate's. Put all three of one board there."
        ) from error


class _Files:
    """The three files, and whether they have changed since they were read."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._stamp: object = None

    def read(self) -> grpc.ServerCertificateConfiguration:
        self._stamp = self._look()
        _check_private(self._network.key)
        pair = (_read(self._network.key), _read(self._network.certificate))
        return grpc.ssl_server_certificate_configuration([pair], _read(self._network.ca))

    def read_if_changed(self) -> "grpc.ServerCertificateConfiguration | None":
        """Return what new connections are judged by; None: as before. gRPC asks at each, in any thread."""
        try:
            return None if self._look() == self._stamp else self.read()
        except (OSError, StartError) as error:
            _log.warning("the certificates stay as they were: %s", error)
            return None

    def _look(self) -> object:
        files = (self._network.ca, self._network.certificate, self._network.key)
        looks = [path.stat() for path in files if path.exists()]
        return [(look.st_mtime_ns, look.st_size, look.st_ino, look.st_mode) for look in looks]


def _try_address(address: str) -> None:
    """See that one can listen there: gRPC says on several lines of its own why it cannot."""
    host, _, port = address.rpartition(":")
    try:
        family, kind, _, _, place = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(place)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StartError(f"nobody can listen on {address}: {reason}. Name another --address.") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}.") from error


def _check_private(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}.") from error
    if mode & _OTHERS:
        raise StartError(
            f"the key {path} can be read by others (mode {stat.S_IMODE(mode):04o}). Run: chmod 600 {path}"
        )
