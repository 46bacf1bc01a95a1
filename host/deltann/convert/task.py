"""The child process of a conversion: load, export or fix, simplify, check, compare, write."""

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.child import serve
from deltann.convert.graph import fix_batch, fix_signature, inferred, simplified
from deltann.core.batch import (
    MAX_RELATIVE_CHANGE,
    MOST_CHECKED,
    batch_shape,
    largest_change,
    taking,
    why_not_alone,
)
from deltann.core.errors import CompileError

OPSET = 17
INPUT_NAME = "image"
OUTPUT_NAME = "scores"

CHECK_IMAGES = 4
CHECK_SEED = 20_240_229

Array = NDArray[np.generic]
Runner = Callable[[Array], Array]


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the ONNX form of a model and return its input, output and difference to the source.

    Parameters
    ----------
    request
        `loader` (as `deltann.zoo` takes it, or empty) or `path` (ONNX file); `output` (name, or None for
        the only one); `shape`, `dtype`, `mean`, `std` and `channel_axis` of an image; `batch`, how many the
        form takes at once; `simplify`, whether it is simplified; `made`, the file to write.

    Raises
    ------
    CompileError
        If the result has open shapes, or gives other outputs than the source.
    """
    with taking(request["batch"]):
        return _convert(request)


def _convert(request: dict[str, Any]) -> dict[str, Any]:
    import onnx

    made = Path(request["made"])
    model, run_source = _from_torch(request, made) if request["loader"] else _from_onnx(request)
    model, given, taken = simplified(model) if request["simplify"] else inferred(model)
    onnx.checker.check_model(model, full_check=True)
    made.write_bytes(model.SerializeToString(deterministic=True))
    run = _onnx_runner(made, taken.name)
    compare = _difference if request["batch"] == 1 else partial(_difference_in_batch, request)
    difference = compare(run_source, run, _random_images(request))
    return {"input": asdict(given), "output": asdict(taken), "max_abs_vs_source": difference}


def _difference_in_batch(request: dict[str, Any], source: Runner, made: Runner, images: list[Array]) -> float:
    """Return the largest difference of what images get at once to what the source gives each alone."""
    wanted = [source(image) for image in images]
    order = [index % len(images) for index in range(request["batch"])]
    together = made(np.concatenate([images[index] for index in order]))
    alone = np.concatenate([wanted[index] for index in order])
    reason = why_not_alone(together, alone)
    if reason is not None:
        raise CompileError(reason)
    return largest_change(alone, together)[0]


def _from_torch(request: dict[str, Any], made: Path) -> tuple[Any, Runner]:
    import onnx
    import torch

    from deltann.zoo import load_torch_module

    module = load_torch_module(request["loader"])
    example = torch.from_numpy(np.concatenate([_random_images(request)[0]] * request["batch"]))
    # The tracing exporter: the newer one cannot write opset 17, and says so only in its log.
    torch.onnx.export(
        module,
        (example,),
        made,
        dynamo=False,
        opset_version=OPSET,
        input_names=[INPUT_NAME],
        output_names=[OUTPUT_NAME],
    )

    def run(image: Array) -> Array:
        with torch.inference_mode():
            result: Array = module(torch.from_numpy(image)).numpy()
        return result

    return onnx.load(made), run


def _from_onnx(request: dict[str, Any]) -> tuple[Any, Runner]:
    import onnx

    path = Path(request["path"])
    model = onnx.load(path)
    output = request["output"] or model.graph.output[0].name
    fix_signature(model, batch_shape(tuple(request["shape"]), request["batch"]), output)
    if request["batch"] > 1:
        fix_batch(model, request["batch"])
    return model, _onnx_runner(path, output)


def _onnx_runner(path: Path, output: str) -> Runner:
    """Return a function that runs an ONNX file as it is written, without the runtime's own optimizations."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(image: Array) -> Array:
        result: Array = session.run([output], {name: image})[0]
        return result

    return run


def _random_images(request: dict[str, Any]) -> list[Array]:
    """Return images of random pixels as the recipe gives them, the same in every call."""
    count = max(CHECK_IMAGES, min(request["batch"], MOST_CHECKED))
    pixels = np.random.default_rng(CHECK_SEED).integers(0, 256, (count, *request["shape"]), np.uint8)
    if request["dtype"] == "uint8":
        return list(pixels)
    axes = [3 if axis == request["channel_axis"] else 1 for axis in range(4)]
    mean, std = (np.reshape(request[name], axes) for name in ("mean", "std"))
    return [((image - mean) / std).astype(np.float32) for image in pixels]


def _difference(source: Runner, made: Runner, images: list[Array]) -> float:
    """Return the largest absolute difference of the outputs.

    Raises
    ------
    CompileError
        If shapes differ, or a difference is over `MAX_RELATIVE_CHANGE` of the outputs' range, or no number.
    """
    wanted, got = (np.stack([run(image) for image in images]) for run in (source, made))
    if wanted.shape != got.shape:
        raise CompileError(
            f"the conversion changed the shape of the output from {wanted.shape[1:]} to {got.shape[1:]}"
        )
    largest, spread = largest_change(wanted, got)
    if not largest <= MAX_RELATIVE_CHANGE * spread:
        raise CompileError(
            f"the conversion changed the outputs: by up to {largest:.3g}, where they span {spread:.3g}"
        )
    return largest


if __name__ == "__main__":
    serve(convert)
