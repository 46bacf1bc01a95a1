"""What certificates must withstand: theft, renewal, lists and keys that are not as they should be."""

import hashlib
import shutil
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from network_kit import NetworkAgent, board_files

from deltann.core.errors import BoardError
from deltann.fleet.client import BoardClient
from deltann.fleet.credentials import Credentials, load_credentials
from deltann.fleet.pki import Authority, Role
from deltann_proto.v1 import agent_pb2 as pb
from deltann_proto.v1.agent_pb2_grpc import AgentStub

CALL_S = 10.0


@pytest.fixture
def authority(tmp_path) -> Authority:
    authority = Authority.init(tmp_path / "pki")
    authority.issue("kitchen", Role.BOARD)
    authority.issue("controller", Role.CONTROLLER)
    return authority


@pytest.fixture
def agent(serve, authority) -> NetworkAgent:
    return serve(board_files(authority))


def credentials(authority: Authority) -> Credentials:
    return load_credentials(authority.folder, "controller")


def channel(agent: NetworkAgent, authority: Authority, name: str) -> grpc.Channel:
    """A channel that asks no questions, as somebody else's program would open it."""
    issued = authority.find(name)
    secrets = grpc.ssl_channel_credentials(
        authority.ca_certificate.read_bytes(), issued.key.read_bytes(), issued.certificate.read_bytes()
    )
    return grpc.secure_channel(agent.address, secrets, [("grpc.ssl_target_name_override", "kitchen")])


def test_health_is_for_viewers_and_not_for_the_revoked(agent, authority):
    authority.issue("ada", Role.VIEWER)
    with channel(agent, authority, "ada") as open_channel:
        health = health_pb2_grpc.HealthStub(open_channel)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=CALL_S).status
        authority.revoke("ada")
        with pytest.raises(grpc.RpcError, match="the certificate of 'ada' is revoked") as caught:
            health.Check(health_pb2.HealthCheckRequest(), timeout=CALL_S)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_viewer_who_uploads_is_refused_in_words_however_much_he_sends(agent, authority):
    authority.issue("ada", Role.VIEWER)
    data = bytes(2**20)

    def parts():
        digest = hashlib.sha256(data).hexdigest()
        yield pb.UploadBlobRequest(header=pb.BlobHeader(lease_id="x", digest=digest, size_bytes=len(data)))
        for _ in range(64):
            yield pb.UploadBlobRequest(chunk=data)

    with channel(agent, authority, "ada") as open_channel:
        for call in (
            lambda stub: stub.UploadBlob(parts(), timeout=CALL_S),
            lambda stub: list(stub.RunTrial(pb.RunTrialRequest(), timeout=CALL_S)),
        ):
            with pytest.raises(grpc.RpcError, match="'ada' is a viewer") as caught:
                call(AgentStub(open_channel))
            assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_renewed_board_shows_its_new_certificate_without_a_restart(serve, authority, tmp_path):
    place = tmp_path / "etc"
    place.mkdir()
    files = {name: Path(shutil.copy(path, place)) for name, path in board_files(authority).items()}
    agent = serve(files)
    old = authority.find("kitchen")
    authority.renew("kitchen")
    shutil.copy(board_files(authority)["key"], place)  # half way: not this certificate's key
    async with BoardClient("kitchen", agent.address, credentials(authority)) as client:
        assert (await client.describe()).agent_pid == agent.process.pid
    for path in board_files(authority).values():
        shutil.copy(path, place)
    shutil.copy(authority.revocations, place)
    new = authority.find("kitchen")
    assert _shown(agent, authority) == new.fingerprint != old.fingerprint
    async with BoardClient("kitchen", agent.address, credentials(authority)) as client:
        assert (await client.describe()).agent_pid == agent.process.pid


