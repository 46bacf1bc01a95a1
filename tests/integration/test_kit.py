"""Kits of real wheels: unpacked and run by a bare Python, and looked at where they cannot be run."""

import platform
import struct
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import grpc.aio
import numpy as np
import pytest
from agent_kit import SHAPE, AgentClient, AgentProcess, onnx_model
from native_models import make_native

from deltann.core.errors import MissingPackageError
from deltann.fleet.kit import KIT_RUNTIMES, Kit, build_kit, check_kit
from deltann_proto import PROTOCOL
from deltann_proto.v1 import agent_pb2 as pb

MOST_BYTES = 40_000_000
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
KIND_HERE = {"x86_64": "x86-64-v2", "aarch64": "aarch64"}
COUNT = 2
ELF_AARCH64 = 183


def build(kind: str, python: str, output: Path, *runtimes: str) -> Kit:
    try:
        return build_kit(kind, python=python, runtimes=runtimes, output=output)
    except MissingPackageError as error:
        pytest.skip(f"no wheels for a kit: {error}")


@dataclass
class KitAgent(AgentProcess):
    """The agent of an unpacked kit, with nothing of this test's environment but a path to a bare Python."""

    launcher: Path = field(default=Path())

    def start(self) -> None:
        bare = Path(sys.base_prefix) / "bin"
        command = [self.launcher, "serve", "--socket", str(self.socket), "--store", str(self.store)]
        environment = {"PATH": f"{bare}:/usr/bin:/bin"}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd="/")
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if " serves on " in line:
                return
        raise RuntimeError(f"the agent ended with status {self.process.wait()}: {''.join(lines)}")


@pytest.fixture(scope="module")
def release(tmp_path_factory) -> Path:
    """A kit for this machine with all that it can bring, unpacked as on a board, reached through a link."""
    kind = KIND_HERE.get(platform.machine())
    if kind is None:
        pytest.skip(f"no kit can be run on {platform.machine()}")
    folder = tmp_path_factory.mktemp("release")
    kit = build(kind, PYTHON, folder, *KIT_RUNTIMES)
    check_kit(kit.path, platform.machine(), PYTHON)
    place = folder / "releases" / kit.digest[:12]
    place.mkdir(parents=True)
    subprocess.run(["tar", "-xzf", str(kit.path), "-C", str(place)], check=True)
    (folder / "current").symlink_to(place)
    return folder / "current"


@pytest.fixture
def kit_agent(release: Path, tmp_path: Path) -> Iterator[KitAgent]:
    agent = KitAgent(tmp_path, launcher=release / "bin" / "deltann-agent")
    agent.start()
    yield agent
    agent.stop()


async def test_the_agent_of_a_kit_has_its_runtimes_and_versions(kit_agent):
    async with grpc.aio.insecure_channel(f"unix:{kit_agent.socket}") as channel:
        answer = await AgentClient(channel).stub.Describe(pb.DescribeRequest())
    found = {runtime.name: runtime for runtime in answer.runtimes}
    tvm = metadata.version("apache-tvm")
    assert found["tvm"].version == f"{tvm} (ffi {metadata.version('apache-tvm-ffi')})"
    for name in KIT_RUNTIMES:
        assert found[name].available, found[name].reason
    assert found["tflite"].version == metadata.version("ai-edge-litert")
    assert answer.agent_version == metadata.version("deltann")
    assert answer.protocol == PROTOCOL


@pytest.fixture
def artifact_of(request, tmp_path):
    """Return the model for a runtime."""
    return {
        "tvm": lambda: request.getfixturevalue("tvm_library"),
        "onnxruntime": onnx_model,
        "tflite": lambda: make_native("tflite", tmp_path),
    }


@pytest.mark.parametrize("runtime", KIT_RUNTIMES)
async def test_the_agent_of_a_kit_runs_a_model(kit_agent, artifact_of, release, runtime):
    artifact = artifact_of[runtime]()
    pixels = np.random.default_rng(1).integers(0, 256, (COUNT, *SHAPE[1:]), dtype=np.uint8)
    async with grpc.aio.insecure_channel(f"unix:{kit_agent.socket}") as channel:
        client = AgentClient(channel)
        await client.lease()
        events = await client.run(await client.trial(artifact, pixels.tobytes(), COUNT, runtime))
    assert events[-1].WhichOneof("event") == "finished", events[-1]
    outputs = b"".join(event.batch.outputs for event in events if event.WhichOneof("event") == "batch")
    expected = np.maximum(pixels.astype(np.float32) - 100, 0).sum(axis=(2, 3))
    found = np.array(struct.unpack(f"<{expected.size}f", outputs)).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    # A release is the same after it has run: it belongs to root, and its digest is its name.
    assert not list(release.rglob("__pycache__"))


@pytest.fixture(scope="module")
def arm_kit(tmp_path_factory) -> Kit:
    """The default kit of a Raspberry Pi 4."""
    return build("rpi4", "3.11", tmp_path_factory.mktemp("arm"), "tvm")


def native_machines(kit: Kit) -> dict[str, int]:
    """Return the machine code of each native file of a kit."""
    machines = {}
    with tarfile.open(kit.path) as archive:
        for member in filter(tarfile.TarInfo.isfile, archive):
            data = archive.extractfile(member).read(20)
            if data.startswith(b"\x7fELF"):
                machines[member.name] = int.from_bytes(data[18:20], "little")
            else:
                assert ".so" not in Path(member.name).suffixes
    return machines


def test_the_kit_of_a_raspberry_pi_is_small_and_all_for_its_cpu(arm_kit):
    assert arm_kit.size_bytes <= MOST_BYTES
    machines = native_machines(arm_kit)
    assert set(machines.values()) == {ELF_AARCH64}
    names = {Path(name).name.partition(".")[0] for name in machines}
    assert {"libtvm_runtime", "libtvm_ffi", "cygrpc", "_multiarray_umath", "core"} <= names
    assert "libtvm_compiler" not in names


def test_tflite_in_the_kit_of_a_raspberry_pi_is_small_too(tmp_path):
    kit = build("rpi4", "3.11", tmp_path, "tvm", "tflite")
    assert kit.size_bytes <= MOST_BYTES
    machines = native_machines(kit)
    assert set(machines.values()) == {ELF_AARCH64}
    names = {Path(name).name.partition(".")[0] for name in machines}
    assert {"libpywrap_litert_common", "_pywrap_litert_interpreter_wrapper", "libtvm_runtime"} <= names
    assert "libLiteRtWebGpuAccelerator" not in names
    assert "ml-dtypes" not in dict(kit.distributions)


def test_a_second_kit_needs_no_network_and_is_the_same(arm_kit, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody is there
    again = build_kit("rpi4", python="3.11", runtimes=["tvm"], output=tmp_path)
    assert again.path.name == arm_kit.path.name
    assert again.path.read_bytes() == arm_kit.path.read_bytes()
