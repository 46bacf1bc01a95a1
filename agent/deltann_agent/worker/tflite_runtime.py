"""TFLite's interpreter: that of today (ai-edge-litert), or the old one (tflite-runtime)."""

import importlib
import importlib.util
from typing import Any

import numpy as np

from deltann_agent import frames
from deltann_agent.worker.executor import Array, Executor, TrialError, first_line, in_words

OPTION = "tflite_kernels"
_PACKAGES = ("ai_edge_litert", "tflite_runtime")
_RESOLVERS = {
    "default": "AUTO",
    "no_delegate": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "reference": "BUILTIN_REF",
}


class TfliteRuntime:
    """The interpreter of this process, with the threads and the kernels of the set-up.

    The option `tflite_kernels` is `default` (with the delegate that it applies by itself), `no_delegate`
    (its own optimised kernels) or `reference` (its plain ones).
    """

    def __init__(self, setup: frames.Setup) -> None:
        package = next(name for name in _PACKAGES if importlib.util.find_spec(name) is not None)
        self._library = importlib.import_module(f"{package}.interpreter")
        self._kernels = dict(setup.options).get(OPTION, "default")
        self._threads = setup.threads
        self.threads_source = f"num_threads={setup.threads}"

    def load(self, order: frames.Order) -> Executor:
        """Return the interpreter of a TFLite file; see `Runtime.load`."""
        library = self._library
        try:
            interpreter = library.Interpreter(
                order.artifact,
                num_threads=self._threads,
                experimental_op_resolver_type=getattr(library.OpResolverType, _RESOLVERS[self._kernels]),
            )
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError, OSError) as error:
            raise TrialError(
                "BAD_ARTIFACT", f"TFLite cannot load the artifact: {first_line(error)}"
            ) from error
        return TfliteExecutor(interpreter, order)


class TfliteExecutor:
    """One interpreter: set_input, feed, run, get_output."""

    def __init__(self, interpreter: Any, order: frames.Order) -> None:
        self._interpreter = interpreter
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        if len(inputs) != 1:
            raise TrialError("BAD_INPUT", f"the model takes {len(inputs)} inputs, the trial gives 1")
        self._input = inputs[0]
        self._output = _named(outputs, order.output_name)
        self._array: Array | None = None

    def set_input(self, array: Array) -> None:
        """Make `array` what `feed` copies into the interpreter; see `Executor.set_input`."""
        shape, dtype = tuple(int(size) for size in self._input["shape"]), np.dtype(self._input["dtype"]).name
        if (shape, dtype) != (array.shape, array.dtype.name):
            takes, given = in_words(shape, dtype), in_words(array.shape, array.dtype.name)
            raise TrialError("BAD_INPUT", f"the model takes {takes}, the trial gives {given}")
        self._array = array

    def feed(self) -> None:
        """Copy the input into the interpreter's own memory."""
        self._interpreter.set_tensor(self._input["index"], self._array)

    def run(self) -> None:
        """Run once."""
        self._interpreter.invoke()

    def get_output(self) -> Array:
        """Return a copy of the output of the last run; see `Executor.get_output`."""
        output: Array = self._interpreter.get_tensor(self._output["index"])
        return output

    def kernels(self) -> None:
        """Return None: only TVM reports kernels."""


def _named(outputs: list[dict[str, Any]], name: str) -> dict[str, Any]:
    # Converters rename outputs at will: the only one there is need not be asked for its name.
    found = [output for output in outputs if output["name"] == name] or (outputs if len(outputs) == 1 else [])
    if not found:
        names = ", ".join(repr(output["name"]) for output in outputs)
        raise TrialError("BAD_OUTPUT", f"the model has no output {name!r}; it has {names}")
    return found[0]
