"""The file system of a board: a layer of its own over the shared one, or a copy where layers are refused."""

from pathlib import Path

from boards.programs import run, succeeds
from boards.state import EmulatedBoard
from deltann.core.errors import BoardError

COPY_TIMEOUT_S = 300.0
_MOUNTS = Path("/proc/self/mountinfo")
_MOUNT_POINT = 4


def lay(board: EmulatedBoard, system: Path) -> None:
    """Give a board its root."""
    upper, work = board.folder / "upper", board.folder / "work"
    for folder in (board.root, upper, work):
        folder.mkdir()
    options = f"lowerdir={system},upperdir={upper},workdir={work}"
    if not succeeds(["mount", "-t", "overlay", "overlay", "-o", options, board.root]):
        run(["cp", "-a", f"{system}/.", board.root], timeout_s=COPY_TIMEOUT_S)


def remove_tree(folder: Path) -> None:
    """Remove a folder, with what is mounted in it unmounted first, and never across a mount.

    Raises
    ------
    BoardError
        If something is still mounted there.
    """
    for mount in reversed(_mounts_below(folder)):
        succeeds(["umount", mount]) or succeeds(["umount", "--lazy", mount])
    if left := _mounts_below(folder):
        raise BoardError("this is still mounted and keeps a board's folder", where=str(left[0]))
    run(["rm", "--recursive", "--force", "--one-file-system", folder], timeout_s=COPY_TIMEOUT_S)


def _mounts_below(folder: Path) -> list[Path]:
    """Return the places at and below a folder where something is mounted, in the order of mounting."""
    inside = folder.resolve()
    fields = (line.split(" ") for line in _MOUNTS.read_text().splitlines())
    # Spaces and the like in a path are written as \040.
    points = (Path(field[_MOUNT_POINT].encode().decode("unicode_escape")) for field in fields)
    return [point for point in points if point.is_relative_to(inside)]
