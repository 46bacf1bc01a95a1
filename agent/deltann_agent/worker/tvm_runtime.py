"""TVM's runtime alone: tvm_ffi and libtvm_runtime.so, without the tvm package.

TVM's graph executor of old is the Relax virtual machine of today: a static graph with planned memory.
`TvmExecutor` keeps the executor's shape.
"""

import contextlib
import ctypes
import importlib.util
import os
import re
import sys
import tempfile
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from deltann_agent import frames
from deltann_agent.devices import part_of_runtime
from deltann_agent.worker.executor import Array, Executor, TrialError, first_line, in_words

_CPU = 1
_DEVICE_TYPES = {"cpu": _CPU, "cuda": 2, "opencl": 4}  # DLPack's numbers
_CUDART = "libcudart.so.13"
_POOLED_ALLOCATOR = 2
_VM_INTERNAL = "vm.builtin."


class TvmRuntime:
    """libtvm_runtime.so loaded into this process; its threads were set in the environment at the start."""

    def __init__(self, setup: frames.Setup) -> None:
        # Where torch is installed, tvm_ffi would import it: 200 MB and seconds for nothing.
        sys.modules["torch"] = None  # type: ignore[assignment]
        import tvm_ffi

        ctypes.CDLL(setup.library, ctypes.RTLD_GLOBAL)
        self._ffi = tvm_ffi
        self._device_type = _DEVICE_TYPES[setup.device]
        if setup.device != "cpu":
            _load_part(Path(setup.library), setup.device)
        if setup.device == "cuda":
            # TVM asks for this before it loads kernels; they are PTX already, for the driver to take.
            tvm_ffi.register_global_func("tvm_callback_cuda_compile", lambda code: code.encode())
        variables = ("TVM_NUM_THREADS", "TVM_BIND_THREADS")
        self.threads_source = ", ".join(f"{name}={os.environ[name]}" for name in variables)

    def load(self, order: frames.Order) -> Executor:
        """Return the executor of a compiled Relax module; see `Runtime.load`."""
        try:
            with tempfile.TemporaryDirectory(prefix="deltann-worker-") as folder:
                # TVM chooses its loader by the suffix, which a blob named by its digest does not have.
                library = Path(folder) / "artifact.so"
                library.symlink_to(order.artifact)
                module = self._ffi.load_module(library, keep_module_alive=False)
            executable = module["vm_load_executable"]()
            if self._device_type == _CPU:
                return TvmExecutor(self._ffi, executable)
            return GpuExecutor(self._ffi, executable, self._device_type)
        except Exception as error:  # tvm_ffi raises whatever kind the C++ side names
            raise TrialError("BAD_ARTIFACT", f"TVM cannot load the artifact: {first_line(error)}") from error


class TvmExecutor:
    """One Relax module: set_input, run, get_output, kernels."""

    def __init__(self, ffi: Any, machine: Any) -> None:
        self._ffi = ffi
        self._machine = machine
        self._initialize()
        self._main = machine["main"]
        self._array: Array | None = None
        self._input: Any = None
        self._result: Any = None
        self._checked = False

    def _initialize(self) -> None:
        self._machine["vm_initialization"](_CPU, 0, _POOLED_ALLOCATOR)

    def set_input(self, array: Array) -> None:
        """Make `array` the input of each run; see `Executor.set_input`."""
        taken = int(self._machine["get_function_arity"]("main"))
        if taken != 1:
            raise TrialError("BAD_INPUT", f"the model takes {taken} inputs, the trial gives 1")
        self._array = array
        self._input = self._ffi.from_dlpack(array)
        self._checked = False

    def feed(self) -> None:
        """Do nothing: the input is read where it is."""

    def settle(self) -> None:
        """Wait until what computes has ended; the CPU has when a call returns."""

    def run(self) -> None:
        """Run once; the first run with an input also finds out whether the model takes it."""
        if self._checked:
            self._result = self._main(self._input)
            self.settle()
            return
        try:
            self._result = self._main(self._input)
        except (RuntimeError, ValueError, TypeError) as error:
            self._refuse_input(error)
            raise
        self.settle()
        self._checked = True

    def get_output(self) -> Array:
        """Return the one output, a view of the machine's own memory; see `Executor.get_output`."""
        return np.from_dlpack(self._one_result())

    def _one_result(self) -> Any:
        result = self._result
        if not isinstance(result, self._ffi.Tensor):
            if len(result) != 1:
                raise TrialError("BAD_OUTPUT", f"the model gives {len(result)} outputs, the trial expects 1")
            result = result[0]
        return result

    def kernels(self) -> frames.KernelTimes:
        """Return the kernels of one more run, in order, without the virtual machine's own steps."""
        names: list[str] = []
        durations_ns: list[int] = []
        shapes: list[tuple[int, ...]] = []
        begun_ns = 0

        def watch(function: Any, name: str, before: bool, returned: Any, *arguments: Any) -> None:  # noqa: ARG001
            nonlocal begun_ns
            self.settle()
            if before:
                begun_ns = perf_counter_ns()
                return
            duration_ns = perf_counter_ns() - begun_ns
            if not name.startswith(_VM_INTERNAL):
                names.append(name)
                durations_ns.append(duration_ns)
                # Kernels write into their last argument; the few others return their output.
                shapes.append(_shape(arguments[-1] if returned is None else returned))

        instrumented = self._machine["set_instrument"]
        instrumented(self._ffi.convert(watch))
        try:
            self.run()
        finally:
            instrumented(None)
        return frames.KernelTimes(tuple(names), tuple(durations_ns), tuple(shapes))

    def _refuse_input(self, error: Exception) -> None:
        # The machine checks the input itself and names the parameter it does not fit.
        if "loc=param[" not in str(error) or self._array is None:
            return
        wanted = re.search(r'R\.Tensor\(\(([^)]*?),?\), dtype="(\w+)"\)', str(error))
        takes = f"{wanted[2]} ({wanted[1]})" if wanted else str(error).splitlines()[0]
        given = in_words(self._array.shape, self._array.dtype.name)
        raise TrialError("BAD_INPUT", f"the model takes {takes}, the trial gives {given}") from error


