"""One look at the board, put together from what each platform can tell."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deltann_agent.energy import why_no_power
from deltann_agent.machine import ROOT
from deltann_agent.telemetry import cpu, jetson, raspberry
from deltann_agent.telemetry.accelerators import first_gpu
from deltann_agent.telemetry.command import Ask, ask_nothing, command_output
from deltann_agent.telemetry.gpu import Gpu, GpuState, NoGpuError
from deltann_agent.telemetry.throttling import Throttling
from deltann_proto.v1 import agent_pb2 as pb

_CPU_PROBES: tuple[tuple[str, Callable[[Path], float | str | None], str], ...] = (
    ("cpu_freq_mhz", cpu.cpu_freq_mhz, "neither cpufreq nor /proc/cpuinfo shows it"),
    ("governor", cpu.governor, "the kernel offers no cpufreq here"),
    ("temp_c", cpu.temp_c, "no thermal zone or sensor of the processor"),
)
_MEMORY_PROBES: tuple[tuple[str, Callable[[Path], float | None], str], ...] = (
    ("load_1min", cpu.load_1min, "/proc/loadavg cannot be read"),
    ("memory_available_bytes", cpu.memory_available_bytes, "/proc/meminfo does not say"),
)
_BOARD_FIELDS = ("throttled", "rails", "power_mode")
_GPU_FIELDS = ("gpu_freq_mhz", "gpu_temp_c", "gpu_load_percent", "gpu_memory_used_bytes")
_ASKED_AROUND = "a program tells it, which is asked only before and after a trial, and seldom between blocks"
_NOT_THROTTLING = "no firmware flag, cooling device or counter tells"
_SILENT_FIRMWARE = "neither the kernel nor vcgencmd shows the firmware's flags"
_SILENT_PMIC = "vcgencmd pmic_read_adc does not tell"
_SILENT_GPU = "the GPU's driver does not tell, or it shares the main memory"


class Telemetry:
    """Readings of one trial; it counts throttling from the moment it is made, or begins anew.

    Parameters
    ----------
    emulated
        Why the values of processor and board are not those of the board, None when they are.
    ask
        Runs a program of the board and returns its output; never called while a trial measures.
    find_gpu
        Raises NoGpuError when there is none.
    """

    def __init__(
        self,
        emulated: str | None = None,
        root: Path = ROOT,
        *,
        ask: Ask = command_output,
        find_gpu: Callable[[Path], Gpu] = first_gpu,
    ) -> None:
        self._emulated = emulated
        self._root = root
        self._ask = ask
        self._gpu: Gpu | None = None
        self._no_gpu = ""
        if emulated is None:
            self._throttling = Throttling(root)
            try:
                self._gpu = find_gpu(root)
            except NoGpuError as error:
                self._no_gpu = str(error)

    def begin_anew(self) -> None:
        """Count throttling from now on."""
        if self._emulated is None:
            self._throttling.begin_anew()

    def read(
        self,
        phase: pb.Reading.Phase.ValueType,
        worker_rss_bytes: int | None = None,
        *,
        ask_programs: bool = False,
    ) -> pb.Reading:
        """Return the state now.

        Parameters
        ----------
        worker_rss_bytes
            Resident memory of the worker; None when there is none.
        ask_programs
            Whether programs may be asked `during` measuring, too, since nothing is timed at this moment.
        """
        reading = pb.Reading(phase=phase, unix_ns=time.time_ns())
        for field, probe, reason in _MEMORY_PROBES:
            _put(reading, field, probe(self._root), reason)
        _put(reading, "worker_rss_bytes", worker_rss_bytes, "no worker is running")
        if self._emulated is not None:
            # What the kernel shows is the machine beneath, not the emulated one.
            for field in (*(name for name, _, _ in _CPU_PROBES), *_BOARD_FIELDS, *_GPU_FIELDS):
                reading.unavailable[field] = self._emulated
            return reading
        for field, probe_cpu, reason in _CPU_PROBES:
            _put(reading, field, probe_cpu(self._root), reason)
        may_ask = ask_programs or phase != pb.Reading.DURING
        ask = self._ask if may_ask else ask_nothing
        gpu = self._gpu.read() if self._gpu is not None else GpuState()
        self._put_gpu(reading, gpu)
        self._put_throttling(reading, ask, gpu)
        self._put_rails(reading, ask, gpu)
        self._put_power_mode(reading, ask)
        return reading

    def _put_gpu(self, reading: pb.Reading, gpu: GpuState) -> None:
        values = (gpu.freq_mhz, gpu.temp_c, gpu.load_percent, gpu.memory_used_bytes)
        for field, value in zip(_GPU_FIELDS, values, strict=True):
            _put(reading, field, value, self._no_gpu or _SILENT_GPU)

    def _put_throttling(self, reading: pb.Reading, ask: Ask, gpu: GpuState) -> None:
        reasons = self._throttling.reasons(ask, gpu.throttle_reasons)
        reading.throttle_reasons.extend(reasons or ())
        why = _NOT_THROTTLING
        if raspberry.is_raspberry(self._root):
            why = _ASKED_AROUND if ask is ask_nothing else _SILENT_FIRMWARE
        _put(reading, "throttled", None if reasons is None else bool(reasons), why)

    def _put_rails(self, reading: pb.Reading, ask: Ask, gpu: GpuState) -> None:
        rails, why = jetson.rails(self._root), ""
        if rails is None and raspberry.has_pmic(self._root):
            rails = raspberry.parse_pmic(ask("vcgencmd", "pmic_read_adc"))
            why = _ASKED_AROUND if ask is ask_nothing else _SILENT_PMIC
        if rails is None and gpu.power_mw is not None:
            rails = (("GPU", gpu.power_mw),)
        if rails is None:
            reading.unavailable["rails"] = why or why_no_power(self._root)
        reading.rails.extend(pb.Rail(name=name, power_mw=power_mw) for name, power_mw in rails or ())

    def _put_power_mode(self, reading: pb.Reading, ask: Ask) -> None:
        mode, why = None, "only Jetson boards have one"
        if jetson.soc(self._root) is not None:
            mode = jetson.power_mode(self._root) or jetson.parse_nvpmodel(ask("nvpmodel", "-q"))
            why = _ASKED_AROUND if ask is ask_nothing else "neither nvpmodel nor its files tell"
        _put(reading, "power_mode", mode, why)


def _put(reading: pb.Reading, field: str, value: Any, reason: str) -> None:
    if value is None:
        reading.unavailable[field] = reason
    else:
        setattr(reading, field, value)
