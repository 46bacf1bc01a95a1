"""PyTorch on the CPU: an exported program, run as it is, as modules again, or compiled."""

from collections.abc import Callable
from typing import Any

from deltann_agent import frames
from deltann_agent.worker.executor import Array, Executor, TrialError, first_line

OPTION = "torch_mode"


class TorchRuntime:
    """PyTorch in this process, with the threads and the mode of the set-up.

    The option `torch_mode` is `exported` (the graph of the exported program), `eager` (its modules, as they
    were written) or `compiled` (that graph by torch.compile, which needs a C++ compiler on the board).
    """

    def __init__(self, setup: frames.Setup) -> None:
        import torch

        torch.set_num_threads(setup.threads)
        torch.set_num_interop_threads(1)
        self._torch = torch
        self._mode = dict(setup.options).get(OPTION, "exported")
        self.threads_source = f"torch.set_num_threads({setup.threads}), interop threads 1"

    def load(self, order: frames.Order) -> Executor:
        """Return the executor of an exported program; see `Runtime.load`."""
        torch = self._torch
        try:
            program = torch.export.load(order.artifact)
        except Exception as error:  # whatever reading a zip file and its schema may raise
            raise TrialError(
                "BAD_ARTIFACT", f"PyTorch cannot load the artifact: {first_line(error)}"
            ) from error
        module = torch.export.unflatten(program) if self._mode == "eager" else program.module()
        return TorchExecutor(torch, torch.compile(module) if self._mode == "compiled" else module)


class TorchExecutor:
    """One exported program: set_input, run, get_output."""

    def __init__(self, torch: Any, module: Callable[[Any], Any]) -> None:
        self._torch = torch
        self._module = module
        self._input: Any = None
        self._result: Any = None

    def set_input(self, array: Array) -> None:
        """Make `array` the input of each run; see `Executor.set_input`."""
        self._input = self._torch.from_numpy(array)

    def feed(self) -> None:
        """Do nothing: the input is read where it is."""

    def run(self) -> None:
        """Run once."""
        with self._torch.inference_mode():
            self._result = self._module(self._input)

    def get_output(self) -> Array:
        """Return the one output of the last run; see `Executor.get_output`."""
        result = self._result
        if isinstance(result, tuple | list):
            if len(result) != 1:
                raise TrialError("BAD_OUTPUT", f"the model gives {len(result)} outputs, the trial expects 1")
            result = result[0]
        output: Array = result.numpy()
        return output

    def kernels(self) -> None:
        """Return None: only TVM reports kernels."""
