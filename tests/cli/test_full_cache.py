"""A cache on a disk that is full: said in one sentence, nothing half-written, and a resume goes on."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deltann.results.folder import RunFolder

SIZE_BYTES = 64 << 20
LEFT_BYTES = 24 << 10
"""Less than the library of the tiny model and the objects it is linked from."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of its own, of `SIZE_BYTES`."""
    place = tmp_path / "small"
    place.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(place)]
    if subprocess.run(options, check=False).returncode != 0:
        pytest.skip("this machine does not let tests mount a file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def fill(disk: Path) -> Path:
    """Fill a disk but for `LEFT_BYTES`, and return the file that does."""
    filler = disk / "filler"
    state = os.statvfs(disk)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize - LEFT_BYTES)
    return filler


def files_in(cache: Path) -> set[str]:
    """Return the files of a cache but for the linker's own."""
    files = {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()}
    return {name for name in files if not name.startswith(("zig/", "store/", "history/"))}


def test_a_full_build_cache_ends_the_run_which_goes_on_when_there_is_room(
    small_disk, write_study, tmp_path, deltann
):
    cache = {"DELTANN_CACHE": str(small_disk)}
    only_onnx = write_study(factors={"runtime": "onnxruntime", "threads": 1})
    assert deltann("run", only_onnx, cwd=tmp_path, **cache).returncode == 0
    before = files_in(small_disk)
    filler = fill(small_disk)

    ended = deltann("run", write_study(name="full"), cwd=tmp_path, **cache)
    assert ended.returncode == 7, ended.stderr
    message = next(line for line in ended.stderr.splitlines() if line.startswith("error:"))
    assert message == (
        f"error: {small_disk}/builds: the build cache cannot be written: No space left on device. "
        "Free some space, or name another folder in DELTANN_CACHE."
    )
    assert "Traceback" not in ended.stderr
    (run,) = (tmp_path / "runs").glob("full-*")
    assert f"To go on: deltann run --resume {run.relative_to(tmp_path)}" in ended.stderr
    assert RunFolder.open(run).attempts() == {}, "a full disk was taken for a refusal of the compiler"
    filler.unlink()
    assert files_in(small_disk) == before, "something half-written stays"

    resumed = deltann("run", "--resume", run, cwd=tmp_path, **cache)
    assert resumed.returncode == 0, resumed.stderr
    ends = RunFolder.open(run).attempts().values()
    assert [[end.status.value for end in made] for made in ends] == [["ok"]] * 3


@pytest.mark.parametrize(
    ("elsewhere", "what"),
    [((), "(store|cpu)"), (("store", "cpu", "inputs"), "onnx")],
)
def test_a_disk_full_from_the_beginning_ends_a_run_before_it_has_a_folder(
    small_disk, write_study, tmp_path, deltann, elsewhere, what
):
    for name in elsewhere:
        (tmp_path / name).mkdir()
        (small_disk / name).symlink_to(tmp_path / name)
    fill(small_disk)
    with (small_disk / "last").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, LEFT_BYTES)
    ended = deltann("run", write_study(), cwd=tmp_path, DELTANN_CACHE=str(small_disk))
    assert ended.returncode == 7, ended.stderr
    message = next(line for line in ended.stderr.splitlines() if line.startswith("error:"))
    words = r": .* cannot be written: No space left on device\. Free some space, or name .* DELTANN_CACHE\."
    assert re.fullmatch(f"error: {small_disk}/{what}{words}", message)
    assert not (tmp_path / "runs").exists()
