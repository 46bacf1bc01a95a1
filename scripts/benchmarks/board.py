"""An emulated board from nothing to its first prediction: the kit, the agent at rest, and the worker."""

import contextlib
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.row import Row
from benchmarks.setting import Setting, say
from boards.kinds import kind_named
from boards.requirements import check
from boards.rootfs import SYSTEMS_VARIABLE
from deltann.core.errors import DeltannError
from deltann.paths import cache_folder
from deltann.results.folder import RunFolder
from deltann.results.storage import read_table

KIND = "rpi4"
IMAGES = 4
LOOKS = 3
SETTLING_S = 3.0
KIT_BOUND_MB = 40
AGENT_BOUND_MB = 80
WORKER_BOUND_MB = 200
START_BOUND_S = 300
_STUDY = f"""\
schema: 1
name: first
model: efficientnet_lite0
data: {{images: foolbox, limit: {IMAGES}}}
factors: {{runtime: tvm, threads: 1}}
boards: [rpi]
protocol: {{warmup_runs: 0}}
"""


@dataclass(frozen=True, slots=True)
class _Times:
    """Wall times of the steps, seconds.

    Attributes
    ----------
    measuring_s
        From the start of `deltann run` to the end of the board's first run.
    """

    up_s: float
    provisioning_s: float
    measuring_s: float

    @property
    def all_s(self) -> float:
        return self.up_s + self.provisioning_s + self.measuring_s


@dataclass(frozen=True, slots=True)
class _Memory:
    """Resident memory of an emulated process.

    Attributes
    ----------
    translated_bytes
        Of it, code that qemu-user has translated; a real board has none.
    """

    all_bytes: int
    translated_bytes: int

    @classmethod
    def of(cls, smaps: str) -> "_Memory":
        """Read it from the kernel's list of mappings: the emulator alone writes what it executes."""
        sizes = {"rwxp": 0, "": 0}
        for line in smaps.splitlines():
            words = line.split()
            if not words[0].endswith(":"):
                kind = words[1] if words[1] in sizes else ""
            elif words[0] == "Rss:":
                sizes[kind] += int(words[1]) * 1024
        return cls(sum(sizes.values()), sizes["rwxp"])


def run(setting: Setting) -> list[Row]:
    """Return rows for sizes and times; none where this machine can emulate no board, which is said."""
    try:
        check(kind_named(KIND))
    except DeltannError as error:
        say(f"  left out: {error}")
        return []
    with tempfile.TemporaryDirectory() as name:
        lab = _Lab(Path(name))
        with lab.down_at_the_end():
            return _rows(lab, 1 if setting.quick else LOOKS)


def _rows(lab: "_Lab", looks: int) -> list[Row]:
    lab.build_system()
    up_s = lab.timed("up", KIND, "--bare")
    provisioning_s = lab.timed("provision")
    idle = [lab.agent_memory() for _ in range(looks)]
    own = [memory.all_bytes - memory.translated_bytes for memory in idle]
    times, peak_bytes = _first_predictions(lab, up_s, provisioning_s)
    return [
        Row(
            *("board", f"kit for {KIND}, with TVM", lab.kit_bytes("tvm") / 1e6, None, "MB", None),
            *("<=", KIT_BOUND_MB, "1"),
            note=f"{lab.kit_bytes('tvm,onnxruntime') / 1e6:.1f} MB with ONNX Runtime, too",
        ),
        Row(
            *("board", "agent, idle, emulated arm64", statistics.median(own) / 1e6, None, "MB", None),
            *("<=", AGENT_BOUND_MB, str(looks)),
            note=f"as the kernel reports it, less {idle[-1].translated_bytes / 1e6:.0f} MB of code that "
            "qemu-user has translated, with the rest of qemu-user in it",
        ),
        Row(
            *("board", "worker with Lite0, at its peak, emulated arm64", peak_bytes / 1e6, None, "MB", None),
            *("<=", WORKER_BOUND_MB, "1"),
            note="by its own record, translator included",
        ),
        Row(
            *("board", "from `up` to the first prediction", times.all_s, None, "s", None),
            *("<=", START_BOUND_S, "1"),
            note=f"{times.up_s:.1f} s up, its Debian being built; {times.provisioning_s:.0f} s provisioning "
            f"with the kit's wheels in the cache; {times.measuring_s:.1f} s from the start of `deltann run` "
            "to the end of the first run, the artifact being built in between",
        ),
    ]


def _first_predictions(lab: "_Lab", up_s: float, provisioning_s: float) -> tuple[_Times, int]:
    study, runs = lab.folder / "study.yaml", lab.folder / "runs"
    study.write_text(_STUDY)
    begun_s = time.time()
    lab.deltann("run", str(study), "--runs", str(runs))
    (folder,) = runs.iterdir()
    (file,) = RunFolder.open(folder).finished_files("trials")
    (row,) = read_table(file, "trials").to_pylist()
    ready_ns = row["started_unix_ns"] + row["spawn_ns"] + row["load_ns"] + row["first_run_ns"]
    return _Times(up_s, provisioning_s, ready_ns / 1e9 - begun_s), row["peak_rss_bytes"]


class _Lab:
    """`scripts/board` with a state folder of its own; wheels and the board's Debian are kept between runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = {
            **os.environ,
            "DELTANN_CACHE": str(folder / "cache"),
            SYSTEMS_VARIABLE: str(cache_folder("systems")),
            "DELTANN_PKI": str(folder / "pki"),
            "DELTANN_INVENTORY": str(folder / "cache" / "boards" / "inventory.yml"),
        }
        (folder / "cache").mkdir()
        (folder / "cache" / "wheels").symlink_to(cache_folder("wheels"))

    def build_system(self) -> None:
        """Have the board's Debian, and the wheels of its kit: neither is a part of what is timed."""
        say("  a board once, for its Debian and the wheels of its kit")
        self._board("up", KIND, "--bare")
        self._board("provision")
        self._board("down", "--all")

    def timed(self, *words: str) -> float:
        """Return how long a command of `scripts/board` took, seconds."""
        say(f"  scripts/board {' '.join(words)}")
        begun = time.perf_counter()
        self._board(*words)
        return time.perf_counter() - begun

    def agent_memory(self) -> _Memory:
        """Return the memory of the board's agent, after it was left alone for a moment."""
        time.sleep(SETTLING_S)
        boards = json.loads(self._board("list", "--format", "json"))["boards"]
        look = "cat /proc/$(systemctl show --property MainPID --value deltann-agent)/smaps"
        return _Memory.of(_run([*shlex.split(boards[0]["ssh"]), look], self._environment))

    def kit_bytes(self, runtimes: str) -> int:
        """Return the size of a kit for this kind of board."""
        words = ["--board", KIND, "--python", "3.11", "--runtimes", runtimes, "--format", "json"]
        answer = self.deltann("kit", "build", *words, "--output", str(self.folder / "kits"))
        return Path(json.loads(answer)["kit"]).stat().st_size

    def deltann(self, *words: str) -> str:
        """Run the command line as a person would; return what it printed."""
        say(f"  deltann {words[0]}")
        return _run([str(Path(sys.executable).with_name("deltann")), *words], self._environment)

    @contextlib.contextmanager
    def down_at_the_end(self) -> Iterator[None]:
        """Leave no board behind, whatever happens."""
        try:
            yield
        finally:
            self._board("down", "--all")

    def _board(self, *words: str) -> str:
        return _run([sys.executable, "-m", "boards", *words], self._environment)


def _run(command: Sequence[str], environment: dict[str, str]) -> str:
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr}")
    return ended.stdout
