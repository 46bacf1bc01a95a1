"""Which CPU this machine has, by LLVM's name, and what it is able to do."""

import json
import platform
from importlib import metadata
from pathlib import Path

from deltann.child import run_child
from deltann.compile.store import write_whole
from deltann.core.artifact import CpuTarget
from deltann.core.cpu_features import architecture_of, mask_features
from deltann.core.errors import CompileError, MissingPackageError
from deltann.core.full_disk import unwritable
from deltann.core.hashing import digest_record, short
from deltann.paths import cache_folder

DEADLINE_S = 120.0
_WHAT = "the name of this machine's CPU"

_IDENTITY = (
    *("vendor_id", "cpu family", "model", "model name", "stepping", "flags"),
    *("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features"),
)


def detect_cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> CpuTarget:
    """Return the CPU of this machine as LLVM names it.

    LLVM is asked once, in a child process; the answer is kept until the CPU, its flags or TVM change. A
    virtual machine may hide features of the CPU that it names: those are switched off by name.

    Raises
    ------
    MissingPackageError
        If TVM is not installed.
    CompileError
        If LLVM could not be asked.
    ResultsError
        If its answer cannot be kept, e.g. because the disk is full.
    """
    facts = read_facts(cpuinfo)
    try:
        version = metadata.version("apache-tvm")
    except metadata.PackageNotFoundError:
        raise MissingPackageError(
            "naming the CPU needs TVM, which is not installed", hint="Run: pip install 'deltann[host]'"
        ) from None
    path = cache_folder("cpu") / f"{short(digest_record([facts, platform.machine(), version]))}.json"
    try:
        kept = json.loads(path.read_text())
        return CpuTarget(kept["triple"], kept["mcpu"], tuple(kept["mattr"]))
    except (OSError, ValueError, KeyError):
        cpu = _ask_llvm(facts, path.parent)
    try:
        write_whole(path, json.dumps({"triple": cpu.triple, "mcpu": cpu.mcpu, "mattr": cpu.mattr}))
    except OSError as error:
        raise unwritable(_WHAT, path.parent, error) from error
    return cpu


def read_facts(cpuinfo: Path) -> dict[str, str]:
    """Return what tells one CPU from another in /proc/cpuinfo; empty where there is none."""
    try:
        first = cpuinfo.read_text(errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    fields = {
        name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())
    }
    return {name: fields[name] for name in _IDENTITY if name in fields}


def _ask_llvm(facts: dict[str, str], folder: Path) -> CpuTarget:
    outcome = run_child("deltann.compile.detect", None, folder=folder, deadline_s=DEADLINE_S)
    if outcome.cause == "full":
        raise unwritable(_WHAT, folder, outcome.message)
    if outcome.cause is not None:
        raise CompileError(
            f"LLVM did not name the CPU of this machine: {outcome.message}",
            hint="Name it with mcpu in the study, as LLVM does",
        )
    found = outcome.result
    flags = set((facts.get("flags") or facts.get("Features") or "").split())
    triple = found["triple"]
    return CpuTarget(triple, found["mcpu"], mask_features(architecture_of(triple), found["features"], flags))
