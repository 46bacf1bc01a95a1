"""A trial as it is asked for: checked, and put in the worker's words."""

import math
from dataclasses import dataclass
from pathlib import Path

from deltann_agent import frames
from deltann_agent.devices import CPU, DEVICES
from deltann_agent.errors import InvalidError
from deltann_proto.v1 import agent_pb2 as pb

LOOKUP_ROW_BYTES = 256 * 4
OPTIONS = {
    "ort_graph": ("all", "extended", "basic", "off"),
    "tflite_kernels": ("default", "no_delegate", "reference"),
    "torch_mode": ("exported", "eager", "compiled"),
}


@dataclass(frozen=True, slots=True)
class TrialFiles:
    """Where the blobs of a trial are."""

    artifact: Path
    inputs: Path


def check_request(request: pb.RunTrialRequest) -> None:
    """Check what can be checked without any file.

    Raises
    ------
    InvalidError
        If a number is out of its range, or the lookup table does not fit the input.
    """
    check_worker(request)
    for name, number in {"rounds": request.rounds, "inputs.count": request.inputs.count}.items():
        if number < 1:
            raise InvalidError(f"{name} must be 1 or more, not {number}")
    if not (math.isfinite(request.deadline_s) and request.deadline_s >= 1):
        raise InvalidError(f"deadline_s must be 1 or more, not {request.deadline_s:g}")
    for name, tensor in (("input", request.input), ("output", request.output)):
        if any(size < 1 for size in tensor.shape):
            raise InvalidError(f"the shape of the {name} must be fixed, not {tuple(tensor.shape)}")
    _check_batch(request)
    _check_lookup(request)


def check_block(request: pb.RunBlockRequest) -> None:
    """Check what can be checked of a block without any file; raises InvalidError."""
    check_request(request.trial)
    if not request.slot:
        raise InvalidError("a block needs a slot")
    if request.runs < 1:
        raise InvalidError(f"runs must be 1 or more, not {request.runs}")
    warm_up = request.warm_up
    for name, value in {
        "seconds": request.seconds,
        "warm_up.seconds": warm_up.seconds,
        "warm_up.agreement": warm_up.agreement,
        "warm_up.limit_s": warm_up.limit_s,
    }.items():
        if not (math.isfinite(value) and value >= 0):
            raise InvalidError(f"{name} must be 0 or more, not {value:g}")


def check_worker(request: pb.RunTrialRequest | pb.PrepareWorkerRequest) -> None:
    """Check what a worker is asked to be; raises InvalidError."""
    if request.threads < 1:
        raise InvalidError(f"threads must be 1 or more, not {request.threads}")
    if request.binding not in (pb.BINDING_NONE, pb.BINDING_CORES):
        raise InvalidError("binding must be BINDING_NONE or BINDING_CORES")
    for name, value in request.options.items():
        if value not in OPTIONS.get(name, ()):
            known = ", ".join(OPTIONS.get(name, OPTIONS))
            raise InvalidError(f"no option {name} = {value!r} is known here; known are {known}")
    if (request.device or CPU) not in DEVICES:
        raise InvalidError(f"no device {request.device!r} is known here; known are {', '.join(DEVICES)}")


def check_inputs_file(request: pb.RunTrialRequest, size_bytes: int) -> None:
    """Check that the input set is as long as the request says; raises InvalidError."""
    shape = _shape_of_one(request)
    wanted_bytes = math.prod(shape) * request.inputs.count
    if size_bytes != wanted_bytes:
        raise InvalidError(
            f"{request.inputs.count} inputs of shape {shape} take {wanted_bytes} bytes, "
            f"the input set has {size_bytes}"
        )


def worker_kind(
    request: pb.RunTrialRequest | pb.PrepareWorkerRequest, library: str, python: str = ""
) -> frames.Setup:
    """Return the kind of worker that the trial needs."""
    binding = "cores" if request.binding == pb.BINDING_CORES else "none"
    options = tuple(sorted(request.options.items()))
    return frames.Setup(
        request.runtime, request.threads, binding, library, request.device or CPU, options, python
    )


def make_order(request: pb.RunTrialRequest, files: TrialFiles) -> frames.Order:
    """Return what the worker is told of the trial."""
    return frames.Order(
        artifact=str(files.artifact),
        inputs=str(files.inputs),
        count=request.inputs.count,
        input_name=request.input.name,
        input_shape=tuple(request.input.shape),
        input_dtype=request.input.dtype,
        output_name=request.output.name,
        output_shape=tuple(request.output.shape),
        output_dtype=request.output.dtype,
        channel_axis=request.inputs.channel_axis,
        warmup_runs=request.warmup_runs,
        rounds=request.rounds,
        kernels=request.kernels,
        payload=request.inputs.lookup,
        batch=_batch_of(request),
    )


def _batch_of(request: pb.RunTrialRequest) -> int:
    return request.batch or 1


def _shape_of_one(request: pb.RunTrialRequest) -> tuple[int, ...]:
    """Return the shape of one image of the input set."""
    shape = tuple(request.input.shape)
    return (1, *shape[1:]) if _batch_of(request) > 1 else shape


def _check_batch(request: pb.RunTrialRequest) -> None:
    batch = _batch_of(request)
    for name, tensor in (("input", request.input), ("output", request.output)):
        if batch > 1 and (not tensor.shape or tensor.shape[0] != batch):
            raise InvalidError(f"the {name} of a batch of {batch} cannot be {tuple(tensor.shape)}")


def _check_lookup(request: pb.RunTrialRequest) -> None:
    shape, dtype, inputs = tuple(request.input.shape), request.input.dtype, request.inputs
    if not inputs.lookup:
        if dtype != "uint8":
            raise InvalidError(f"an input of {dtype or 'no dtype'} needs a lookup table; uint8 goes without")
        return
    if dtype != "float32":
        raise InvalidError(f"a lookup table makes float32, the input is {dtype or 'without dtype'}")
    if inputs.channel_axis >= len(shape):
        raise InvalidError(f"channel_axis {inputs.channel_axis} is not an axis of {shape}")
    wanted_bytes = shape[inputs.channel_axis] * LOOKUP_ROW_BYTES
    if len(inputs.lookup) != wanted_bytes:
        raise InvalidError(f"the lookup table has {len(inputs.lookup)} bytes, the input needs {wanted_bytes}")
