"""Real agents, real workers, tiny models."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import grpc.aio
import onnx
import pytest
from agent_kit import AgentClient, AgentProcess
from layer_nets import NETS, Net
from network_kit import NetworkAgent

from deltann_proto.v1 import agent_pb2 as pb


@pytest.fixture(scope="session")
def tvm_library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Compiled by TVM: relu, then the sum over height and width, float32 `SHAPE` -> (1, 3)."""
    path = tmp_path_factory.mktemp("tvm") / "tiny.so"
    subprocess.run([sys.executable, "-c", _COMPILE, str(path)], check=True, timeout=120)
    return path.read_bytes()


_COMPILE = """
import sys, tvm
from tvm import relax
x = relax.Var("x", relax.TensorType((1, 3, 8, 8), "float32"))
builder = relax.BlockBuilder()
with builder.function("main", [x]):
    with builder.dataflow():
        positive = builder.emit(relax.op.nn.relu(x))
        total = builder.emit_output(relax.op.sum(positive, axis=[2, 3]))
    builder.emit_func_output(total)
tvm.compile(builder.get(), target=tvm.target.Target("llvm")).export_library(sys.argv[1])
"""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    """A running agent; add to `extra` and start anew for other options."""
    yield from _running(AgentProcess(tmp_path))


@pytest.fixture
def make_agent(tmp_path: Path) -> Iterator[Callable[..., AgentProcess]]:
    """Start agents with other options or another folder."""
    started: list[AgentProcess] = []

    def make(*extra: str, folder: Path = tmp_path) -> AgentProcess:
        process = AgentProcess(folder, list(extra))
        process.start()
        started.append(process)
        return process

    yield make
    for process in started:
        _end(process)


@pytest.fixture
async def client(agent: AgentProcess) -> AsyncIterator[AgentClient]:
    """A client of `agent`, without a lease yet."""
    async with grpc.aio.insecure_channel(f"unix:{agent.socket}") as channel:
        yield AgentClient(channel)


@pytest.fixture(scope="session")
def shared_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    """One agent for the tests that leave it as they found it."""
    yield from _running(AgentProcess(tmp_path_factory.mktemp("shared")))


@pytest.fixture
async def shared(shared_agent: AgentProcess) -> AsyncIterator[AgentClient]:
    """A client of `shared_agent`, without a lease yet; a lease it takes is given back."""
    async with grpc.aio.insecure_channel(f"unix:{shared_agent.socket}") as channel:
        client = AgentClient(channel)
        yield client
        with suppress(grpc.aio.AioRpcError):
            await client.stub.ReleaseLease(pb.LeaseRef(lease_id=client.lease_id))


def _running(process: AgentProcess) -> Iterator[AgentProcess]:
    try:
        process.start()
        yield process
    finally:
        _end(process)


def _end(process: AgentProcess) -> None:
    if process.process is not None and process.process.poll() is None:
        process.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[dict[str, Path]], NetworkAgent]]:
    """Start an agent with certificates on a loopback port; all end with the test."""
    agents = []

    def start(files: dict[str, Path]) -> NetworkAgent:
        agent = NetworkAgent(tmp_path / f"agent{len(agents)}", files)
        agent.folder.mkdir()
        agents.append(agent)
        agent.start()
        return agent

    yield start
    for agent in agents:
        agent.stop()


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Net]]:
    """Give a network of `layer_nets.NETS` by its name: its file, and what it was made from."""
    folder = tmp_path_factory.mktemp("nets")
    made: dict[str, tuple[Path, Net]] = {}

    def make(name: str) -> tuple[Path, Net]:
        if name not in made:
            net = NETS[name]()
            path = folder / f"{len(made)}.onnx"
            onnx.save(net.model(), path)
            made[name] = (path, net)
        return made[name]

    return make
