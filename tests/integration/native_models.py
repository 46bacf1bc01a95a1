"""The net of the agent's tests as each framework's own file, made by it in a process of its own."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

# Relu, then the sum over height and width: what `onnx_model` of the agent's kit computes.
_MAKE = {
    "torch": """
import sys, torch
class Net(torch.nn.Module):
    def forward(self, x):
        return torch.relu(x).sum((2, 3))
torch.export.save(torch.export.export(Net().eval(), (torch.zeros(1, 3, 8, 8),)), sys.argv[1])
""",
    "tensorflow": """
import sys, tempfile, zipfile, pathlib
import tensorflow as tf
class Net(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((1, 3, 8, 8), tf.float32, name="x")])
    def run(self, x):
        return {"y": tf.reduce_sum(tf.nn.relu(x), (2, 3))}
net = Net()
with tempfile.TemporaryDirectory() as name, zipfile.ZipFile(sys.argv[1], "w") as archive:
    tf.saved_model.save(net, name, signatures=net.run)
    for path in pathlib.Path(name).rglob("*"):
        if path.is_file():
            archive.write(path, path.relative_to(name))
""",
    "tflite": """
import sys, pathlib
import tensorflow as tf
run = tf.function(lambda x: tf.reduce_sum(tf.nn.relu(x), (2, 3)))
concrete = run.get_concrete_function(tf.TensorSpec((1, 3, 8, 8), tf.float32, name="x"))
made = tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()
pathlib.Path(sys.argv[1]).write_bytes(made)
""",
}
_NEEDS = {
    "torch": ("torch",),
    "tensorflow": ("tensorflow",),
    "tflite": ("tensorflow", "ai_edge_litert"),
}
_SUFFIX = {"torch": ".pt2", "tensorflow": ".zip", "tflite": ".tflite"}


def make_native(runtime: str, folder: Path) -> bytes:
    """Return the model for a runtime; skip where its framework is not installed."""
    absent = [name for name in _NEEDS[runtime] if importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")
    path = folder / f"net{_SUFFIX[runtime]}"
    subprocess.run([sys.executable, "-c", _MAKE[runtime], path], check=True, timeout=300)
    return path.read_bytes()
