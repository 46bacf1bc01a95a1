"""What the board is: each fact a pure function of a root folder, None where it cannot be read."""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from deltann_proto.v1 import agent_pb2 as pb

ROOT = Path("/")

_X86_ONLY = re.compile(r"^(vendor_id\s*:\s*(GenuineIntel|AuthenticAMD)|cpu family\s*:)", re.MULTILINE)
_ANY_ARM = re.compile(r"ARMv\d+(-compatible)? processor", re.IGNORECASE)
_X86 = ("x86_64", "i386", "i486", "i586", "i686")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Platform:
    """Processor architecture and kernel release, as uname says."""

    hostname: str
    architecture: str
    kernel: str

    @classmethod
    def of_this_process(cls) -> "Platform":
        """Return those that this process sees; under an emulator, the emulated ones."""
        name = os.uname()
        return cls(name.nodename, _userland(name.machine, sys.maxsize), name.release)


def _userland(machine: str, largest: int) -> str:
    """Return the architecture of programs: a 32-bit system may run on a 64-bit kernel, as on many a Pi."""
    if machine in ("aarch64", "armv8l") and largest < 2**32:
        return "armv7l"
    return machine


def read_text(path: Path) -> str | None:
    """Return the file's text, stripped; None when there is none or it cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            data = file.read() or b""  # None: "try again", as a sensor says whose part of the chip is off
    except OSError:
        return None
    return data.decode(errors="replace").strip() or None


def read_link(path: Path) -> Path | None:
    """Return where a symbolic link leads; None when there is none or it cannot be read."""
    try:
        return path.readlink()
    except OSError:
        return None


def cpu_model(root: Path = ROOT) -> str | None:
    """Return the processor's name; on boards that only name themselves, the board's."""
    cpuinfo = read_text(root / "proc/cpuinfo") or ""
    model = _field(cpuinfo, "model name")
    named = model if model and not _ANY_ARM.match(model) else None
    return named or board_model(root) or _field(cpuinfo, "Hardware") or model


def board_model(root: Path = ROOT) -> str | None:
    """Return the board's name in the device tree."""
    name = read_text(root / "proc/device-tree/model")
    return name.rstrip("\0") if name else None


def cpu_part(root: Path = ROOT) -> str | None:
    """Return implementer and part of the Arm core, `0x41:0xd08`.

    Where cores differ, that of the last kind listed, which is the fastest by the kernel's custom.
    """
    cpuinfo = read_text(root / "proc/cpuinfo") or ""
    implementers = re.findall(r"^CPU implementer\s*:\s*(\S+)", cpuinfo, re.MULTILINE)
    parts = re.findall(r"^CPU part\s*:\s*(\S+)", cpuinfo, re.MULTILINE)
    return f"{implementers[-1]}:{parts[-1]}" if implementers and parts else None


def cpu_flags(root: Path = ROOT) -> tuple[str, ...] | None:
    """Return the processor's features as the kernel names them, sorted."""
    cpuinfo = read_text(root / "proc/cpuinfo") or ""
    flags = _field(cpuinfo, "flags") or _field(cpuinfo, "Features") or _field(cpuinfo, "isa")
    return tuple(sorted(flags.split())) if flags else None


def physical_cores(root: Path = ROOT) -> int | None:
    """Return the number of different cores among the processors that are on."""
    places = {
        (read_text(topology / "physical_package_id"), read_text(topology / "core_id"))
        for topology in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/topology")
    }
    return len(places - {(None, None)}) or None


def memory_bytes(root: Path = ROOT) -> int | None:
    """Return the size of the main memory."""
    return meminfo_bytes("MemTotal", root)


def meminfo_bytes(name: str, root: Path = ROOT) -> int | None:
    """Return one line of /proc/meminfo in bytes."""
    value = _field(read_text(root / "proc/meminfo") or "", name)
    return int(value.split()[0]) * 1024 if value else None


def os_name(root: Path = ROOT) -> str | None:
    """Return the distribution's own name for itself."""
    text = read_text(root / "etc/os-release") or ""
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', text, re.MULTILINE)
    return found[1] if found else None


def emulation(architecture: str, root: Path = ROOT) -> str | None:
    """Return how it is known that the processor is emulated, None when nothing says so.

    Notes
    -----
    An emulator of single programs (qemu-user) answers uname itself but lets /proc/cpuinfo show the
    processor of the machine beneath. Where that shows another, made for the purpose, the kernel still
    says what it executes: qemu puts the program in its own place in /proc/self, not in /proc/thread-self.
    An emulator of whole machines without hardware help names itself.
    """
    executed = read_link(root / "proc/thread-self/exe")
    if executed is not None and executed.name.startswith("qemu-"):
        return f"uname says {architecture}, but the kernel executes {executed.name}: qemu-user"
    cpuinfo = read_text(root / "proc/cpuinfo") or ""
    if architecture not in _X86 and _X86_ONLY.search(cpuinfo):
        return f"uname says {architecture}, but /proc/cpuinfo shows an x86 processor: qemu-user"
    if architecture in _X86 and re.search(r"^(CPU implementer|isa)\s*:", cpuinfo, re.MULTILINE):
        return f"uname says {architecture}, but /proc/cpuinfo shows another kind of processor: qemu-user"
    if "QEMU TCG" in (_field(cpuinfo, "model name") or ""):
        return "the processor calls itself QEMU TCG"
    return None


def describe(platform: Platform, root: Path = ROOT) -> pb.Machine:
    """Return all of it, with a reason for every field that is left out."""
    emulated = emulation(platform.architecture, root)
    machine = pb.Machine(
        hostname=platform.hostname,
        architecture=platform.architecture,
        logical_cpus=len(os.sched_getaffinity(0)),
        kernel=platform.kernel,
        python=sys.version.split()[0],
        emulated=emulated is not None,
        emulated_reason=emulated or "",
    )

    def note(field: str, probe: Callable[[Path], _T | None], reason: str) -> _T | None:
        value = probe(root)
        if value is None:
            machine.unavailable[field] = reason
        return value

    if emulated:
        # What the kernel shows is the machine beneath, not the emulated one.
        machine.unavailable["cpu_model"] = machine.unavailable["cpu_flags"] = emulated
        machine.unavailable["physical_cores"] = emulated
    else:
        model = note("cpu_model", cpu_model, "neither /proc/cpuinfo nor the device tree names it")
        cores = note("physical_cores", physical_cores, "/sys/devices/system/cpu shows no topology")
        if model:
            machine.cpu_model = model
        if cores:
            machine.physical_cores = cores
        machine.cpu_flags.extend(note("cpu_flags", cpu_flags, "/proc/cpuinfo lists none") or ())
        _describe_board(machine, root)
    machine.memory_bytes = note("memory_bytes", memory_bytes, "/proc/meminfo does not say") or 0
    machine.os = note("os", os_name, "/etc/os-release does not say") or ""
    return machine


def _describe_board(machine: pb.Machine, root: Path) -> None:
    """Fill in what only boards have; a machine without it lacks nothing."""
    model, part = board_model(root), cpu_part(root)
    if model:
        machine.board_model = model
    if part:
        machine.cpu_part = part


def _field(text: str, name: str) -> str | None:
    found = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else None
