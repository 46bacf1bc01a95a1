"""`python -m benchmarks.direct`: what a careful script does with a runtime and a folder of inputs.

Reads one JSON object, loads the model, runs it once, then goes through the inputs: look up the pixels, run,
keep the scores. Writes the seconds of that loop.
"""

import json
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

Run = Callable[[Any], Any]


def main() -> None:
    """Time the loop."""
    request = json.loads(sys.stdin.read())
    run = _LOADERS[request["runtime"]](request["model"], request["threads"])
    pixels = np.fromfile(request["inputs"], np.uint8).reshape(-1, *request["shape"])
    table = np.frombuffer(bytes.fromhex(request["lookup"]), "<f4").reshape(3, 256)
    axis = request["channel_axis"]
    image = np.empty(request["shape"], np.float32)
    _fill(image, pixels[0], table, axis)
    run(image)
    begun = time.perf_counter()
    scores = []
    for picture in pixels:
        _fill(image, picture, table, axis)
        scores.append(np.array(run(image)))
    wall_s = time.perf_counter() - begun
    if not np.isfinite(scores).all():
        raise RuntimeError("a score is not a number")
    sys.stdout.write(f"{wall_s}\n")


def _fill(image: Any, picture: Any, table: Any, axis: int) -> None:
    for channel in range(3):
        place = (slice(None),) * axis + (channel,)
        np.take(table[channel], picture[place], out=image[place], mode="clip")


def _onnxruntime(model: str, threads: int) -> Run:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})[0]


def _tflite(model: str, threads: int) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=model, num_threads=threads)
    interpreter.allocate_tensors()
    given, taken = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(image: Any) -> Any:
        interpreter.set_tensor(given, image)
        interpreter.invoke()
        return interpreter.get_tensor(taken)

    return run


def _torch(model: str, threads: int) -> Run:
    import torch

    torch.set_num_threads(threads)
    module = torch.export.load(model).module()

    def run(image: Any) -> Any:
        with torch.inference_mode():
            return module(torch.from_numpy(image)).numpy()

    return run


def _tensorflow(model: str, threads: int) -> Run:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    folder = tempfile.mkdtemp()
    zipfile.ZipFile(model).extractall(folder)
    loaded = tf.saved_model.load(folder)
    signature = loaded.signatures["serving_default"]
    (name,) = signature.structured_input_signature[1]
    (output,) = signature.structured_outputs

    def run(image: Any, _keep: Any = loaded) -> Any:
        return signature(**{name: tf.constant(image)})[output].numpy()

    return run


_LOADERS: dict[str, Callable[[str, int], Run]] = {
    "onnxruntime": _onnxruntime,
    "tflite": _tflite,
    "torch": _torch,
    "tensorflow": _tensorflow,
}


if __name__ == "__main__":
    main()