async def test_a_key_that_becomes_readable_is_not_taken(serve, authority, tmp_path):
    place = tmp_path / "etc"
    place.mkdir()
    files = {name: Path(shutil.copy(path, place)) for name, path in board_files(authority).items()}
    agent = serve(files)
    old = authority.find("kitchen")
    authority.renew("kitchen")
    for path in board_files(authority).values():
        shutil.copy(path, place)
    files["key"].chmod(0o644)
    assert _shown(agent, authority) == old.fingerprint
    assert "the certificates stay as they were: the key" in agent.log.read_text()


async def test_who_has_the_key_of_a_revoked_board_cannot_stand_in_for_it(serve, authority, tmp_path):
    stolen = tmp_path / "stolen"
    stolen.mkdir()
    taken = {
        name: Path(shutil.copy(path, stolen))
        for name, path in board_files(authority).items()
        if name in {"certificate", "key"}
    }
    authority.revoke("kitchen")
    authority.renew("kitchen")
    real, thief = (
        serve(board_files(authority)),
        serve(board_files(authority) | taken),
    )
    with _Switch(real.port, thief.port) as switch, pytest.raises(BoardError, match=r"kitchen.*revoked"):
        async with BoardClient("kitchen", switch.address, credentials(authority)) as client:
            await client.describe()
    assert switch.connections > 1


async def test_a_board_whose_name_is_an_ip_address_is_known_by_it(serve, authority):
    authority.issue("10.0.0.9", Role.BOARD)
    agent = serve(board_files(authority, "10.0.0.9"))
    async with BoardClient("10.0.0.9", agent.address, credentials(authority)) as client:
        assert (await client.describe()).agent_pid == agent.process.pid


async def test_a_lost_board_is_told_in_words(agent, authority):
    async with BoardClient("kitchen", agent.address, credentials(authority)) as client:
        await client.describe()
        agent.stop()
        with pytest.raises(BoardError, match=rf"nobody answers at {agent.address}"):
            await client.describe()


async def test_a_lost_list_of_revocations_ends_all_trust(agent, authority):
    shown = credentials(authority)
    authority.revocations.unlink()
    with pytest.raises(BoardError, match=r"list of revoked certificates cannot be read.*empty file"):
        async with BoardClient("kitchen", agent.address, shown):
            pass


def test_files_that_do_not_belong_together_are_said_so(serve, authority):
    authority.issue("attic", Role.BOARD)
    with pytest.raises(RuntimeError, match=r"cannot be used together: one is no PEM file, or the key is not"):
        serve(board_files(authority) | {"key": authority.find("attic").key})


def test_python_3_13_accepts_the_certificates(agent, authority):
    shown = credentials(authority)
    context = ssl.create_default_context(cafile=str(shown.ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # its default
    context.load_cert_chain(shown.certificate, shown.key)
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", agent.port), timeout=CALL_S) as plain,
        context.wrap_socket(plain, server_hostname="kitchen") as secured,
    ):
        assert secured.recv(1)


def _shown(agent: NetworkAgent, authority: Authority) -> str:
    """Return the fingerprint of the certificate that a new connection is shown."""
    shown = credentials(authority)
    context = ssl.create_default_context(cafile=str(shown.ca))
    context.load_cert_chain(shown.certificate, shown.key)
    with (
        socket.create_connection(("127.0.0.1", agent.port), timeout=CALL_S) as plain,
        context.wrap_socket(plain, server_hostname="kitchen") as secured,
    ):
        return hashlib.sha256(secured.getpeercert(binary_form=True)).hexdigest()


class _Switch:
    """Somebody on the way: takes the first connection to one port, every later one to another."""

    def __init__(self, first: int, others: int) -> None:
        self._ports = (first, others)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self.connections = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.getsockname()[1]}"

    def __enter__(self) -> "_Switch":
        self._threads[0].start()
        return self

    def __exit__(self, *_) -> None:
        for one in (self._server, *self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._ports[min(self.connections, 1)]))
                self.connections += 1
                self._sockets += [near, far]
                pumps = [threading.Thread(target=_pump, args=ends) for ends in ((near, far), (far, near))]
                self._threads += pumps
                for pump in pumps:
                    pump.start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