class GpuExecutor(TvmExecutor):
    """A Relax module whose kernels a GPU runs.

    Input and output are copied to and from its memory outside of `run`, as the clock is around `run`.

    Parameters
    ----------
    device_type
        DLPack's number of it.
    """

    def __init__(self, ffi: Any, machine: Any, device_type: int) -> None:
        self._device_type = device_type
        self._device = ffi.device(device_type, 0)
        self._copy = ffi.get_global_func("runtime.TVMTensorCopyFromTo")
        self._wait = ffi.get_global_func("runtime.Device_StreamSync")
        self._outside: Any = None
        self._output: Any = None
        super().__init__(ffi, machine)

    def _initialize(self) -> None:
        # The CPU besides: it keeps the shapes, and runs what no kernel does.
        self._machine["vm_initialization"](
            self._device_type, 0, _POOLED_ALLOCATOR, _CPU, 0, _POOLED_ALLOCATOR
        )

    def set_input(self, array: Array) -> None:
        """Make `array` what `feed` brings to the GPU; see `Executor.set_input`."""
        super().set_input(array)
        self._outside = self._input
        self._input = self._empty_like(self._outside, self._device)

    def feed(self) -> None:
        """Copy the input to the GPU."""
        self._copy(self._outside, self._input)
        self.settle()

    def settle(self) -> None:
        """Wait until the GPU has done all it was told."""
        self._wait(self._device, 0)

    def get_output(self) -> Array:
        """Return the one output, copied off the GPU; see `Executor.get_output`."""
        result = self._one_result()
        if self._output is None or self._output.shape != result.shape:
            self._output = self._empty_like(result, self._ffi.device(_CPU, 0))
        self._copy(result, self._output)
        self.settle()
        return np.from_dlpack(self._output)

    def _empty_like(self, tensor: Any, device: Any) -> Any:
        make = self._ffi.get_global_func("runtime.TVMTensorAllocWithScope")
        return make(self._ffi.Shape(tensor.shape), tensor.dtype, device, None)


def _load_part(library: Path, device: str) -> None:
    """Load the part of TVM's runtime that drives a device, where it is a file of its own."""
    part = part_of_runtime(library, device)
    if not part.is_file():
        return
    packages = importlib.util.find_spec("nvidia") if device == "cuda" else None
    for folder in packages.submodule_search_locations or () if packages else ():
        # A package, unlike a kit, does not have it beside the part.
        if (cudart := Path(folder) / "cu13" / "lib" / _CUDART).is_file():
            ctypes.CDLL(str(cudart), ctypes.RTLD_GLOBAL)
            break
    ctypes.CDLL(str(part), ctypes.RTLD_GLOBAL)


def _shape(value: Any) -> tuple[int, ...]:
    with contextlib.suppress(AttributeError, TypeError):
        return tuple(int(size) for size in value.shape)
    return ()
