"""TensorFlow on the CPU: the serving signature of a SavedModel, which comes packed as a zip file."""

import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from deltann_agent import frames
from deltann_agent.worker.executor import Array, Executor, TrialError, first_line

_SIGNATURE = "serving_default"


class TensorflowRuntime:
    """TensorFlow in this process, with the threads of the set-up."""

    def __init__(self, setup: frames.Setup) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(setup.threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
        self._tensorflow = tensorflow
        self.threads_source = f"intra_op_parallelism_threads={setup.threads}, inter_op 1"

    def load(self, order: frames.Order) -> Executor:
        """Return the signature of a SavedModel; see `Runtime.load`."""
        try:
            with tempfile.TemporaryDirectory(prefix="deltann-worker-") as folder:
                with zipfile.ZipFile(order.artifact) as archive:
                    archive.extractall(folder)  # zipfile lets no member out of the folder
                model = self._tensorflow.saved_model.load(str(_model_folder(Path(folder))))
        except Exception as error:  # its exceptions have no common base
            raise TrialError(
                "BAD_ARTIFACT", f"TensorFlow cannot load the artifact: {first_line(error)}"
            ) from error
        if _SIGNATURE not in model.signatures:
            raise TrialError("BAD_ARTIFACT", f"the SavedModel has no signature {_SIGNATURE}")
        return TensorflowExecutor(self._tensorflow, model, order)


class TensorflowExecutor:
    """One signature: set_input, feed, run, get_output."""

    def __init__(self, tensorflow: Any, model: Any, order: frames.Order) -> None:
        self._tensorflow = tensorflow
        self._model = model  # its variables live as long as it does
        self._signature = model.signatures[_SIGNATURE]
        _, taken = self._signature.structured_input_signature
        if len(taken) != 1:
            raise TrialError("BAD_INPUT", f"the model takes {len(taken)} inputs, the trial gives 1")
        self._name = next(iter(taken))
        self._wanted = order.output_name
        self._array: Array | None = None
        self._feed: dict[str, Any] = {}
        self._result: Any = None

    def set_input(self, array: Array) -> None:
        """Make `array` what `feed` turns into a tensor; see `Executor.set_input`."""
        self._array = array

    def feed(self) -> None:
        """Make a tensor of the input: TensorFlow has none that could be written into."""
        self._feed = {self._name: self._tensorflow.constant(self._array)}

    def run(self) -> None:
        """Run once."""
        self._result = self._signature(**self._feed)

    def get_output(self) -> Array:
        """Return the one output of the last run; see `Executor.get_output`."""
        outputs = self._result
        if self._wanted not in outputs and len(outputs) != 1:
            names = ", ".join(map(repr, outputs))
            raise TrialError("BAD_OUTPUT", f"the model has no output {self._wanted!r}; it has {names}")
        output: Array = outputs.get(self._wanted, next(iter(outputs.values()))).numpy()
        return output

    def kernels(self) -> None:
        """Return None: only TVM reports kernels."""


def _model_folder(folder: Path) -> Path:
    """Return where in a packed SavedModel its graph is: at the top, or in the one folder there."""
    return next(iter(sorted(folder.rglob("saved_model.pb"), key=lambda path: len(path.parts)))).parent
