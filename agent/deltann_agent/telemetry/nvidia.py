"""NVIDIA GPUs on a bus: the management library of their driver, through ctypes."""

import ctypes
import functools
from typing import Any, TypeVar

from deltann_agent.telemetry.gpu import GpuState, NoGpuError
from deltann_proto.v1 import agent_pb2 as pb

LIBRARY = "libnvidia-ml.so.1"

_TEXT_BYTES = 96
_TEMPERATURE_GPU = 0
_CLOCK_SM = 1
_REASONS = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "clock kept level with other GPUs",
    0x20: "thermal limit of the driver",
    0x40: "thermal limit of the hardware",
    0x80: "power brake",
}
_HARMLESS = 0x1 | 0x2 | 0x100  # idle, and clocks that somebody has set


class _Memory(ctypes.Structure):
    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


class _Utilization(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


_T = TypeVar("_T", ctypes.c_int, ctypes.c_uint, ctypes.c_ulonglong, ctypes.c_void_p, _Memory, _Utilization)


def decode_reasons(bits: int) -> tuple[str, ...]:
    """Return in words what holds a GPU's clock back; one that is not known yet by its number."""
    known = tuple(words for bit, words in _REASONS.items() if bits & bit)
    unknown = bits & ~(sum(_REASONS) | _HARMLESS)
    return (*known, f"unknown reason {unknown:#x}") if unknown else known


class Nvml:
    """The library, started.

    Parameters
    ----------
    library
        Its functions as attributes; one that an old driver lacks is as good as one that is refused.

    Raises
    ------
    NoGpuError
        If it cannot be started.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        code = self.call("nvmlInit_v2")
        if code:
            raise NoGpuError(f"NVIDIA's driver cannot be asked (NVML error {code})")

    def call(self, name: str, *arguments: Any) -> int | None:
        """Call a function; return its code, 0 for success, None when the library has no such function."""
        function = getattr(self._library, name, None)
        return None if function is None else int(function(*arguments))

    def value(self, name: str, kind: type[_T], *arguments: Any) -> _T | None:
        """Return what a function writes to its last argument; None when it is missing or fails."""
        result = kind()
        return result if self.call(name, *arguments, ctypes.byref(result)) == 0 else None

    def text(self, name: str, *arguments: Any) -> str | None:
        """Return the text that a function writes."""
        buffer = ctypes.create_string_buffer(_TEXT_BYTES)
        code = self.call(name, *arguments, buffer, ctypes.c_uint(_TEXT_BYTES))
        return buffer.value.decode(errors="replace") if code == 0 else None

    def gpus(self) -> "list[NvidiaGpu]":
        """Return the GPUs of the machine in the order of their bus addresses."""
        count = self.value("nvmlDeviceGetCount_v2", ctypes.c_uint)
        indices = range(count.value) if count is not None else ()
        handles = [
            self.value("nvmlDeviceGetHandleByIndex_v2", ctypes.c_void_p, ctypes.c_uint(index))
            for index in indices
        ]
        return [NvidiaGpu(self, handle) for handle in handles if handle is not None]


class NvidiaGpu:
    """One GPU, kept open: asking it costs microseconds, finding it takes long."""

    def __init__(self, nvml: Nvml, handle: ctypes.c_void_p) -> None:
        self._nvml = nvml
        self._handle = handle

    def read(self) -> GpuState:
        """Return its state now."""
        memory = self._value("nvmlDeviceGetMemoryInfo", _Memory)
        load = self._value("nvmlDeviceGetUtilizationRates", _Utilization)
        return GpuState(
            freq_mhz=self._number("nvmlDeviceGetClockInfo", ctypes.c_uint(_CLOCK_SM)),
            temp_c=self._number("nvmlDeviceGetTemperature", ctypes.c_uint(_TEMPERATURE_GPU)),
            load_percent=None if load is None else load.gpu,
            memory_used_bytes=None if memory is None else memory.used,
            power_mw=self._number("nvmlDeviceGetPowerUsage"),
            throttle_reasons=tuple(f"GPU: {words}" for words in decode_reasons(self._reason_bits())),
        )

    def describe(self) -> pb.Accelerator:
        """Return what it is."""
        memory = self._value("nvmlDeviceGetMemoryInfo", _Memory)
        return pb.Accelerator(
            kind="cuda",
            name=self._nvml.text("nvmlDeviceGetName", self._handle) or "",
            arch=self._arch() or "",
            driver=self._nvml.text("nvmlSystemGetDriverVersion") or "",
            memory_bytes=None if memory is None else memory.total,
            cuda_version=self._cuda_version(),
        )

    def _cuda_version(self) -> str:
        number = self._nvml.value("nvmlSystemGetCudaDriverVersion_v2", ctypes.c_int)
        return "" if number is None else f"{number.value // 1000}.{number.value % 1000 // 10}"

    def _arch(self) -> str | None:
        major, minor = ctypes.c_int(), ctypes.c_int()
        code = self._nvml.call(
            "nvmlDeviceGetCudaComputeCapability", self._handle, ctypes.byref(major), ctypes.byref(minor)
        )
        return f"sm_{major.value}{minor.value}" if code == 0 else None

    def _reason_bits(self) -> int:
        for name in ("Event", "Throttle"):  # the new name, and that of drivers before 535
            bits = self._value(f"nvmlDeviceGetCurrentClocks{name}Reasons", ctypes.c_ulonglong)
            if bits is not None:
                return bits.value
        return 0

    def _number(self, name: str, *arguments: Any) -> int | None:
        found = self._value(name, ctypes.c_uint, *arguments)
        return None if found is None else found.value

    def _value(self, name: str, kind: type[_T], *arguments: Any) -> _T | None:
        return self._nvml.value(name, kind, self._handle, *arguments)


@functools.cache
def shared_nvml() -> Nvml:
    """Return the library, started once in the life of the process; a failure is tried again.

    Raises
    ------
    NoGpuError
        If it is not installed, or no driver answers it.
    """
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise NoGpuError(f"no GPU that the agent knows: {LIBRARY} is not installed") from error
    return Nvml(library)
