"""The tables of a run folder: names, columns, types, units and meanings."""

from dataclasses import dataclass, replace
from typing import Literal

from deltann.core.factors import BOARD_FACTOR, FACTORS

Scope = Literal["run", "build", "attempt", "board"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    unit
        Empty where the values have none.
    since
        The version of the schema that brought it; one that came after the first is nullable.
    """

    name: str
    type: str
    meaning: str
    unit: str = ""
    nullable: bool = False
    since: int = 1


@dataclass(frozen=True, slots=True)
class Table:
    """One table: a folder of Parquet files, one file for each of what its scope says."""

    name: str
    scope: Scope
    meaning: str
    columns: tuple[Column, ...]


_ATTEMPT = (
    Column("trial_id", "string", "the trial"),
    Column("attempt", "int32", "which attempt at it, from 1"),
)

# Factors that came after the first version of the schema.
_IN_4 = ("route", "quantisation", "engine", "ort_graph", "tflite_kernels", "torch_mode")
_SINCE = {"device": 3, **dict.fromkeys(_IN_4, 4), "batch": 6}

_SAMPLES = Table(
    "samples",
    "run",
    "One row for each image that became an input, in the order of the input set.",
    (
        Column("sample_index", "int32", "position in the input set, from 0"),
        Column("sample_id", "string", "path of the image relative to the data set's folder"),
        Column(
            "class_index", "int32", "true class, from 0, background not counted; null: unknown", nullable=True
        ),
        Column("width", "int32", "width of the original after EXIF rotation", "pixel"),
        Column("height", "int32", "height of the original after EXIF rotation", "pixel"),
        Column("mode", "string", "colour mode of the original as Pillow names it"),
        Column("source_digest", "string", "sha256 of the image file"),
        Column("thumbnail_jpeg", "binary", "a small RGB picture, as a JPEG file"),
    ),
)

_UNREADABLE = Table(
    "unreadable",
    "run",
    "One row for each image that could not be read.",
    (
        Column("sample_id", "string", "path of the image relative to the data set's folder"),
        Column("reason", "string", "why it could not be read"),
    ),
)

_ENVIRONMENT = Table(
    "environment",
    "run",
    "One row for each circumstance of the run.",
    (
        Column("section", "string", "`host` or the name of a board"),
        Column("name", "string", "what the fact is about"),
        Column("value", "string", "the fact, as text"),
    ),
)

_BUILDS = Table(
    "builds",
    "build",
    "One row for each artifact that was built, fetched from the cache, or could not be built.",
    (
        Column("build_key", "string", "hash of everything that the artifact's bytes depend on"),
        Column("ok", "bool", "whether there is an artifact"),
        Column(
            "cause", "string", "why there is none: crash, timeout, memory, refused, missing", nullable=True
        ),
        Column("message", "string", "the compiler's last words; empty where it succeeded"),
        Column("log", "string", "the end of the build's output; empty where it succeeded"),
        Column("build_s", "float64", "wall time of the build", "s"),
        Column("runtime", "string", "what executes the artifact", nullable=True),
        Column("digest", "string", "sha256 of the artifact", nullable=True),
        Column("size_bytes", "int64", "size of the artifact", "byte", nullable=True),
        Column("input_name", "string", "name of the input", nullable=True),
        Column("input_shape", "list<int64>", "shape of the input", nullable=True),
        Column("input_dtype", "string", "dtype of the input", nullable=True),
        Column("output_name", "string", "name of the output", nullable=True),
        Column("output_shape", "list<int64>", "shape of the output", nullable=True),
        Column("output_dtype", "string", "dtype of the output", nullable=True),
        Column(
            "target",
            "string",
            "CPU, and GPU, the code is for; null: the runtime compiles for itself",
            nullable=True,
        ),
        Column("cpu_features", "list<string>", "CPU features that the code needs", nullable=True),
        Column("passes", "list<string>", "compiler passes that really ran, in order", nullable=True),
        Column("tool_versions", "map<string, string>", "version of each tool involved", nullable=True),
    ),
)

_TRIALS = Table(
    "trials",
    "attempt",
    "One row for each finished attempt at a trial. It is written last: its presence means that the attempt's "
    "rows in the other tables are complete.",
    (
        *_ATTEMPT,
        Column("variant_id", "string", "hash of everything that can change the variant's bytes or run"),
        Column("label", "string", "the variant's short name"),
        *(
            Column(
                f.name,
                "string",
                f"factor: {f.meaning}; null: does not apply",
                nullable=True,
                since=_SINCE.get(f.name, 1),
            )
            for f in FACTORS
        ),
        Column(BOARD_FACTOR, "string", "factor: the board it ran on"),
        Column("status", "string", "`ok` or `failed`"),
        Column("cause", "string", "why it failed; null where it did not", nullable=True),
        Column("message", "string", "the failure in words; empty where it did not fail"),
        Column("log", "string", "the end of the worker's error output"),
        Column("started_unix_ns", "int64", "the host's clock at the start, since 1970", "ns"),
        Column("waited_s", "float64", "time spent queueing for the board, charged to nothing", "s"),
        Column("emulated", "bool", "whether the board is emulated: its times are then no evidence"),
        Column("build_key", "string", "the build it runs"),
        Column("artifact_digest", "string", "sha256 of the artifact", nullable=True),
        Column("artifact_size_bytes", "int64", "size of the artifact", "byte", nullable=True),
        Column("target", "string", "CPU, and GPU, the code is for", nullable=True),
        Column("input_digest", "string", "sha256 of the input set"),
        Column("warmup_runs", "int32", "untimed runs before measuring"),
        Column("rounds", "int32", "how often the input set is gone through"),
        Column("deadline_s", "float64", "wall time after which the trial is ended", "s"),
        Column("memory_limit_bytes", "int64", "resident memory at which it is ended; 0: none", "byte"),
        Column("kernels_asked", "bool", "whether one more, untimed run reports its kernels"),
        Column("runtime_version", "string", "version of the runtime on the board", nullable=True),
        Column("threads_source", "string", "how the thread count was set", nullable=True),
        Column(
            "spawn_ns",
            "int64",
            "start of the worker process, while files were sent; 0: an earlier trial was charged with it",
            "ns",
            nullable=True,
        ),
        Column("load_ns", "int64", "from the artifact's file to a ready executor", "ns", nullable=True),
        Column(
            "first_run_ns", "int64", "the first run after loading, not among the samples", "ns", nullable=True
        ),
        Column("warmup_ns", "int64", "the other untimed runs together", "ns", nullable=True),
        Column("measuring_ns", "int64", "wall time of all timed runs", "ns", nullable=True),
        Column("running_ns", "int64", "the part of it inside the executor", "ns", nullable=True),
        Column("peak_rss_bytes", "int64", "largest resident memory of the worker", "byte", nullable=True),
        Column("changed_samples", "list<int32>", "inputs whose output changed between rounds", nullable=True),
        Column("output_dtype", "string", "dtype of the outputs as the model gave them", nullable=True),
        Column("output_count", "int64", "outputs for each input", nullable=True),
    ),
)

_PREDICTIONS = Table(
    "predictions",
    "attempt",
    "One row for each input of an attempt that succeeded: the full outputs of the first round.",
    (
        *_ATTEMPT,
        Column("sample_index", "int32", "position of the input"),
        Column("sample_id", "string", "the image"),
        Column(
            "top1_class",
            "int32",
            "class of the largest output, -1: background; null: not finite",
            nullable=True,
        ),
        Column("outputs", "list<float32>", "every output; rounded to float32 where `outputs_raw` is given"),
        Column(
            "outputs_raw", "binary", "little-endian bytes of a dtype that float32 cannot hold", nullable=True
        ),
    ),
)

_LATENCIES = Table(
    "latencies",
    "attempt",
    "One row for each timed run, nothing left out. A run takes as many images as the trial's `batch`.",
    (
        *_ATTEMPT,
        Column("run_index", "int64", "position in the order they ran, from 0"),
        Column("round_index", "int32", "which time through the input set, from 0"),
        Column("sample_index", "int32", "position of the input; of a batch the first one's"),
        Column("start_ns", "int64", "start of the run since measuring began, the board's clock", "ns"),
        Column("latency_ns", "int64", "the executor's run alone, of all its images, the board's clock", "ns"),
    ),
)

_TELEMETRY = Table(
    "telemetry",
    "attempt",
    "One row for each look at the board's state. A value that could not be read is null, with its reason.",
    (
        *_ATTEMPT,
        Column("reading_index", "int32", "position in time, from 0"),
        Column("phase", "string", "`before`, `during` or `after` measuring"),
        Column("unix_ns", "int64", "the board's clock since 1970", "ns"),
        Column("cpu_freq_mhz", "float64", "mean clock of the cores", "MHz", nullable=True),
        Column("governor", "string", "the CPU frequency governor", nullable=True),
        Column("temp_c", "float64", "hottest sensor of the CPU", "°C", nullable=True),
        Column("load_1min", "float64", "load average of the last minute", nullable=True),
        Column("memory_available_bytes", "int64", "memory that can still be had", "byte", nullable=True),
        Column("worker_rss_bytes", "int64", "resident memory of the worker", "byte", nullable=True),
        Column("throttled", "bool", "whether something slows the CPU or the GPU down", nullable=True),
        Column("unavailable", "map<string, string>", "why a column is null, by its name"),
        Column(
            "throttle_reasons",
            "list<string>",
            "what slows it down; empty: nothing; null: as `throttled`",
            nullable=True,
            since=2,
        ),
        Column(
            "rails",
            "map<string, float64>",
            "power of each rail, by its name; one may be part of another",
            "mW",
            nullable=True,
            since=2,
        ),
        Column("power_mode", "string", "the power mode, as the board names it", nullable=True, since=2),
        Column("gpu_freq_mhz", "float64", "clock of the first GPU", "MHz", nullable=True, since=2),
        Column("gpu_temp_c", "float64", "temperature of the first GPU", "°C", nullable=True, since=2),
        Column("gpu_load_percent", "float64", "how busy the first GPU is", "%", nullable=True, since=2),
        Column(
            "gpu_memory_used_bytes", "int64", "memory in use on the first GPU", "byte", nullable=True, since=2
        ),
    ),
)

# Of a look at the board: which one it was says the block.
_NOT_READ = ("trial_id", "attempt", "reading_index", "phase")

_KERNELS = Table(
    "kernels",
    "attempt",
    "One row for each kernel of one untimed run, where the study asks for it.",
    (
        *_ATTEMPT,
        Column("kernel_index", "int32", "position in the order they ran, from 0"),
        Column("name", "string", "name of the kernel"),
        Column("duration_ns", "int64", "time it took", "ns"),
        Column("output_shape", "list<int64>", "shape of its output"),
    ),
)

_READING = tuple(
    replace(column, nullable=True, since=1) for column in _TELEMETRY.columns if column.name not in _NOT_READ
)

_BLOCKS = Table(
    "blocks",
    "board",
    "One row for each block of variants that took turns: consecutive runs of one, and the board right after. "
    "A file has the blocks of some seconds.",
    (
        Column("board", "string", "the board"),
        Column("trial_id", "string", "the trial whose variant it is of"),
        Column("twin", "bool", "whether it is of the second copy of the variant, for the noise floor"),
        Column("lap", "int32", "which lap, from 0: in each lap every variant has its turn"),
        Column("turn", "int32", "which turn within the lap, from 0"),
        Column("launch", "int32", "how often everything was loaded anew before"),
        Column("phase", "string", "`soak`: before the board had its equilibrium; `measure`"),
        Column("started_unix_ns", "int64", "the host's clock at the start, since 1970", "ns"),
        Column(
            "latency_ns",
            "list<int64>",
            "the executor's run alone, in the order they ran; empty where the block failed",
            "ns",
        ),
        Column("batch", "int32", "images that each run took at once; null: 1", nullable=True, since=6),
        Column("verdict", "string", "`valid`, `suspect` or `invalid`: an invalid block counts for nothing"),
        Column("reasons", "list<string>", "why the verdict is not `valid`"),
        Column("cause", "string", "why the block failed; null where it did not", nullable=True),
        Column("message", "string", "the failure in words; empty where it did not fail"),
        Column("peak_rss_bytes", "int64", "largest resident memory of the worker", "byte", nullable=True),
        Column("spawn_ns", "int64", "start of the worker; null: the model was loaded", "ns", nullable=True),
        Column("load_ns", "int64", "from the artifact's file to a ready executor", "ns", nullable=True),
        Column("first_run_ns", "int64", "the first run after loading", "ns", nullable=True),
        Column("warmup_ns", "int64", "the other untimed runs together", "ns", nullable=True),
        Column("warmup_runs", "int32", "how many those were", nullable=True),
        Column("steady", "bool", "whether the last two windows of them agreed", nullable=True),
        Column("wall_ns", "int64", "from the first timed run to the last", "ns", nullable=True),
        Column("cpu_ns", "int64", "processor time of all threads of the worker", "ns", nullable=True),
        Column("voluntary_switches", "int64", "how often its threads waited", nullable=True),
        Column("involuntary_switches", "int64", "how often they lost their core", nullable=True),
        Column("major_faults", "int64", "pages that came from the disk", nullable=True),
        Column("cpu_stalled_ns", "int64", "some process waited for a core", "ns", nullable=True),
        Column("memory_stalled_ns", "int64", "some process waited for memory", "ns", nullable=True),
        Column("stolen_ns", "int64", "the host beneath ran something else, all cores", "ns", nullable=True),
        Column(
            "energy_uj",
            "int64",
            "what the board's processor packages used, their waiting among it",
            "µJ",
            nullable=True,
            since=8,
        ),
        *_READING,
    ),
)

_TIMINGS = Table(
    "timings",
    "board",
    "One row for each board whose variants took turns to the end.",
    (
        Column("board", "string", "the board"),
        Column("kind", "string", "why it ended: `precision`, `budget`, `laps` or `failed`"),
        Column("precision", "float64", "half the widest pair's 95 % interval; null: unknown", nullable=True),
        Column("laps", "int32", "laps in which every variant has a block that counts"),
        Column("spent_s", "float64", "wall time, soaking not counted", "s"),
        Column("deciding_s", "float64", "of it judging blocks and working out the precision", "s"),
        Column("protocol", "string", "how they took turns, as JSON"),
        Column(
            "soak_kind",
            "string",
            "why soaking ended: `settled`, `still` (the thermometer did not move at all), `time` or "
            "`no_thermometer`; null: not soaked",
            nullable=True,
            since=7,
        ),
        Column("soak_s", "float64", "how long the board was soaked", "s", nullable=True, since=7),
        Column("soak_first_c", "float64", "first temperature of it", "°C", nullable=True, since=7),
        Column("soak_last_c", "float64", "last temperature of it", "°C", nullable=True, since=7),
    ),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        _SAMPLES,
        _UNREADABLE,
        _ENVIRONMENT,
        _BUILDS,
        _TRIALS,
        _PREDICTIONS,
        _LATENCIES,
        _TELEMETRY,
        _KERNELS,
        _BLOCKS,
        _TIMINGS,
    )
}
ATTEMPT_TABLES: tuple[str, ...] = tuple(name for name, table in TABLES.items() if table.scope == "attempt")
