"""Mutual TLS between a host and a real agent on loopback: who gets in, and what the others are told."""

import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import grpc
import pytest
from network_kit import START_S, NetworkAgent, board_files, free_port

from deltann.core.errors import BoardError
from deltann.fleet import pki
from deltann.fleet.client import BoardClient, blob_of
from deltann.fleet.credentials import Credentials, load_credentials
from deltann.fleet.pki import Authority, Role


@pytest.fixture
def authority(tmp_path) -> Authority:
    authority = Authority.init(tmp_path / "pki")
    authority.issue("kitchen", Role.BOARD, ["127.0.0.1"])
    authority.issue("controller", Role.CONTROLLER)
    return authority


@pytest.fixture
def agent(serve, authority) -> NetworkAgent:
    return serve(board_files(authority))


def credentials(authority: Authority, name: str = "controller") -> Credentials:
    return load_credentials(authority.folder, name)


async def describe(agent: NetworkAgent, shown: Credentials, board: str = "kitchen"):
    async with BoardClient(board, agent.address, shown) as client:
        return await client.describe()


async def test_a_controller_uploads_and_a_viewer_only_looks(agent, authority, tmp_path):
    blob = tmp_path / "blob"
    blob.write_bytes(b"bytes")
    digest = "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9"
    async with (
        BoardClient("kitchen", agent.address, credentials(authority)) as client,
        client.lease() as lease,
    ):
        assert (await client.ship(lease, [blob_of(blob, digest)])).sent_bytes == 5
    authority.issue("ada", Role.VIEWER)
    assert (await describe(agent, credentials(authority, "ada"))).agent_pid == agent.process.pid
    async with BoardClient("kitchen", agent.address, credentials(authority, "ada")) as client:
        with pytest.raises(
            BoardError, match=r"'ada' is a viewer, who may look but not AcquireLease.*controller"
        ):
            async with client.lease():
                pass
    assert "refused AcquireLease" in agent.log.read_text()


async def test_a_revoked_certificate_is_refused_by_an_agent_that_runs(agent, authority):
    shown = credentials(authority)
    await describe(agent, shown)
    authority.revoke("controller")
    with pytest.raises(BoardError, match="the certificate of 'controller' is revoked"):
        await describe(agent, shown)
    with pytest.raises(BoardError, match=r"'controller' is revoked.*pki renew controller"):
        credentials(authority)
    authority.renew("controller")
    await describe(agent, credentials(authority))


async def test_a_revoked_board_is_refused_by_the_host(agent, authority):
    authority.revoke("kitchen")
    with pytest.raises(BoardError, match=r"board kitchen: its certificate is revoked.*pki renew kitchen"):
        await describe(agent, credentials(authority))


async def test_a_board_of_another_name_is_refused(agent, authority):
    with pytest.raises(BoardError, match=r"board attic.*another board's"):
        await describe(agent, credentials(authority), board="attic")


async def test_strangers_refuse_each_other(agent, authority, tmp_path):
    other = Authority.init(tmp_path / "other")
    other.issue("controller", Role.CONTROLLER)
    with pytest.raises(BoardError, match=r"board kitchen.*comes from another authority"):
        await describe(agent, credentials(other))
    # One who trusts the board, but whom the board does not know.
    impostor = replace(credentials(other), ca=authority.ca_certificate)
    with pytest.raises(BoardError, match=r"the board refused us: our certificate comes from an authority"):
        await describe(agent, impostor)


async def test_a_boards_certificate_is_none_to_ask_with(agent, authority):
    authority.issue("attic", Role.BOARD)
    with pytest.raises(BoardError, match=r"is a board's, with which nobody can ask"):
        credentials(authority, "attic")
    attic = authority.find("attic")
    shown = replace(credentials(authority), certificate=attic.certificate, key=attic.key)
    with pytest.raises(BoardError, match="the board refused us: our certificate may serve, but not ask"):
        await describe(agent, shown)


@contextmanager
def issuing(monkeypatch, days: int):
    """Issue certificates as on a day so many days from now."""
    then = pki.datetime.now(pki.UTC) + timedelta(days=days)

    class Another(pki.datetime):
        @classmethod
        def now(cls, tz=None):
            return then

    with monkeypatch.context() as patch:
        patch.setattr(pki, "datetime", Another)
        yield


