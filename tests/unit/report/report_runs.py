"""Runs made of arrays, to report on: outputs and latencies are drawn, all that follows is computed."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np

from deltann.compare.comparison import compare_run
from deltann.core.block import Block, Launch, Phase, Place, TimingEnd, TimingEndKind, Verdict
from deltann.core.comparison import Comparison, Thresholds
from deltann.core.factors import FACTOR_NAMES
from deltann.core.inputs import Sample, UnreadableImage
from deltann.core.model import LabelSpace
from deltann.core.record import KernelTime, Measurement, Reading
from deltann.core.run_data import EnvironmentFact, RunData, TrialResult
from deltann.core.timing import Timing
from deltann.core.trial import Cause, Status

CLASSES = (
    "tench", "goldfish", "great white shark", "hammerhead", "stingray", "cock", "ostrich", "brambling",
    "goldfinch", "house finch", "junco", "indigo bunting", "robin", "bulbul", "jay", "magpie", "chickadee",
    "water ouzel", "kite", "bald eagle", "vulture", "great grey owl", "fire salamander", "common newt",
)  # fmt: skip
PASSES = ("LegalizeOps", "FoldConstant", "FuseOps", "FuseTIR", "StaticPlanBlockMemory", "VMShapeLower")


def jpeg(index: int = 0, size: int = 96) -> bytes:
    from PIL import Image

    y, x = np.mgrid[0:size, 0:size]
    pixels = np.stack([x * 2 + index * 40, y * 2, (x + y) + index * 20], axis=-1) % 256
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def thumbnails(count: int, pictures: int = 4) -> list[bytes]:
    drawn = [jpeg(index) for index in range(pictures)]
    return [drawn[index % pictures] for index in range(count)]


def samples(count: int, *, labelled: bool = True) -> tuple[Sample, ...]:
    return tuple(
        Sample(
            sample_id=f"photo_{index:02d}.jpg",
            class_index=index % len(CLASSES) if labelled else None,
            width=640,
            height=480,
            mode="RGB",
            source_digest=f"{index:064x}",
        )
        for index in range(count)
    )


def base_outputs(count: int, width: int = len(CLASSES), seed: int = 5) -> np.ndarray:
    """Outputs that answer `index % width` with a margin of 4 to 6."""
    random = np.random.default_rng(seed)
    outputs = random.uniform(-2, 2, (count, width)).astype(np.float32)
    outputs[np.arange(count), np.arange(count) % width] = 6 + random.uniform(0, 2, count)
    return outputs


def flip(outputs: np.ndarray, sample: int, to: int, margin: float) -> np.ndarray:
    """The same outputs, but `sample` is answered `to`, by `margin` over the former best."""
    changed = outputs.copy()
    changed[sample, to] = changed[sample].max() + np.float32(margin)
    return changed


def measure(
    outputs: np.ndarray, median_ms: float, *, seed: int = 0, rounds: int = 3, **changes
) -> Measurement:
    runs = len(outputs) * rounds
    random = np.random.default_rng(seed)
    latency = (median_ms * 1e6 * (1 + random.gamma(2.0, 0.012, runs) - 0.02)).astype(np.int64)
    measurement = Measurement(
        outputs=outputs,
        latency_ns=latency,
        start_ns=np.cumsum(latency) - latency,
        round_index=np.repeat(np.arange(rounds, dtype=np.int32), len(outputs)),
        sample_index=np.tile(np.arange(len(outputs), dtype=np.int32), rounds),
        changed_samples=(),
        runtime_version="0.27.0",
        threads_source="2 threads by TVM_NUM_THREADS",
        spawn_ns=210_000_000,
        load_ns=38_000_000,
        first_run_ns=14_500_000,
        warmup_ns=60_000_000,
        measuring_ns=int(latency.sum() * 1.02),
        running_ns=int(latency.sum()),
        peak_rss_bytes=98 << 20,
    )
    return replace(measurement, **changes)


def readings() -> tuple[Reading, ...]:
    missing = (("temp_c", "this machine has no sensor"), ("throttled", "no counter in this kernel"))
    return tuple(
        Reading(
            phase,
            1_770_000_000_000_000_000,
            clock,
            "performance",
            None,
            load,
            12 << 30,
            96 << 20,
            None,
            missing,
        )
        for phase, clock, load in (("before", 2900.0, 0.4), ("during", 2874.0, 1.9), ("after", 2893.0, 2.0))
    )


def trial(
    measurement: Measurement | None,
    *,
    runtime: str = "tvm",
    importer: str = "torch",
    level: str | None = "O3",
    board: str = "local",
    fast_math: bool = False,
    **changes,
) -> TrialResult:
    tvm = runtime == "tvm"
    factors = dict.fromkeys(FACTOR_NAMES) | {
        "runtime": runtime,
        "importer": importer,
        "threads": "2",
        "binding": "none",
    }
    if tvm:
        own = {"level": level, "passes": "as is", "llvm_opt": "3", "mcpu": "detected", "mattr": "as is"}
        factors |= own | {"fast_math": "on" if fast_math else "off"}
    parts = [runtime, importer, *([level] if tvm else []), *(["fast-math"] if fast_math else []), "2t"]
    label = "/".join(str(part) for part in parts)
    result = TrialResult(
        trial_id=f"{label}@{board}",
        variant_id=f"id-{label}",
        label=label,
        factors=factors | {"board": board},
        board=board,
        runtime=runtime,
        status=Status.OK if measurement else Status.FAILED,
        cause=None,
        message="",
        log="",
        attempts=1,
        emulated=False,
        target="x86_64-linux-gnu skylake-avx512" if tvm else None,
        artifact_size_bytes=18_700_000 if tvm else 18_500_000,
        passes=PASSES if tvm else (),
        build_s=21.4 if tvm else 0.3,
        measurement=measurement,
        readings=readings() if measurement else (),
    )
    return replace(result, **changes)


def failed_trial(message: str = "the compiler was killed by signal 11", **changes) -> TrialResult:
    given = {
        "cause": Cause.BUILD_CRASH,
        "message": message,
        "artifact_size_bytes": None,
        "passes": (),
        "log": "lowering\nsegmentation fault",
        "attempts": 2,
    }
    return trial(None, **{"level": "O4", **given, **changes})


def run_of(trials: list[TrialResult], count: int = 20, *, labelled: bool = True, **changes) -> RunData:
    data = RunData(
        path=Path("/somewhere/runs/demo"),
        name="demo-20260305-140200",
        created="2026-03-05T14:02:00+01:00",
        model_name="efficientnet_lite0",
        model_digest="ab" * 32,
        labels=LabelSpace(0, CLASSES),
        planned_trials=len(trials),
        trials=tuple(trials),
        samples=samples(count, labelled=labelled),
        thumbnails=thumbnails(count),
        unreadable=(),
        environment=(
            EnvironmentFact("host", "deltann", "0.1.0"),
            EnvironmentFact("host", "apache-tvm", "0.27.0.post1"),
            EnvironmentFact("local", "CPU", "Example CPU at 2.9 GHz"),
        ),
    )
    return replace(data, **changes)


def compare(data: RunData) -> Comparison:
    return compare_run(data, Thresholds())


def agreeing_run(levels: tuple[str, ...] = ("O0", "O3"), **changes) -> RunData:
    outputs = base_outputs(20)
    times = {"O0": 252.0, "O1": 180.0, "O2": 31.0, "O3": 11.2}
    return run_of([trial(measure(outputs, times[level]), level=level) for level in levels], **changes)


def rich_run() -> RunData:
    """10 measured variants, 2 failures, near-ties, a confident flip, kernels, an unreadable image."""
    random = np.random.default_rng(9)
    outputs = flip(flip(base_outputs(20), 3, 7, -2e-6), 11, 14, -3e-6)
    times = {"O0": 252.0, "O1": 180.0, "O2": 31.0, "O3": 11.2}
    trials = []
    for importer in ("torch", "onnx"):
        for seed, (level, median_ms) in enumerate(times.items()):
            noise = random.normal(0, 1e-6, outputs.shape) if level != "O0" else 0
            found = (outputs + noise).astype(np.float32)
            if (importer, level) == ("onnx", "O2"):
                found = flip(found, 3, 7, 2e-6)
            if level == "O3":
                found = flip(found, 11, 14, 4e-6)
            factor = 1.01 if importer == "onnx" else 1.0
            trials.append(
                trial(
                    measure(found, median_ms * factor, seed=seed + 10 * (importer == "onnx")),
                    importer=importer,
                    level=level,
                )
            )
    fast = flip(outputs, 17, 19, 1.4)
    kernels = tuple(
        KernelTime(index, f"fused_conv2d{index}_add_clip", 60_000 * (40 - index), (1, 32, 112, 112))
        for index in range(40)
    )
    trials.append(trial(measure(fast, 10.4, seed=77), level="O3", fast_math=True, kernels=kernels))
    trials.append(trial(measure(outputs, 10.1, seed=78), runtime="onnxruntime", importer="onnx"))
    trials += [
        failed_trial(),
        failed_trial("no result after 600 s", importer="onnx", cause=Cause.BUILD_TIMEOUT, log="", attempts=1),
    ]
    return run_of(trials, unreadable=(UnreadableImage("broken.png", "the file ends too early"),))


def turns_run(
    laps: int = 40,
    images: int = 20,
    levels: tuple[str, ...] = ("O0", "O1", "O2", "O3"),
    *,
    flipped: bool = False,
) -> RunData:
    """Variants of two factors that took turns: drift, a warming board, doubtful and bad blocks, a twin.

    Where some are to be flipped, onnx at O3 answers every tenth image otherwise than all others.
    """
    outputs = base_outputs(images)
    other = outputs.copy()
    if flipped:
        other[::10] = np.roll(other[::10], 5, axis=1)
    times = {"O0": 25.2, "O1": 18.0, "O2": 14.0, "O3": 11.2}
    medians = {
        (level, importer): times[level] * (1.2 if importer == "onnx" and level == "O3" else 1.0)
        for level in levels
        for importer in ("torch", "onnx")
    }
    trials = [
        trial(
            measure(other if (level, importer) == ("O3", "onnx") else outputs, median_ms, rounds=1),
            level=level,
            importer=importer,
        )
        for (level, importer), median_ms in medians.items()
    ]
    random = np.random.default_rng(12)
    entries = [*zip(trials, medians.values(), strict=True), (trials[0], next(iter(medians.values())))]
    blocks, clock_ns = [], 1_770_000_000_000_000_000
    for lap in range(laps):
        for turn, entry in enumerate(random.permutation(len(entries)).tolist()):
            blocks.append(_block(entries[entry], entry == len(entries) - 1, lap, turn, clock_ns, random))
            clock_ns += 60_000_000
    end = TimingEnd("local", Timing(precision=0.01), TimingEndKind.BUDGET, 0.0213, laps, 60.4, 0.2)
    return run_of(trials, count=images, blocks=tuple(blocks), timings=(end,))


def _block(
    entry: tuple[TrialResult, float],
    twin: bool,
    lap: int,
    turn: int,
    clock_ns: int,
    random: np.random.Generator,
) -> Block:
    result, median_ms = entry
    drift = 1 + 0.05 * np.sin(lap / 9)
    latencies = median_ms * 1e6 * drift * (1 + random.gamma(2, 0.006, 3))
    verdict, reasons = Verdict.VALID, ()
    if random.random() < 0.1:
        verdict, reasons = (
            Verdict.SUSPECT,
            (f"processes waited for a core for {random.integers(6, 30)}% of the time",),
        )
    elif random.random() < 0.01:
        verdict, reasons = Verdict.INVALID, ("something held the board back: heat",)
    reading = Reading("during", clock_ns, 1800.0 - lap % 7, None, 41.0 + 10 * (1 - np.exp(-lap / 15)))
    launch = (
        Launch(200_000_000, 40_000_000, 15_000_000, 500_000_000, 40, steady=True) if lap % 20 == 0 else None
    )
    return Block(
        Place("local", result.trial_id, twin, lap, turn, lap // 20, Phase.MEASURE),
        clock_ns,
        tuple(latencies.astype(int).tolist()),
        launch=launch,
        reading=reading,
        peak_rss_bytes=120 << 20,
        verdict=verdict,
        reasons=reasons,
    )
