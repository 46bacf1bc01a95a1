"""The agent as a process: start, end, what it refuses to share."""

import importlib.util
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deltann.core.errors import BoardError
from deltann.fleet.channel import BoardFullError
from deltann.fleet.client import BoardClient, blob_of
from deltann.fleet.local import LocalBoard
from deltann.fleet.status import local_status
from deltann_agent import cli
from deltann_proto.v1 import agent_pb2 as pb

IDLE_LIMIT_BYTES = 40 * 10**6
END_S = 10.0


def _is_here(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


async def test_it_describes_itself(agent, client):
    description = await client.stub.Describe(pb.DescribeRequest())
    assert description.agent_pid == agent.process.pid
    assert description.machine.architecture == os.uname().machine
    assert description.machine.memory_bytes > 0
    assert {runtime.name: runtime.available for runtime in description.runtimes} == {
        "tvm": True,
        "onnxruntime": True,
        "tflite": _is_here("ai_edge_litert") or _is_here("tflite_runtime"),
        "torch": _is_here("torch"),
        "tensorflow": _is_here("tensorflow"),
    }
    assert not description.HasField("lease_holder")


async def test_socket_and_store_are_for_the_owner_alone(agent, client):
    await client.lease()
    digest = await client.upload(b"blob")
    assert stat.S_IMODE(agent.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(agent.store.stat().st_mode) == 0o700
    assert stat.S_IMODE((agent.store / digest).stat().st_mode) == 0o600


def test_an_idle_agent_is_small(agent):
    assert psutil.Process(agent.process.pid).memory_info().rss <= IDLE_LIMIT_BYTES


@pytest.mark.parametrize("service", ["", "deltann.v1.Agent"])
def test_health_is_served(agent, service):
    with grpc.insecure_channel(f"unix:{agent.socket}") as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_and_removes_its_socket(agent, number):
    assert agent.stop(number) == 0
    assert not agent.socket.exists()


def test_a_socket_in_use_is_refused(agent, tmp_path):
    command = [*agent.command(), "--store", str(tmp_path / "other")]
    second = subprocess.run(command, capture_output=True, text=True, timeout=END_S, check=False)
    assert second.returncode == cli.EXIT_BOARD
    assert second.stderr.count("\n") == 1
    assert "socket in use" in second.stderr
    assert agent.process.poll() is None
    assert agent.socket.exists()


def test_a_store_in_use_is_refused_and_names_the_holder(agent, tmp_path):
    command = [*agent.command(), "--socket", str(tmp_path / "other.sock")]
    second = subprocess.run(command, capture_output=True, text=True, timeout=END_S, check=False)
    assert second.returncode == cli.EXIT_BOARD
    assert f"in use by the agent with pid {agent.process.pid}" in second.stderr
    assert not (tmp_path / "other.sock").exists()


def _refused(*options: str) -> str:
    command = [sys.executable, "-m", "deltann_agent", "serve", *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=END_S, check=False)
    assert result.returncode == cli.EXIT_BOARD
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    assert "is no socket" in _refused("--socket", str(path), "--store", str(tmp_path / "store"))
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["missing/agent.sock", "x" * 120])
def test_a_socket_that_cannot_be_made_is_refused(tmp_path, name):
    assert "cannot be made" in _refused("--socket", str(tmp_path / name), "--store", str(tmp_path / "store"))


def test_a_store_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    message = _refused("--socket", str(tmp_path / "a.sock"), "--store", str(tmp_path / "file" / "store"))
    assert "cannot be used" in message


def test_a_stale_socket_is_replaced(make_agent, tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "agent.sock"))
    assert make_agent().process.poll() is None


async def test_a_killed_agent_can_be_started_again_with_its_blobs(agent, client):
    await client.lease()
    digest = await client.upload(b"kept")
    (agent.store / ".incoming-left").write_text("half")
    agent.stop(signal.SIGKILL)
    agent.start()
    await client.lease("after the restart")
    assert await client.missing(digest) == []
    assert not (agent.store / ".incoming-left").exists()


