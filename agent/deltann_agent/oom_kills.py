"""How many processes the kernel has killed for lack of memory, by its own counts."""

from dataclasses import dataclass
from pathlib import Path

from deltann_agent.machine import ROOT, read_text

_NAME = "oom_kill"


@dataclass(frozen=True, slots=True)
class OomKills:
    """One look at the kernel's counts. None: it does not tell.

    Attributes
    ----------
    system
        Since the system started, of all its processes.
    group
        In the control group of this process, be it for a limit of the group or of the whole system.
    """

    system: int | None
    group: int | None


def oom_kills(root: Path = ROOT) -> OomKills:
    """Return the counts as they are now."""
    group = _group(root)
    return OomKills(_count(root / "proc/vmstat"), None if group is None else _count(group / "memory.events"))


def risen(before: OomKills, after: OomKills) -> str | None:
    """Return in words which count has risen; None when none has.

    The group's alone decides where there is one: the system's rises for anybody's process.
    """
    if before.group is not None and after.group is not None:
        return _rise("memory.events of the agent's control group", before.group, after.group)
    if before.system is not None and after.system is not None:
        return _rise("/proc/vmstat", before.system, after.system)
    return None


def _rise(where: str, before: int, after: int) -> str | None:
    return f"{_NAME} in {where} rose from {before} to {after}" if after > before else None


def _group(root: Path) -> Path | None:
    """Return the folder of the control group of this process, version 2."""
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        hierarchy, _, path = line.partition("::")
        if hierarchy == "0" and ".." not in path:  # dots: it lies outside of what is mounted here
            return root / "sys/fs/cgroup" / path.lstrip("/")
    return None


def _count(file: Path) -> int | None:
    for line in (read_text(file) or "").splitlines():
        name, _, value = line.partition(" ")
        if name == _NAME and value.isdecimal():
            return int(value)
    return None