async def test_a_clock_that_is_behind_is_told_on_both_sides(agent, authority, monkeypatch, serve):
    # A board whose clock was lost lives before our certificate begins, as does a host before the board's.
    with issuing(monkeypatch, days=400):
        authority.issue("early", Role.CONTROLLER)
        authority.issue("attic", Role.BOARD)
    early = authority.find("early")
    shown = replace(credentials(authority), certificate=early.certificate, key=early.key)
    with pytest.raises(BoardError, match=r"the board refused us: .*or its clock is wrong"):
        await describe(agent, shown)
    attic = serve(board_files(authority, "attic"))
    with pytest.raises(BoardError, match=r"board attic.*not yet valid"):
        await describe(attic, credentials(authority), board="attic")


async def test_an_expired_certificate_is_told_on_both_sides(agent, authority, monkeypatch, serve):
    with issuing(monkeypatch, days=-400):
        authority.issue("old", Role.CONTROLLER)
        authority.issue("attic", Role.BOARD)
    with pytest.raises(BoardError, match=r"'old' expired on .* days ago.*pki renew old"):
        credentials(authority, "old")
    old = authority.find("old")
    shown = replace(credentials(authority), certificate=old.certificate, key=old.key)
    with pytest.raises(BoardError, match="the board refused us: our certificate has expired"):
        await describe(agent, shown)
    attic = serve(board_files(authority, "attic"))
    with pytest.raises(BoardError, match=r"board attic.*its certificate has expired.*pki renew attic"):
        await describe(attic, credentials(authority), board="attic")


async def test_nobody_and_no_tls_are_told_apart(authority):
    port = free_port()
    with pytest.raises(BoardError, match=rf"nobody answers at 127.0.0.1:{port}.*refused"):
        async with BoardClient("kitchen", f"127.0.0.1:{port}", credentials(authority)):
            pass
    with socket.create_server(("127.0.0.1", 0)) as plain:
        plain.settimeout(START_S)
        port = plain.getsockname()[1]

        def answer():
            with plain.accept()[0] as peer:
                peer.sendall(b"hello, who is it?\r\n")

        speaking = threading.Thread(target=answer)
        speaking.start()
        with pytest.raises(BoardError, match="does not speak TLS"):
            async with BoardClient("kitchen", f"127.0.0.1:{port}", credentials(authority)):
                pass
        speaking.join()


async def test_without_certificates_nothing_is_said_to_a_network(agent):
    with pytest.raises(BoardError, match=r"only spoken to with certificates.*pki init"):
        BoardClient("kitchen", agent.address)
    async with grpc.aio.insecure_channel(agent.address) as channel:
        from deltann_proto.v1 import agent_pb2 as pb
        from deltann_proto.v1.agent_pb2_grpc import AgentStub

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await AgentStub(channel).Describe(pb.DescribeRequest(), timeout=5)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def serve(*words: str, timeout_s: float = START_S) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "deltann_agent", "serve", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def test_an_agent_without_certificates_does_not_listen(tmp_path):
    ended = serve("--address", "127.0.0.1:0", "--store", str(tmp_path))
    assert ended.returncode == 2
    assert "only with certificates: --ca, --certificate, --key missing" in ended.stderr


def test_a_key_that_others_can_read_is_refused(tmp_path, authority):
    files = board_files(authority)
    files["key"].chmod(0o644)
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    ended = serve("--address", f"127.0.0.1:{free_port()}", "--store", str(tmp_path / "s"), *options)
    assert ended.returncode == 6
    assert "can be read by others (mode 0644). Run: chmod 600" in ended.stderr


def test_two_agents_do_not_share_a_port(agent, authority, tmp_path):
    options = [word for name, path in board_files(authority).items() for word in (f"--{name}", str(path))]
    ended = serve("--address", agent.address, "--store", str(tmp_path / "s"), *options)
    assert ended.returncode == 6
    assert f"nobody can listen on {agent.address}" in ended.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"adress": "x:1"}', "unknown key 'adress'; known are address"),
        ("[", "is no configuration"),
        ("[]", "is no JSON object"),
        ('{"quota": "many"}', "quota: must be a whole number"),
        ('{"store": "s"}', "say where to serve"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(tmp_path, text, words):
    (tmp_path / "agent.json").write_text(text)
    ended = serve("--config", str(tmp_path / "agent.json"))
    assert ended.returncode == 2
    assert words in ended.stderr
