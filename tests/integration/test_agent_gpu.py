"""Artifacts for GPUs at an agent: refused in words where there is no GPU, right where there is one."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_agent_trials import COUNT, PIXELS, check_measurement, failure

from deltann_agent.machine import Platform
from deltann_agent.prepare import Here
from deltann_agent.runtimes import find_library
from deltann_proto.v1 import agent_pb2 as pb

NEEDS = pb.Needs(gpu_arch="sm_75", cuda_version="13.0")
# The executor of GPUs on a second CPU "device": every copy and wait is real, but for where the memory is.
STAGED = """
import json, sys
from pathlib import Path
import numpy as np
from deltann_agent import frames
from deltann_agent.worker.executor import aligned_empty
from deltann_agent.worker.tvm_runtime import GpuExecutor, TvmRuntime
import os
os.environ |= {"TVM_NUM_THREADS": "1", "TVM_BIND_THREADS": "0"}
runtime = TvmRuntime(frames.Setup("tvm", 1, "none", sys.argv[2]))
module = runtime._ffi.load_module(sys.argv[1], keep_module_alive=False)
executor = GpuExecutor(runtime._ffi, module["vm_load_executable"](), 1)
array = aligned_empty((1, 3, 8, 8), "float32")
array[...] = 1
executor.set_input(array)
said = []
for value in (1, 2):
    array[...] = value
    executor.feed()
    array[...] = -1  # what was fed counts, not what is written later
    executor.run()
    said.append(executor.get_output().tolist())
kernels = executor.kernels()
print(json.dumps({"outputs": said, "kernels": list(kernels.names), "shape": list(kernels.shapes[-1])}))
"""


def why_no_cuda() -> str:
    here = Here(Platform.of_this_process(), find_library(None))
    return here.devices("tvm", here.machine()).get("cuda", "there is no libtvm_runtime.so")


async def cuda_trial(client, artifact: bytes, **changes) -> pb.RunTrialRequest:
    if not client.lease_id:
        await client.lease()
    words = {"runtime": "tvm", "device": "cuda", "needs": NEEDS, **changes}
    return await client.trial(artifact, PIXELS.tobytes(), COUNT, **words)


async def test_an_artifact_for_cuda_is_refused_where_there_is_no_gpu(shared, tvm_library):
    if not why_no_cuda():
        pytest.skip("this machine has a GPU")
    failed = failure(await shared.run(await cuda_trial(shared, tvm_library)))
    assert failed.cause == pb.Failed.UNFIT
    assert "for a GPU through CUDA (sm_75)" in failed.message
    failed = failure(await shared.run(await cuda_trial(shared, tvm_library, needs=pb.Needs())))
    assert failed.cause == pb.Failed.UNFIT
    assert failed.message == f"tvm cannot compute on cuda here: {why_no_cuda()}"


async def test_onnx_runtime_knows_no_device_but_the_cpu(shared, tvm_library):
    request = await cuda_trial(shared, tvm_library, runtime="onnxruntime", needs=pb.Needs())
    failed = failure(await shared.run(request))
    assert failed.message == "onnxruntime cannot compute on cuda here: onnxruntime does not know it"


async def test_an_agent_says_which_devices_each_runtime_has(shared):
    said = {
        runtime.name: runtime.devices
        for runtime in (await shared.stub.Describe(pb.DescribeRequest())).runtimes
    }
    assert said["tvm"] == {"cpu": "", "cuda": why_no_cuda(), "opencl": "the runtime was built without OpenCL"}
    assert said["onnxruntime"] == {"cpu": ""}


def test_inputs_and_outputs_are_copied_to_and_from_the_memory_of_a_device(tvm_library, tmp_path: Path):
    artifact = tmp_path / "model.so"
    artifact.write_bytes(tvm_library)
    ended = subprocess.run(
        [sys.executable, "-c", STAGED, str(artifact), str(find_library(None))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    np.testing.assert_allclose(said["outputs"], [[[64.0] * 3], [[128.0] * 3]])
    assert said["kernels"]
    assert said["shape"] == [1, 3]


async def test_a_gpu_gives_the_answers_of_the_cpu(shared, tmp_path):
    if reason := why_no_cuda():
        pytest.skip(f"no GPU to compute on: {reason}")
    here = Here(Platform.of_this_process(), find_library(None))
    library = tmp_path / "cuda.so"
    arguments = [here.machine().accelerators[0].arch, str(library)]
    await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", COMPILE, *arguments], check=True, timeout=300
    )
    request = await cuda_trial(shared, library.read_bytes(), rounds=2, kernels=True)
    events = await shared.run(request)
    assert events[-1].WhichOneof("event") == "finished", events[-1]
    kernels = [event for event in events if event.WhichOneof("event") == "kernels"]
    assert kernels[0].kernels.kernels
    check_measurement([event for event in events if event not in kernels], rounds=2)


COMPILE = """
import sys
from deltann.compile.cuda import make_tvm_store_ptx
from deltann.compile.link import link
from deltann.compile.pipeline import compile_module
from deltann.compile.target import tvm_target, with_gpu
from deltann.core.artifact import CpuTarget
from deltann.core.factors import Device
from deltann.core.gpu import GpuTarget
from deltann.core.passes import resolve_passes
from deltann.core.variant import PassEdits
from pathlib import Path
from tvm import relax
arch, library = sys.argv[1:]
x = relax.Var("x", relax.TensorType((1, 3, 8, 8), "float32"))
builder = relax.BlockBuilder()
with builder.function("main", [x]):
    with builder.dataflow():
        positive = builder.emit(relax.op.nn.relu(x))
        total = builder.emit_output(relax.op.sum(positive, axis=[2, 3]))
    builder.emit_func_output(total)
make_tvm_store_ptx(arch, fast_math=False)
target = with_gpu(tvm_target(CpuTarget("x86_64-linux-gnu", "x86-64-v2")), GpuTarget(Device.CUDA, arch))
compiled = compile_module(builder.get(), resolve_passes("O3", PassEdits(), Device.CUDA), target)
link_objects = lambda file, objects, **_: link(Path(file), [Path(one) for one in objects], "x86_64-linux-gnu")
compiled.executable.export_library(library, fcompile=link_objects)
"""