@pytest.mark.parametrize("quota", ["x", "0", "-1", "1.5"])
def test_a_quota_that_is_none_is_refused_in_words(capsys, quota):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["serve", "--socket", "a.sock", "--store", "store", f"--quota={quota}"])
    assert f"must be a whole number of 1 or more, not '{quota}'" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "quota"), [([], 5000), (["--quota=10"], 10)])
def test_a_quota_comes_from_the_environment_unless_it_is_said(monkeypatch, words, quota):
    monkeypatch.setenv(cli.QUOTA_VARIABLE, "5000")
    said = ["serve", "--socket", "a.sock", "--store", "store", *words]
    assert cli._read_options(said).quota == quota


@pytest.mark.parametrize("address", ["foo", "example.org:80", "unix:/nowhere/agent.sock", "unix:"])
async def test_only_the_socket_of_an_agent_is_asked_for_its_status(address):
    with pytest.raises(BoardError, match="not the address of an agent that runs"):
        await local_status(address)


async def test_a_long_temporary_folder_is_no_place_for_a_socket(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    async with LocalBoard(tmp_path / "store") as board, board.connect() as client:
        assert (await client.describe()).agent_pid


async def test_a_full_store_is_said_as_such(make_agent, tmp_path):
    agent = make_agent("--quota", "10")
    (tmp_path / "blob").write_bytes(bytes(11))
    async with BoardClient("board", f"unix:{agent.socket}") as client, client.lease() as lease_id:
        with pytest.raises(BoardFullError):
            await client.ship(lease_id, [blob_of(tmp_path / "blob", "0" * 64)])


async def test_a_disk_that_takes_nothing_is_no_board_that_vanished(make_agent, tmp_path):
    agent = make_agent()
    (tmp_path / "blob").write_bytes(bytes(11))
    agent.store.rename(tmp_path / "moved")
    agent.store.write_text("no folder any more")
    async with BoardClient("board", f"unix:{agent.socket}") as client, client.lease() as lease_id:
        with pytest.raises(BoardFullError, match="cannot be written: Not a directory; mend the disk"):
            await client.ship(lease_id, [blob_of(tmp_path / "blob", "0" * 64)])


async def test_sending_to_an_agent_that_hangs_ends_at_a_deadline(make_agent, tmp_path, monkeypatch):
    monkeypatch.setattr("deltann.fleet.client.UPLOAD_DEADLINE_S", 0.5)
    monkeypatch.setattr("deltann.fleet.client.CALL_DEADLINE_S", 0.5)
    agent = make_agent()
    (tmp_path / "blob").write_bytes(bytes(10))
    blob = blob_of(tmp_path / "blob", "0" * 64)
    async with BoardClient("board", f"unix:{agent.socket}") as client, client.lease() as lease_id:
        stub = client._stub

        class Hanging:
            """Lets the agent hang as soon as it has said what it lacks."""

            def __getattr__(self, name):
                if name == "UploadBlob":
                    os.kill(agent.process.pid, signal.SIGSTOP)
                return getattr(stub, name)

        client._stub = Hanging()
        try:
            with pytest.raises(BoardError, match="sending blob failed"):
                await client.ship(lease_id, [blob])
        finally:
            os.kill(agent.process.pid, signal.SIGCONT)


def test_it_ends_with_its_parent(tmp_path):
    start = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); sys.stdin.read()"
    places = ["--socket", str(tmp_path / "a.sock"), "--store", str(tmp_path / "store")]
    agent = [sys.executable, "-m", "deltann_agent", "serve", *places, "--end-with-parent"]
    parent = subprocess.Popen(
        [sys.executable, "-c", start, *agent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child = psutil.Process(int(parent.stdout.readline()))
    with grpc.insecure_channel(f"unix:{tmp_path / 'a.sock'}") as channel:
        grpc.channel_ready_future(channel).result(timeout=END_S)
    parent.kill()
    parent.communicate()
    assert psutil.wait_procs([child], timeout=END_S)[1] == []
    assert not Path(tmp_path / "a.sock").exists()
