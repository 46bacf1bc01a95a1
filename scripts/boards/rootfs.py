"""The Debian that boards of a kind share: built once for each list of packages, then only read."""

import hashlib
import os
import time
from pathlib import Path

from boards.kinds import Kind
from boards.programs import run, run_aloud
from boards.speech import say
from boards.state import home, only_one
from boards.storage import remove_tree
from deltann.core.errors import BoardError

# Newer guests do not start their services under this suite's qemu.
SUITE = "bookworm"
PACKAGES = ("dbus", "iproute2", "libstdc++6", "openssh-server", "python3", "systemd", "systemd-sysv")
# Under qemu, units with LoadCredential= fail; the others have nothing to do on a board without a console.
MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "getty.target",
    "systemd-logind.service",
    "systemd-sysusers.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-tmpfiles-setup.service",
)
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")
SSHD = "PasswordAuthentication no\nPermitRootLogin prohibit-password\nHostKey /etc/ssh/ssh_host_ed25519_key\n"
SYSTEMS_VARIABLE = "DELTANN_BOARDS_SYSTEMS"
MIRROR_VARIABLE = "DELTANN_BOARDS_MIRROR"
BUILD_TIMEOUT_S = 900.0
# In a process namespace that ends with us: a build that goes on alone would write where the next one does.
_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# What this machine's apt was told of its way to the mirror holds for us, too.
_OPTIONS_OF_THE_WAY = ("Acquire::http::", "Acquire::https::", "Acquire::Check-", "Acquire::Retries")


def system_for(kind: Kind) -> Path:
    """Return the root folder of a kind's Debian, building it where there is none.

    `DELTANN_BOARDS_SYSTEMS` names another folder for them, `DELTANN_BOARDS_MIRROR` another mirror.

    Raises
    ------
    BoardError
        If there is no mirror, or the build fails or takes too long.
    """
    named = os.environ.get(SYSTEMS_VARIABLE)
    systems = Path(named) if named else home() / "systems"
    recipe = "\n".join((SUITE, kind.debian, *PACKAGES, *MASKED, *LEFT_OUT, SSHD))
    system = systems / f"{SUITE}-{kind.debian}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    with only_one(systems / f"{system.name}.lock", what="building this system"):
        if not system.is_dir():
            _build(kind, system)
    return system


def _build(kind: Kind, system: Path) -> None:
    usual = "some 2 to 4 minutes" if kind.foreign else "about a minute"
    say(f"Building a Debian {SUITE} for {kind.debian} (once; {usual}, 200 MB on disk): {system}")
    began = time.monotonic()
    unfinished = system.with_suffix(".unfinished")
    remove_tree(unfinished)
    line = f"deb [signed-by={_keyring()}] {_mirror()} {SUITE} main\n"
    command = [*_DIES_WITH_US, "mmdebstrap", "--mode=root", "--variant=essential", "--format=directory"]
    command += [f"--architectures={kind.debian}", f"--include={','.join(PACKAGES)}"]
    command += ["--dpkgopt=force-unsafe-io", *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT)]
    command += [f"--aptopt={option}" for option in _apt_options()]
    run_aloud([*command, SUITE, unfinished, "-"], timeout_s=BUILD_TIMEOUT_S, text=line)
    _make_a_board_of(unfinished)
    unfinished.rename(system)
    size = int(run(["du", "--summarize", "--block-size=1M", system]).split()[0])
    say(f"Built in {time.monotonic() - began:.0f} s, {size} MB.")


def _make_a_board_of(system: Path) -> None:
    """Leave out what a board must not share, or what came from this machine."""
    for unit in MASKED:
        (system / "etc/systemd/system" / unit).symlink_to("/dev/null")
    for key in (system / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (system / "etc/ssh/sshd_config.d/deltann.conf").write_text(SSHD)
    (system / "etc/apt/apt.conf.d/99mmdebstrap").unlink(missing_ok=True)
    for name in ("hostname", "machine-id", "resolv.conf"):
        (system / "etc" / name).unlink(missing_ok=True)
        (system / "etc" / name).touch()


def _mirror() -> str:
    named = os.environ.get(MIRROR_VARIABLE)
    mirror = named or _apt_mirror()
    if mirror is None:
        run_aloud(["apt-get", "update", "-qq"], timeout_s=120)
        mirror = _apt_mirror()
    if mirror is None:
        raise BoardError(
            "apt on this machine names no mirror of Debian",
            where="/etc/apt",
            hint=f"Name one with {MIRROR_VARIABLE}",
        )
    return mirror


def _apt_mirror() -> str | None:
    """Return the mirror that apt's sources name; None if there is none, or apt's lists are not there."""
    listed = run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(SITE)", "Created-By: Packages"]
    )
    fields = (line.split("|") for line in listed.splitlines())
    return next((site for origin, label, site in fields if (origin, label) == ("Debian", "Debian")), None)


def _keyring() -> Path:
    if not _KEYRING.is_file():
        raise BoardError(
            "Debian's keys are not on this machine",
            where=str(_KEYRING),
            hint="Run: apt-get install debian-archive-keyring",
        )
    return _KEYRING


def _apt_options() -> list[str]:
    dumped = run(["apt-config", "dump"]).splitlines()
    ours = [line.rstrip(";") for line in dumped if line.startswith(_OPTIONS_OF_THE_WAY) and '""' not in line]
    ours.append('APT::Sandbox::User "root"')  # its own user cannot write below a home folder
    return [*ours, 'Dir::Etc::netrc "/etc/apt/auth.conf"', 'Dir::Etc::netrcparts "/etc/apt/auth.conf.d"']
