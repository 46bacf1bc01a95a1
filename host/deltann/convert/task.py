"""The child process of a conversion: load, export or fix, simplify, check, compare, write."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.child import serve
from deltann.convert.graph import fix_signature, simplified
from deltann.core.errors import CompileError

OPSET = 17
INPUT_NAME = "image"
OUTPUT_NAME = "scores"

CHECK_IMAGES = 4
CHECK_SEED = 20_240_229
MAX_RELATIVE_CHANGE = 1e-3
"""Largest difference to the source, in units of the range of its outputs, that is rounding and no fault."""

Array = NDArray[np.generic]
Runner = Callable[[Array], Array]


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the ONNX form of a model and return its input, output and difference to the source.

    Parameters
    ----------
    request
        `loader` (as `deltann.zoo` takes it, or empty) or `path` (ONNX file); `output` (name, or None for
        the only one); `shape`, `dtype`, `mean`, `std` and `channel_axis` of its input; `made`, the file to
        write.

    Raises
    ------
    CompileError
        If the result has open shapes, or gives other outputs than the source.
    """
    import onnx

    made = Path(request["made"])
    model, run_source = _from_torch(request, made) if request["loader"] else _from_onnx(request)
    model, given, taken = simplified(model)
    onnx.checker.check_model(model, full_check=True)
    made.write_bytes(model.SerializeToString(deterministic=True))
    difference = _difference(run_source, _onnx_runner(made, taken.name), _random_images(request))
    return {"input": asdict(given), "output": asdict(taken), "max_abs_vs_source": difference}


def _from_torch(request: dict[str, Any], made: Path) -> tuple[Any, Runner]:
    import onnx
    import torch

    from deltann.zoo import load_torch_module

    module = load_torch_module(request["loader"])
    example = torch.from_numpy(_random_images(request)[0])
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
    fix_signature(model, request["shape"], output)
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
    pixels = np.random.default_rng(CHECK_SEED).integers(0, 256, (CHECK_IMAGES, *request["shape"]), np.uint8)
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
    wanted, got = (np.stack([run(image) for image in images]).astype(np.float64) for run in (source, made))
    if wanted.shape != got.shape:
        raise CompileError(
            f"the conversion changed the shape of the output from {wanted.shape[1:]} to {got.shape[1:]}"
        )
    # NaN for NaN is no change: that the model itself gives them is for the study to find.
    same = (wanted == got) | (np.isnan(wanted) & np.isnan(got))
    finite = wanted[np.isfinite(wanted)]
    largest = float(np.where(same, 0.0, np.abs(wanted - got)).max())
    spread = float(np.ptp(finite)) if finite.size else 0.0
    if not largest <= MAX_RELATIVE_CHANGE * spread:
        raise CompileError(
            f"the conversion changed the outputs: by up to {largest:.3g}, where they span {spread:.3g}"
        )
    return largest


if __name__ == "__main__":
    serve(convert)
