"""Networks that take turns on this machine: what a study does, after its predictions."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from time import perf_counter

import numpy as np
import psutil

from benchmarks.chain_net import CLASSES, SIDE, write_chain_net
from deltann.compare.times import Turns, compare_times
from deltann.compile.build import BuildRequest, build
from deltann.compile.cpu import detect_cpu
from deltann.core.artifact import Artifact, BuildFailure, TensorSpec
from deltann.core.block import Block, TimingEnd
from deltann.core.board import BoardFacts
from deltann.core.comparison import Thresholds, TimeComparison
from deltann.core.factors import Importer, Runtime
from deltann.core.hashing import digest_bytes, digest_file
from deltann.core.inputs import InputSet, Sample
from deltann.core.passes import resolve_passes
from deltann.core.timing import Timing
from deltann.core.trial import TimingProtocol, Trial
from deltann.core.variant import PassEdits, TvmOptions, Variant
from deltann.fleet.local import LOCAL_BOARD, LocalBoard
from deltann.paths import cache_folder
from deltann.run.measure import measure
from deltann.run.quarantine import NO_PATIENCE
from deltann.run.sitting import Attempts, Sitting, TimingTask

SHAPE = (1, 3, SIDE, SIDE)
INPUT = TensorSpec("image", SHAPE, "float32")
OUTPUT = TensorSpec("scores", (1, CLASSES), "float32")
LEVEL = "O3"
DEADLINE_S = 300.0


@dataclass(frozen=True, slots=True)
class Timed:
    """What taking turns gave: every block, how it ended, and the wall time of all of it."""

    names: tuple[str, ...]
    blocks: tuple[Block, ...]
    end: TimingEnd
    wall_s: float

    def compare(self, thresholds: Thresholds, seed: int = 0) -> TimeComparison:
        """Return how the second network compares with the first.

        Raises
        ------
        RuntimeError
            If there are too few laps to tell.
        """
        (time,) = self._compare([(0, 1)], thresholds, seed)
        if time is None:
            raise RuntimeError(f"{self.end.laps} laps are too few")
        return time

    def compare_all(self, thresholds: Thresholds, seed: int = 0) -> list[TimeComparison | None]:
        """Return how each two networks compare; None where there are too few laps to tell."""
        return self._compare(list(combinations(range(len(self.names)), 2)), thresholds, seed)

    def _compare(
        self, pairs: list[tuple[int, int]], thresholds: Thresholds, seed: int
    ) -> list[TimeComparison | None]:
        turns = Turns(self.names, self.blocks, seed)
        return compare_times([None] * len(self.names), pairs, thresholds, seed, turns)


class Bench:
    """This machine, with its agent. Made by `open_bench`."""

    def __init__(self, board: LocalBoard, folder: Path, threads: int) -> None:
        self._board = board
        self._folder = folder
        self._threads = threads

    def onnx(self, layers: int) -> Artifact:
        """Return a network of so many equal layers for ONNX Runtime."""
        return _artifact(Runtime.ONNXRUNTIME, self._chain(layers))

    def tvm(self, layers: int) -> Artifact:
        """Return the same, built with TVM at O3."""
        path = self._chain(layers)
        request = BuildRequest(
            importer=Importer.ONNX,
            model=str(path),
            model_digest=digest_file(path),
            options=TvmOptions(LEVEL),
            passes=resolve_passes(LEVEL, PassEdits()),
            cpu=detect_cpu(),
            input=INPUT,
            output=OUTPUT,
        )
        result = build(request, folder=cache_folder("builds"), deadline_s=DEADLINE_S)
        if isinstance(result, BuildFailure):
            raise RuntimeError(f"{result.cause}: {result.message}")
        return result

    def _chain(self, layers: int) -> Path:
        path = self._folder / f"chain-{layers}.onnx"
        if not path.exists():
            write_chain_net(path, layers)
        return path

    async def time(self, networks: Mapping[str, Artifact], timing: Timing) -> Timed:
        """Let networks take turns; by their names.

        Raises
        ------
        RuntimeError
            If the agent was lost.
        """
        blocks: list[Block] = []
        ends: list[TimingEnd] = []
        trials = tuple(self._trial(name, artifact.runtime) for name, artifact in networks.items())
        task = TimingTask(timing, trials, blocks.extend, ends.append, {trial.trial_id for trial in trials})
        inputs = self._inputs()
        sitting = Sitting(
            board=self._board,
            facts=BoardFacts(LOCAL_BOARD, None, psutil.cpu_count() or 1, {}),
            patience=NO_PATIENCE,
            artifacts=networks,
            inputs_of=lambda _: inputs,
            attempts=Attempts(1),
            record=lambda _: None,
            listener=lambda _: None,
            timing=task,
        )
        begun = perf_counter()
        error = await measure(sitting, [])
        if error is not None:
            raise RuntimeError(str(error))
        return Timed(tuple(networks), tuple(blocks), ends[0], perf_counter() - begun)

    def _trial(self, name: str, runtime: Runtime) -> Trial:
        tvm = TvmOptions(LEVEL) if runtime is Runtime.TVM else None
        # The names differ in a factor that no runtime knows of: that makes them a pair.
        variant = Variant(runtime, Importer.ONNX, tvm, self._threads, route=name)
        return Trial(name, name, variant, LOCAL_BOARD, name, TimingProtocol())

    def _inputs(self) -> InputSet:
        path = self._folder / "inputs"
        pixels = np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8).tobytes()
        path.write_bytes(pixels)
        lookup = np.tile(np.linspace(-1, 1, 256, dtype="<f4"), 3).tobytes()
        sample = Sample("noise", None, SIDE, SIDE, "RGB", "")
        digest = digest_bytes(pixels)
        return InputSet(path, digest, SHAPE, 1, lookup, (sample,), (), {0: b""})


def _artifact(runtime: Runtime, path: Path) -> Artifact:
    return Artifact(
        build_key=path.stem,
        runtime=runtime,
        path=path,
        digest=digest_file(path),
        size_bytes=path.stat().st_size,
        input=INPUT,
        output=OUTPUT,
        target=None,
        cpu_features=(),
        passes=(),
        tool_versions={},
        build_s=0.0,
    )


@asynccontextmanager
async def open_bench(folder: Path, threads: int) -> AsyncIterator[Bench]:
    """Give this machine; its agent ends afterwards."""
    async with LocalBoard(folder / "store") as board:
        yield Bench(board, folder, threads)
