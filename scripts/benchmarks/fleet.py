"""What boards cost the host: 1 to 64 agents on Unix sockets, all held at once, measured one at a time."""

import contextlib
import json
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.fleet_host import ROUNDS
from benchmarks.material import small_net
from benchmarks.row import Row
from benchmarks.setting import Setting, say

BOARDS = (1, 4, 16, 64)
QUICK_BOARDS = (1, 16)
IMAGES = 50
CPU_BOUND_S = 0.25
MEMORY_BOUND_MB = 1.0
EVENTS_BOUND = 100.0
START_S = 60.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What a number of boards cost the host while their trials ran, as `benchmarks.fleet_host` says it.

    Attributes
    ----------
    memory_bytes
        Largest resident memory while measuring.
    events
        Messages of trials that came in.
    """

    boards: int
    cpu_s: float
    wall_s: float
    memory_bytes: int
    events: int


def run(setting: Setting) -> list[Row]:
    """Return a row each for the host's CPU time, its memory, and the events it takes."""
    numbers = QUICK_BOARDS if setting.quick else BOARDS
    subject = small_net(setting, IMAGES)
    with tempfile.TemporaryDirectory() as name, _agents(Path(name), numbers[-1]) as sockets:
        (Path(name) / "subject").write_bytes(pickle.dumps(subject))
        costs = [_cost(Path(name), sockets[:number]) for number in numbers]
    first, last = costs[0], costs[-1]
    each = {cost.boards: cost for cost in costs}.items()

    def by_boards(what: str, value: "dict[int, float]", form: str) -> str:
        return f"{what} with {', '.join(f'{number}: {value[number]:{form}}' for number in value)}"

    def row(
        metric: str, ours: float, unit: str, relation: Literal["<=", ">="], bound: float, note: str
    ) -> Row:
        return Row("fleet", metric, ours, None, unit, None, relation, bound, str(last.boards), note)

    trials = f"on each a trial of {IMAGES} images, {ROUNDS} rounds of {subject.name}, one board at a time"
    return [
        row(
            f"host CPU a board, {last.boards} boards",
            *(last.cpu_s / last.boards, "s", "<=", CPU_BOUND_S),
            by_boards("seconds", {number: cost.cpu_s / number for number, cost in each}, ".3f")
            + f"; {trials}",
        ),
        row(
            f"host memory for one board more, {last.boards} boards",
            *((last.memory_bytes - first.memory_bytes) / 1e6 / (last.boards - first.boards), "MB"),
            *("<=", MEMORY_BOUND_MB),
            by_boards("MB in all", {number: cost.memory_bytes / 1e6 for number, cost in each}, ".0f"),
        ),
        row(
            f"events for a second of host CPU, {last.boards} boards",
            *(last.events / last.cpu_s, "1/s", ">=", EVENTS_BOUND),
            by_boards("they came at, 1/s,", {n: cost.events / cost.wall_s for n, cost in each}, ".1f"),
        ),
    ]


def _cost(folder: Path, sockets: list[Path]) -> Cost:
    say(f"  {len(sockets)} boards, a trial on each")
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.fleet_host", str(folder), *map(str, sockets)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Cost(len(sockets), **json.loads(ended.stdout))


@contextlib.contextmanager
def _agents(folder: Path, count: int) -> Iterator[list[Path]]:
    """Give the sockets of so many running agents."""
    say(f"  starting {count} agents")
    sockets = [folder / f"{number:02}.sock" for number in range(count)]
    agents: list[subprocess.Popen[str]] = []
    try:
        for socket in sockets:
            places = ["--socket", str(socket), "--store", str(socket.with_suffix(".store"))]
            command = [sys.executable, "-m", "deltann_agent", "serve", "--end-with-parent", *places]
            agents.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        for agent in agents:
            said: list[str] = []
            while not said or " serves on " not in said[-1]:
                said.append(agent.stderr.readline() if agent.stderr else "")
                if not said[-1]:
                    raise RuntimeError("an agent did not start: " + "".join(said))
        yield sockets
    finally:
        for agent in agents:
            agent.terminate()
        for agent in agents:
            agent.communicate(timeout=START_S)
