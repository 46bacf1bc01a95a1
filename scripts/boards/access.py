"""How a board is reached: one key of ours, and host keys that we gave the boards ourselves."""

import shlex
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

from boards.programs import run
from boards.state import EmulatedBoard, home

USER = "root"


def private_key() -> Path:
    """Return the key that opens every emulated board; the first `introduce` makes it."""
    return _folder() / "id_ed25519"


def known_hosts() -> Path:
    """Return the file with the host keys of the boards there are."""
    return _folder() / "known_hosts"


def introduce(board: EmulatedBoard) -> None:
    """Give the board its name, an identity and a host key of its own, and let our key in."""
    etc, ssh = board.root / "etc", board.root / "root" / ".ssh"
    (etc / "hostname").write_text(f"{board.name}\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n{board.address} {board.name}\n")
    (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
    ssh.mkdir(mode=0o700, exist_ok=True)
    shutil.copyfile(_our_public_key(), ssh / "authorized_keys")
    (ssh / "authorized_keys").chmod(0o600)
    host_key = etc / "ssh" / "ssh_host_ed25519_key"
    _make_key(host_key, board.name)
    shutil.copyfile(host_key.with_suffix(".pub"), board.host_key)


def write_known_hosts(boards: Sequence[EmulatedBoard]) -> None:
    """Make these the boards that ssh knows."""
    lines = [f"{board.address} {board.host_key.read_text().strip()}\n" for board in boards]
    whole = known_hosts().with_suffix(".new")
    whole.write_text("".join(lines))
    whole.replace(known_hosts())


def ssh_options() -> list[str]:
    """Return what every ssh to a board needs: strict host keys, and nothing of the user's configuration."""
    settings = [f'UserKnownHostsFile="{known_hosts()}"', "GlobalKnownHostsFile=/dev/null"]
    settings += ["StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "BatchMode=yes", "ConnectTimeout=5"]
    return ["-F", "none", *(word for setting in settings for word in ("-o", setting))]


def ssh_command(board: EmulatedBoard) -> list[str]:
    """Return the command that opens a shell on the board; further words are run there instead."""
    return ["ssh", *ssh_options(), "-i", str(private_key()), f"{USER}@{board.address}"]


def ssh_arguments_of_ansible() -> str:
    """Return the options as one line."""
    return shlex.join(ssh_options())


def _folder() -> Path:
    folder = home() / "ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _our_public_key() -> Path:
    """Return it, made the first time: only by who holds the lock on all boards, since two would collide."""
    key = private_key()
    public = key.with_suffix(".pub")
    if not public.is_file():
        key.unlink(missing_ok=True)
        _make_key(key, "deltann boards")
    return public


def _make_key(path: Path, comment: str) -> None:
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])
