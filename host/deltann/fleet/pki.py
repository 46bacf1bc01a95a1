"""Certificates of the fleet: an authority on this host, and what it has issued.

A folder holds `ca.pem`, `ca.key`, `revoked`, and `issued/NAME/` with `certificate.pem`, `key.pem` and older
certificates of the same name. Only `ca.pem`, `revoked` and a board's own two files ever go to that board.
"""

import contextlib
import fcntl
import ipaddress
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from platformdirs import user_config_path

from deltann.core.errors import BoardError

PKI_VARIABLE = "DELTANN_PKI"
ROLE_DOMAIN = "role.deltann"
"""A certificate's role is the name `ROLE.role.deltann` among its alternative names: agents read it there."""
CA_DAYS = 3650
LEAF_DAYS = 365
CLOCK_SKEW = timedelta(hours=1)
_NAME = re.compile(r"(?=.{1,63}$)[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")


class Role(StrEnum):
    """What a certificate is for: a board serves, a controller does everything, a viewer looks."""

    BOARD = "board"
    CONTROLLER = "controller"
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate.

    Attributes
    ----------
    state
        `valid`, `expired` or `revoked`.
    fingerprint
        sha256 of the certificate's DER, hexadecimal.
    """

    name: str
    role: Role
    addresses: tuple[str, ...]
    not_after: datetime
    state: str
    fingerprint: str
    certificate: Path
    key: Path


def pki_folder() -> Path:
    """Return the usual folder: DELTANN_PKI, else in the user's configuration."""
    named = os.environ.get(PKI_VARIABLE)
    return Path(named) if named else user_config_path("deltann") / "pki"


