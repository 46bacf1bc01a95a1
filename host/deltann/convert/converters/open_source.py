"""Sources into forms: whatever people have, loaded once and written as the one file of its framework."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from deltann.child import serve
from deltann.convert.archive import pack, unpack
from deltann.convert.converters.files import (
    INPUT_NAME,
    SIGNATURE,
    answer,
    chosen_shape,
    file_of,
    random_images,
    save_program,
    saved_model_specs,
)
from deltann.convert.converters.tflite import tflite_specs
from deltann.convert.graph import fix_signature
from deltann.core.artifact import TensorSpec
from deltann.core.batch import MOST_CHECKED, taking, why_not_alone
from deltann.core.errors import CompileError, ModelError
from deltann.core.framework import Framework


def open_source(request: dict[str, Any]) -> dict[str, Any]:
    """Write the form of a source and return what is known of it.

    Parameters
    ----------
    request
        `kind`, a key of `_READERS`; `path`; `framework` and `loader` (for the kind `network`, as
        `deltann.zoo` takes it); `shape` and `dtype` of the input; names of `input`, `output` and
        `signature` where the model has several, else None; `folder` for the form.
    """
    if request["signature"] not in (None, SIGNATURE):
        raise ModelError(
            f"the model is run by the signature {request['signature']!r}, its form has {SIGNATURE!r} alone",
            hint=f"Save it with signatures={{{SIGNATURE!r}: function}}",
        )
    return _READERS[request["kind"]](request)


def _network(request: dict[str, Any]) -> dict[str, Any]:
    spec = _wanted(request)
    if request["framework"] == Framework.KERAS:
        return _keras_network(request)
    import torch

    from deltann.zoo import load_torch_module

    made = file_of(request, Framework.TORCH)
    module = load_torch_module(request["loader"])
    with taking(spec.shape[0]):
        given, taken = save_program(module, spec, made)
        change = _torch_change(torch.export.load(made).module(), module, spec)
    return answer(made, given, taken, max_abs_vs_source=change)


def _torch_change(program: Any, module: Any, spec: TensorSpec) -> float:
    """Return the largest difference of a program's outputs to those of a module, image by image.

    Raises
    ------
    CompileError
        If a batch gives the images other outputs than they get alone.
    """
    import torch

    images = random_images(spec)
    order = [index % MOST_CHECKED for index in range(len(images))]
    with torch.inference_mode():
        alone = [module(torch.from_numpy(image[np.newaxis])).numpy() for image in images[:MOST_CHECKED]]
        together = program(torch.from_numpy(images[order])).numpy()
    wanted = np.concatenate([alone[index] for index in order])
    reason = why_not_alone(together, wanted) if len(images) > 1 else None
    if reason is not None:
        raise CompileError(reason)
    return float(np.abs(together - wanted).max())


def _keras_network(request: dict[str, Any]) -> dict[str, Any]:
    from deltann.zoo import load_keras_model

    made = file_of(request, Framework.KERAS)
    model = load_keras_model(request["loader"])
    model.save(made)
    return _keras_answer(model, request, made)


def _program(request: dict[str, Any]) -> dict[str, Any]:
    import torch

    made = file_of(request, Framework.TORCH)
    shutil.copyfile(request["path"], made)
    program = torch.export.load(made)
    names = program.graph_signature.user_inputs
    if len(names) != 1:
        raise ModelError(
            f"the exported program has {len(names)} inputs", hint="Export it with a single image"
        )
    (placeholder,) = (node for node in program.graph.nodes if node.name == names[0])
    value = placeholder.meta["val"]
    dims = [int(size) if isinstance(size, int) else None for size in value.shape]
    shape = chosen_shape(dims, _wanted(request))
    spec = TensorSpec(str(names[0]), shape, str(value.dtype).removeprefix("torch."))
    with taking(shape[0]), torch.inference_mode():
        taken = program.module()(torch.from_numpy(random_images(spec)))
        if not isinstance(taken, torch.Tensor):
            raise ModelError("the exported program does not return exactly one tensor")
        if shape[0] > 1:
            _torch_change(program.module(), program.module(), spec)
    dtype = str(taken.dtype).removeprefix("torch.")
    return answer(made, spec, TensorSpec("scores", tuple(taken.shape), dtype))


def _onnx(request: dict[str, Any]) -> dict[str, Any]:
    import onnx

    made = file_of(request, Framework.ONNX)
    model = onnx.load(request["path"])
    onnx.checker.check_model(model)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    outputs = [value for value in model.graph.output if request["output"] in (None, value.name)]
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(f"the ONNX model has {len(inputs)} inputs and {len(outputs)} outputs")
    dims = [dim.dim_value or None for dim in inputs[0].type.tensor_type.shape.dim]
    fix_signature(model, chosen_shape(dims, _wanted(request)), outputs[0].name)
    onnx.save(model, made)
    given, taken = _session_specs(made)
    return answer(made, given, taken, opset=model.opset_import[0].version)


def _session_specs(path: Path) -> tuple[TensorSpec, TensorSpec]:
    import onnxruntime as ort

    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    value = session.get_inputs()[0]
    dtype = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}.get(value.type)
    if dtype is None:
        raise ModelError(f"the input is a {value.type}", hint="Export the model with float32 or uint8 input")
    given = TensorSpec(value.name, tuple(value.shape), dtype)
    (taken,) = session.run(None, {given.name: np.zeros(given.shape, dtype)})
    return given, TensorSpec(session.get_outputs()[0].name, taken.shape, str(taken.dtype))


def _keras(request: dict[str, Any]) -> dict[str, Any]:
    import keras

    made = file_of(request, Framework.KERAS)
    model = keras.models.load_model(request["path"], compile=False)
    if Path(request["path"]).suffix == ".keras":
        shutil.copyfile(request["path"], made)
    else:
        model.save(made)
    return _keras_answer(model, request, made)


def _keras_answer(model: Any, request: dict[str, Any], made: Path) -> dict[str, Any]:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(f"the Keras model has {len(model.inputs)} inputs and {len(model.outputs)} outputs")
    shape = chosen_shape(list(model.inputs[0].shape), _wanted(request))
    given = TensorSpec(model.inputs[0].name, shape, str(model.inputs[0].dtype))
    with taking(shape[0]):
        taken = np.asarray(model(np.zeros(shape, given.dtype), training=False))
    return answer(made, given, TensorSpec(model.outputs[0].name, taken.shape, str(taken.dtype)))


def _served(request: dict[str, Any]) -> dict[str, Any]:
    made = file_of(request, Framework.KERAS, served=True)
    return _packed(request, made)


def _tflite(request: dict[str, Any]) -> dict[str, Any]:
    made = file_of(request, Framework.TFLITE)
    shutil.copyfile(request["path"], made)
    given, taken = tflite_specs(made)
    return answer(made, given, taken)


def _saved_model(request: dict[str, Any]) -> dict[str, Any]:
    made = file_of(request, Framework.TF)
    if Path(request["path"]).is_file():
        return _packed(request, made)
    given, taken = saved_model_specs(Path(request["path"]), _wanted(request))
    pack(Path(request["path"]), made)
    return answer(made, given, taken)


def _packed(request: dict[str, Any], made: Path) -> dict[str, Any]:
    shutil.copyfile(request["path"], made)
    with tempfile.TemporaryDirectory() as scratch:
        given, taken = saved_model_specs(unpack(made, Path(scratch)), _wanted(request))
    return answer(made, given, taken)


def _frozen_graph(request: dict[str, Any]) -> dict[str, Any]:
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(Path(request["path"]).read_bytes())
    images = [node for node in graph.node if node.op == "Placeholder"]
    used = {name.split(":")[0].lstrip("^") for node in graph.node for name in node.input}
    ends = [node for node in graph.node if node.name not in used and node.op not in {"NoOp", "Const"}]
    by_name = {node.name: node for node in graph.node}
    if request["input"] and request["output"]:
        images, ends = ([by_name[request[key].partition(":")[0]]] for key in ("input", "output"))
    if len(images) != 1 or len(ends) != 1:
        raise ModelError(f"the graph has {len(images)} inputs and {len(ends)} outputs")
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    tensors = [wrapped.graph.as_graph_element(f"{node.name}:0") for node in (images[0], ends[0])]
    run = wrapped.prune(*tensors)
    image = tensors[0]
    model = tf.Module()
    model.run = tf.function(
        lambda image: {"scores": run(image)},
        input_signature=[tf.TensorSpec(image.shape, image.dtype, name=INPUT_NAME)],
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        signatures = {SIGNATURE: model.run.get_concrete_function()}
        tf.saved_model.save(model, str(folder), signatures=signatures)
        given, taken = saved_model_specs(folder, _wanted(request))
        made = file_of(request, Framework.TF)
        pack(folder, made)
    return answer(made, given, taken)


def _wanted(request: dict[str, Any]) -> TensorSpec:
    return TensorSpec(INPUT_NAME, tuple(request["shape"]), request["dtype"])


_READERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "network": _network,
    "exported_program": _program,
    "onnx": _onnx,
    "keras": _keras,
    "h5": _keras,
    "served": _served,
    "tflite": _tflite,
    "saved_model": _saved_model,
    "frozen_graph": _frozen_graph,
}


if __name__ == "__main__":
    serve(open_source)
