"""Devices beside the CPU: what an agent says of them, what it refuses, and how a worker uses one."""

import pytest

from deltann_agent.devices import covers, has_part, why_no_cuda
from deltann_agent.errors import InvalidError
from deltann_agent.fitness import misfit
from deltann_agent.machine import Platform
from deltann_agent.prepare import Here
from deltann_agent.request import check_worker, worker_kind
from deltann_proto.v1 import agent_pb2 as pb

ORIN = pb.Accelerator(kind="cuda", name="Orin", arch="sm_87", driver="L4T 38.2.0", cuda_version="13.0")
BOARD = pb.Machine(architecture="aarch64", board_model="Jetson AGX Orin", accelerators=[ORIN])
FOR_ORIN = pb.Needs(architecture="aarch64", gpu_arch="sm_87", cuda_version="13.0")


def test_versions_are_compared_as_numbers():
    assert covers("13.0", "13.0")
    assert covers("13.10", "13.9")
    assert not covers("12.6", "13.0")


def test_a_gpu_of_the_artifacts_kind_or_newer_fits():
    assert misfit(FOR_ORIN, BOARD, "", None) is None
    newer = pb.Accelerator(kind="cuda", name="H200", arch="sm_90", cuda_version="13.1")
    assert misfit(FOR_ORIN, pb.Machine(architecture="aarch64", accelerators=[newer]), "", None) is None


@pytest.mark.parametrize(
    ("gpu", "words"),
    [
        (None, ["is for a GPU through CUDA (sm_87)", "this board (Jetson AGX Orin) has none"]),
        (
            pb.Accelerator(kind="cuda", name="Turing", arch="sm_75"),
            ["for GPUs from sm_87 on", "the Turing of this board is sm_75"],
        ),
        (
            pb.Accelerator(kind="cuda", name="Orin", arch="sm_87", driver="L4T 36.4.3", cuda_version="12.6"),
            ["knows CUDA 13.0", "(L4T 36.4.3) knows 12.6", "update the driver"],
        ),
    ],
)
def test_each_lack_of_a_gpu_is_named_exactly(gpu, words):
    board = pb.Machine(
        architecture="aarch64", board_model="Jetson AGX Orin", accelerators=[gpu] if gpu else []
    )
    said = misfit(FOR_ORIN, board, "", None)
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("has_cuda", "gpus", "words"),
    [
        (True, [], "no GPU that CUDA knows"),
        (False, [ORIN], "built without CUDA"),
        (True, [pb.Accelerator(kind="cuda", driver="535.1", cuda_version="12.2")], "(535.1) knows CUDA 12.2"),
        (True, [ORIN], ""),
    ],
)
def test_why_cuda_cannot_be_used_is_said(has_cuda, gpus, words):
    said = why_no_cuda(has_cuda, gpus)
    assert words in said
    assert bool(words) == bool(said)


def test_a_runtime_drives_what_lies_beside_it_or_in_it(tmp_path):
    library = tmp_path / "libtvm_runtime.so"
    library.write_bytes(b"...device_api.opencl...")
    assert has_part(library, "opencl")
    assert not has_part(library, "cuda")
    (tmp_path / "libtvm_runtime_cuda.so").touch()
    assert has_part(library, "cuda")
    assert not has_part(tmp_path / "nowhere.so", "cuda")


def test_devices_are_told_for_each_runtime(tmp_path):
    library = tmp_path / "libtvm_runtime.so"
    library.touch()
    here = Here(Platform.of_this_process(), library)
    assert here.devices("onnxruntime", pb.Machine()) == {"cpu": ""}
    said = here.devices("tvm", pb.Machine())
    assert said["cpu"] == ""
    assert "no GPU" in said["cuda"]
    assert "without OpenCL" in said["opencl"]


def test_a_worker_is_for_one_device():
    request = pb.PrepareWorkerRequest(runtime="tvm", threads=1, binding=pb.BINDING_NONE)
    assert worker_kind(request, "x").device == "cpu"
    request.device = "cuda"
    check_worker(request)
    assert worker_kind(request, "x").device == "cuda"
    request.device = "tpu"
    with pytest.raises(InvalidError, match=r"no device 'tpu'.*cpu, cuda, opencl"):
        check_worker(request)