class Authority:
    """The certificate authority in a folder.

    Parameters
    ----------
    folder
        As `init` made it.

    Raises
    ------
    BoardError
        If there is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not self.ca_certificate.is_file():
            raise BoardError(
                "there are no certificates here", where=str(folder), hint="Run: deltann pki init"
            )

    @classmethod
    def init(cls, folder: Path) -> "Authority":
        """Make a new authority.

        Raises
        ------
        BoardError
            If there is something in the folder already, or it cannot be written.
        """
        if (folder / "ca.pem").exists() or (folder / "ca.key").exists():
            raise BoardError(
                "there is an authority here already; a new one would make every board a stranger",
                where=str(folder),
                hint="Name another folder with --pki, or remove this one by hand",
            )
        _make_folder(folder)
        if any(folder.iterdir()):
            raise BoardError("this folder is not empty", where=str(folder), hint="Name a new one with --pki")
        folder.chmod(0o700)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "deltann authority")])
        builder = (
            _builder(name, name, key, datetime.now(UTC) + timedelta(days=CA_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(_authority_key(key), critical=False)
        )
        _write(folder / "ca.key", _key_bytes(key), 0o600)
        _write(folder / "ca.pem", _pem(builder.sign(key, hashes.SHA256())), 0o644)
        _write(folder / "revoked", b"", 0o644)
        return cls(folder)

    @property
    def ca_certificate(self) -> Path:
        """What everybody trusts."""
        return self.folder / "ca.pem"

    @property
    def revocations(self) -> Path:
        """A line for each revoked certificate: fingerprint, name, day."""
        return self.folder / "revoked"

    def issue(self, name: str, role: Role, addresses: Sequence[str] = (), days: int = LEAF_DAYS) -> Issued:
        """Return a new certificate with its key.

        Parameters
        ----------
        name
            A board's name in the inventory, or a person's.
        addresses
            Host names and IP addresses that the certificate also names; identity is the name alone.

        Raises
        ------
        BoardError
            If the name is none, or has a valid certificate already.
        """
        _check_name(name)
        with self._alone():
            self._check_new(name)
            return self._issue(name, role, tuple(addresses), days)

    def renew(self, name: str, days: int = LEAF_DAYS) -> tuple[Issued, Issued]:
        """Return the certificate of a name and its new one, with another key; the old one stays valid.

        Raises
        ------
        BoardError
            If the name has none.
        """
        with self._alone():
            old = self._known(name)
            return old, self._issue(name, old.role, old.addresses, days)

    def revoke(self, name: str) -> tuple[Issued, ...]:
        """Revoke every certificate that the name ever had and that could still be used; return those.

        Raises
        ------
        BoardError
            If the name has none.
        """
        with self._alone():
            self._known(name)
            dead = tuple(issued for issued in self._all_of(name) if issued.state == "valid")
            today = datetime.now(UTC).date().isoformat()
            lines = "".join(f"{one.fingerprint} {name} {today}\n" for one in dead)
            _write(self.revocations, self.revocations.read_bytes() + lines.encode(), 0o644)
            return dead

    def find(self, name: str) -> Issued | None:
        """Return the newest certificate of a name, None when it has none."""
        path = self._place(name) / "certificate.pem"
        return self._read(path) if path.is_file() else None

    def all(self) -> tuple[Issued, ...]:
        """Return the newest certificate of every name, by name."""
        found = (self.find(place.name) for place in sorted((self.folder / "issued").glob("*")))
        return tuple(issued for issued in found if issued is not None)

    def _check_new(self, name: str) -> None:
        for present in self.all():
            # A handshake compares names without case: one must not pass for the other.
            if present.name.lower() == name.lower() and (present.state == "valid" or present.name != name):
                raise BoardError(
                    f"{present.name} has a certificate that is valid until {present.not_after:%Y-%m-%d}",
                    where=str(self.folder),
                    hint=f"Run: deltann pki renew {present.name}",
                )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes out: a playbook may issue for many boards at once."""
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _known(self, name: str) -> Issued:
        issued = self.find(name)
        if issued is None:
            names = ", ".join(one.name for one in self.all()) or "nobody"
            raise BoardError(
                f"{name!r} has no certificate", where=str(self.folder), hint=f"These have one: {names}"
            )
        return issued

    def _all_of(self, name: str) -> list[Issued]:
        return [
            self._read(path) for path in sorted(self._place(name).glob("*.pem")) if path.name != "key.pem"
        ]

    def _place(self, name: str) -> Path:
        return self.folder / "issued" / name

    def _issue(self, name: str, role: Role, addresses: tuple[str, ...], days: int) -> Issued:
        ca = x509.load_pem_x509_certificate(self.ca_certificate.read_bytes())
        ca_key = _load_key(self.folder / "ca.key")
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if role is Role.BOARD else ExtendedKeyUsageOID.CLIENT_AUTH
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(subject, ca.subject, key, _end(ca, days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
            .add_extension(_alternative_names(name, role, addresses), critical=False)
            .add_extension(_authority_key(ca_key), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        place = self._place(name)
        _make_folder(place)
        present = place / "certificate.pem"
        if present.is_file():
            present.rename(place / f"old-{_fingerprint(_load(present))[:16]}.pem")
        _write(place / "key.pem", _key_bytes(key), 0o600)
        _write(present, _pem(certificate), 0o644)
        return self._read(present)

    def _read(self, path: Path) -> Issued:
        certificate = _load(path)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        texts = [str(name.value) for name in names]
        role = next(text for text in texts if text.endswith(f".{ROLE_DOMAIN}"))
        fingerprint = _fingerprint(certificate)
        return Issued(
            name=texts[0],
            role=Role(role.partition(".")[0]),
            addresses=tuple(text for text in texts[1:] if text != role),
            not_after=certificate.not_valid_after_utc,
            state=self._state(certificate, fingerprint),
            fingerprint=fingerprint,
            certificate=path,
            key=path.with_name("key.pem"),
        )

    def _state(self, certificate: x509.Certificate, fingerprint: str) -> str:
        if fingerprint in revoked_fingerprints(self.revocations):
            return "revoked"
        return "expired" if certificate.not_valid_after_utc < datetime.now(UTC) else "valid"


def revoked_fingerprints(path: Path) -> frozenset[str]:
    """Return the fingerprints in a list of revocations.

    Raises
    ------
    BoardError
        If there is no list: without it nobody can be trusted.
    """
    try:
        return frozenset(line.split()[0].lower() for line in path.read_text().splitlines() if line.strip())
    except (OSError, ValueError) as error:
        raise BoardError(
            f"the list of revoked certificates cannot be read: {error}",
            where=str(path),
            hint="Put it back; an empty file means that none is revoked",
        ) from error


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, end: datetime
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)  # boards without a clock battery wake up in the past
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _end(ca: x509.Certificate, days: int) -> datetime:
    """Return when a new certificate ends: with its authority at the latest."""
    left = ca.not_valid_after_utc - datetime.now(UTC)
    if left <= timedelta():
        raise BoardError(
            f"the authority expired on {ca.not_valid_after_utc:%Y-%m-%d}",
            hint="Make a new one in another folder (deltann pki init --pki) and take it to the boards",
        )
    return ca.not_valid_after_utc if days > left.days else datetime.now(UTC) + timedelta(days=days)


def _authority_key(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    # Python 3.13's default context refuses certificates without it.
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_names(name: str, role: Role, addresses: Sequence[str]) -> x509.SubjectAlternativeName:
    # The name comes first: `_read` finds it there. One that is an IP address is compared as such.
    role_name = x509.DNSName(f"{role.value}.{ROLE_DOMAIN}")
    others = [address for address in dict.fromkeys(addresses) if address != name]
    return x509.SubjectAlternativeName([_address_name(name), role_name, *map(_address_name, others)])


def _address_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        _check_name(address)
        return x509.DNSName(address)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name.lower().endswith(ROLE_DOMAIN):
        raise BoardError(
            f"{name!r} is no name for a certificate",
            hint="Use letters, digits, '-', '_' and single '.', at most 63, the first a letter or digit",
        )


def _load(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BoardError(f"this is no certificate: {error}", where=str(path)) from error


def check_private(path: Path) -> None:
    """See that a key is its owner's alone.

    Raises
    ------
    BoardError
        If others can read it.
    """
    if path.exists() and path.stat().st_mode & 0o077:
        raise BoardError(
            "others on this machine can read this key",
            where=str(path),
            hint=f"Run: chmod 600 {path}; if somebody did, revoke the certificate",
        )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    check_private(path)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise BoardError(
            f"the authority's key cannot be read: {error}",
            where=str(path),
            hint="Certificates can be issued only on the host that has it",
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BoardError("the authority's key is of another kind than deltann makes", where=str(path))
    return key


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BoardError(f"this folder cannot be made: {error.strerror}", where=str(folder)) from error


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write a file in whole, never readable by more than `mode` says, not for a moment."""
    partial = path.with_suffix(".partial")
    try:
        partial.unlink(missing_ok=True)
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:  # noqa: PTH123
            file.write(data)
        partial.replace(path)
    except OSError as error:
        raise BoardError(f"this file cannot be written: {error.strerror}", where=str(path)) from error
