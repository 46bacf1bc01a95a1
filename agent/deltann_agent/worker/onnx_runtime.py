"""ONNX Runtime on the CPU."""

import os
from typing import Any

from deltann_agent import frames
from deltann_agent.worker.executor import Array, Executor, TrialError, first_line, in_words

_DTYPES = {"float": "float32", "double": "float64"}
_ERRORS_ONLY = 3
OPTION = "ort_graph"
_LEVELS = {
    "all": "ORT_ENABLE_ALL",
    "extended": "ORT_ENABLE_EXTENDED",
    "basic": "ORT_ENABLE_BASIC",
    "off": "ORT_DISABLE_ALL",
}


class OnnxRuntime:
    """ONNX Runtime in this process, with the threads of the set-up.

    The option `ort_graph` says how far the graph is optimised: `all`, `extended`, `basic` or `off`.
    """

    def __init__(self, setup: frames.Setup) -> None:
        import onnxruntime

        onnxruntime.disable_telemetry_events()
        onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
        self._onnxruntime = onnxruntime
        self._threads = setup.threads
        self._level = _LEVELS[dict(setup.options).get(OPTION, "all")]
        self._cpus = sorted(os.sched_getaffinity(0)) if setup.binding == "cores" else []
        self.threads_source = f"intra_op_num_threads={setup.threads}, inter_op_num_threads=1"
        if self._cpus:
            affinities = self._affinities() or "none (one thread)"
            self.threads_source += (
                f", session.intra_op_thread_affinities={affinities} (numbered from 1), "
                f"calling thread by sched_setaffinity on CPU {self._cpus[0]} (numbered from 0)"
            )

    def load(self, order: frames.Order) -> Executor:
        """Return the session of an ONNX file; see `Runtime.load`."""
        library = self._onnxruntime
        options = library.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = library.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = getattr(library.GraphOptimizationLevel, self._level)
        options.log_severity_level = _ERRORS_ONLY
        affinities = self._affinities()
        if affinities:
            options.add_session_config_entry("session.intra_op_thread_affinities", affinities)
        try:
            session = library.InferenceSession(order.artifact, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common base
            raise TrialError(
                "BAD_ARTIFACT", f"ONNX Runtime cannot load the artifact: {first_line(error)}"
            ) from error
        if self._cpus:
            # The session's own threads have their places by now and keep them.
            os.sched_setaffinity(0, {self._cpus[0]})
        return OnnxExecutor(library, session, order)

    def _affinities(self) -> str:
        """Return the processors of all threads but the calling one, numbered from 1 as the option wants."""
        cpus = self._cpus
        return ";".join(str(cpus[index % len(cpus)] + 1) for index in range(1, self._threads)) if cpus else ""


class OnnxExecutor:
    """One session: set_input, run, get_output."""

    def __init__(self, library: Any, session: Any, order: frames.Order) -> None:
        self._library = library
        self._session = session
        self._input = _named("BAD_INPUT", "input", session.get_inputs(), order.input_name)
        self._outputs = [_named("BAD_OUTPUT", "output", session.get_outputs(), order.output_name).name]
        self._feed: dict[str, Any] = {}
        self._result: Any = None

    def set_input(self, array: Array) -> None:
        """Make `array` the input of each run; see `Executor.set_input`."""
        kind = self._input.type.removeprefix("tensor(").removesuffix(")")
        dtype, shape = _DTYPES.get(kind, kind), tuple(self._input.shape)
        fits = len(shape) == array.ndim and all(
            wanted == given
            for wanted, given in zip(shape, array.shape, strict=True)
            if isinstance(wanted, int)
        )
        taken = len(self._session.get_inputs())
        if dtype != array.dtype.name or not fits or taken != 1:
            takes = in_words(shape, dtype) if taken == 1 else f"{taken} inputs"
            given = in_words(array.shape, array.dtype.name)
            raise TrialError("BAD_INPUT", f"the model takes {takes}, the trial gives {given}")
        self._feed = {self._input.name: self._library.OrtValue.ortvalue_from_numpy(array)}

    def feed(self) -> None:
        """Do nothing: the input is read where it is."""

    def run(self) -> None:
        """Run once."""
        self._result = self._session.run_with_ort_values(self._outputs, self._feed)

    def get_output(self) -> Array:
        """Return the output of the last run; see `Executor.get_output`."""
        output: Array = self._result[0].numpy()
        return output

    def kernels(self) -> None:
        """Return None: only TVM reports kernels."""


def _named(cause: str, what: str, infos: list[Any], name: str) -> Any:
    for info in infos:
        if info.name == name:
            return info
    names = ", ".join(repr(info.name) for info in infos)
    raise TrialError(cause, f"the model has no {what} {name!r}; it has {names}")
