"""What this machine needs to emulate boards."""

import os
import shutil
import sys
from pathlib import Path

from boards.kinds import Kind
from boards.programs import succeeds
from deltann.core.errors import BoardError

_PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
}
_FOREIGN_PACKAGES = ("qemu-user-static", "binfmt-support", "arch-test")
_BINFMT = Path("/proc/sys/fs/binfmt_misc")


def check(kind: Kind) -> None:
    """See that this machine can emulate a kind of board; switch on the emulator where it is only off.

    Raises
    ------
    BoardError
        With the reason why it cannot.
    """
    if sys.platform != "linux":
        raise BoardError("boards are emulated on Linux only")
    if os.geteuid() != 0:
        raise BoardError("emulating a board takes root", hint="Run it with sudo")
    packages = {package for program, package in _PACKAGES.items() if shutil.which(program) is None}
    if kind.foreign and shutil.which("update-binfmts") is None:
        packages.update(_FOREIGN_PACKAGES)
    if packages:
        raise BoardError(
            "this machine lacks programs for emulating boards",
            hint=f"Run: apt-get install {' '.join(sorted(packages))}",
        )
    if not succeeds(["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "true"]):
        raise BoardError("this machine lets nobody make namespaces", hint="A container may forbid them")
    if not _control_groups_writable():
        raise BoardError("/sys/fs/cgroup cannot be written here", hint="A container may forbid it")
    if kind.foreign:
        _switch_on(kind)


def _control_groups_writable() -> bool:
    return os.access("/sys/fs/cgroup/cgroup.procs", os.W_OK) or any(
        os.access(f"/sys/fs/cgroup/{tree}/cgroup.procs", os.W_OK) for tree in ("systemd", "unified")
    )


def _switch_on(kind: Kind) -> None:
    """Let the kernel start programs of the board's CPU through qemu, as systemd does where it is PID 1."""
    if not (_BINFMT / "register").exists():
        succeeds(["mount", "-t", "binfmt_misc", "binfmt_misc", _BINFMT])
    if not (_BINFMT / kind.qemu).exists():
        succeeds(["update-binfmts", "--import", kind.qemu])
        succeeds(["update-binfmts", "--enable", kind.qemu])
    entry = _BINFMT / kind.qemu
    if not entry.exists():
        raise BoardError(
            f"this machine's kernel does not start {kind.machine} programs through qemu",
            hint=f"Run: apt-get install {' '.join(_FOREIGN_PACKAGES)}; a container may forbid binfmt_misc",
        )
    facts = entry.read_text().splitlines()
    flags = next((line.partition(":")[2] for line in facts if line.startswith("flags:")), "")
    if "enabled" not in facts or "F" not in flags:
        raise BoardError(
            f"binfmt has {kind.qemu}, but switched off or without the flag F that containers need",
            where=str(entry),
            hint="Install qemu-user-static, not qemu-user",
        )
