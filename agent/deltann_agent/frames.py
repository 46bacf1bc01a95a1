"""The border between the agent and a worker: typed frames over the worker's stdin and stdout.

A frame is two lengths (little-endian uint32: header, payload), a JSON header with the frame's name and
fields, and a binary payload where the frame has one. JSON rather than pickle, because the worker runs
code that was uploaded: what it says must not be able to run anything in the agent.
"""

import json
import struct
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

PREFIX = struct.Struct("<II")
MAX_HEADER_BYTES = 64 * 2**20
MAX_PAYLOAD_BYTES = 256 * 2**20


class FrameError(ValueError):
    """Bytes that are not a frame."""


@dataclass(frozen=True, slots=True)
class Setup:
    """First frame to a worker: the runtime it is for. Equal ones make a worker fit for another trial.

    Attributes
    ----------
    binding
        `none` or `cores`.
    library
        Path of libtvm_runtime.so; empty for other runtimes.
    device
        What computes: `cpu`, `cuda` or `opencl`.
    options
        Name and value of what the runtime alone has to be told.
    python
        The Python that has the runtime; empty: the agent's own.
    """

    runtime: str
    threads: int
    binding: str
    library: str
    device: str = "cpu"
    options: tuple[tuple[str, str], ...] = ()
    python: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """The runtime is loaded; `threads_source` says in words how its threads were set."""

    threads_source: str


@dataclass(frozen=True, slots=True)
class Order:
    """One trial.

    Attributes
    ----------
    artifact, inputs
        Paths of the model and of `count` uint8 images, one after the other: each as the input's shape has it,
        with a batch of 1.
    payload
        Lookup table, float32 little-endian (channels, 256), for the axis `channel_axis` of the input;
        empty: the bytes are the input.
    rounds
        0: the model stays loaded, and each Block that follows says what to time.
    warm_ns, agreement, limit_ns
        As the wire's WarmUp has them.
    batch
        Images that one run takes at once: the first axis of input and output.
    """

    artifact: str
    inputs: str
    count: int
    input_name: str
    input_shape: tuple[int, ...]
    input_dtype: str
    output_name: str
    output_shape: tuple[int, ...]
    output_dtype: str
    channel_axis: int
    warmup_runs: int
    rounds: int
    kernels: bool
    payload: bytes
    warm_ns: int = 0
    agreement: float = 0.0
    limit_ns: int = 0
    batch: int = 1


@dataclass(frozen=True, slots=True)
class Started:
    """Loaded and warmed up; measuring begins.

    Attributes
    ----------
    strain
        What else happened during the first run: the fields of Strain, by name.
    """

    load_ns: int
    first_run_ns: int
    warmup_ns: int
    warmup_runs: int
    steady: bool
    strain: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive timed runs of the model that is loaded; fields as in the wire's RunBlockRequest."""

    runs: int
    duration_ns: int
    every_input: bool
    first_input: int


@dataclass(frozen=True, slots=True)
class Strain:
    """What else happened while a block was timed; fields as in the wire's Strain."""

    wall_ns: int
    cpu_ns: int
    voluntary_switches: int
    involuntary_switches: int
    major_faults: int
    cpu_stalled_ns: int | None
    memory_stalled_ns: int | None
    stolen_ns: int | None
    energy_uj: int | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive runs of one round; `payload` holds the outputs in round 0.

    Attributes
    ----------
    first_index
        The first image of the first run; the next run takes the next images, as many as the order's batch.
    start_ns, latency_ns
        One value a run: since measuring began, and the executor's run alone.
    changed
        Later rounds: indices of images whose output is not the bytes of round 0.
    pause
        Whether the worker now waits for GoOn, so that the board can be looked at while nothing is timed.
    """

    round: int
    first_index: int
    start_ns: tuple[int, ...]
    latency_ns: tuple[int, ...]
    changed: tuple[int, ...]
    payload: bytes
    pause: bool = False


@dataclass(frozen=True, slots=True)
class GoOn:
    """To a worker that waits: the next run may begin."""


@dataclass(frozen=True, slots=True)
class KernelTimes:
    """The kernels of one run, in order: three columns of one length."""

    names: tuple[str, ...]
    durations_ns: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """The trial is complete; wall time of all rounds, and of it inside the executor."""

    measuring_ns: int
    running_ns: int
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The trial or the set-up ended; `cause` is a name of the wire's `Failed.Cause`."""

    cause: str
    message: str


Frame: TypeAlias = (
    Setup | Ready | Order | Started | Block | Batch | Strain | GoOn | KernelTimes | Finished | Failed
)
_BY_NAME: dict[str, type[Frame]] = {
    kind.__name__: kind
    for kind in (
        *(Setup, Ready, Order, Started, Block, Batch, Strain),
        *(GoOn, KernelTimes, Finished, Failed),
    )
}


def encode(frame: Frame) -> bytes:
    """Return the bytes of a frame."""
    values = {one.name: getattr(frame, one.name) for one in fields(frame)}
    payload: bytes = values.pop("payload", b"")
    header = json.dumps([type(frame).__name__, values]).encode()
    return b"".join((PREFIX.pack(len(header), len(payload)), header, payload))


def lengths(prefix: bytes) -> tuple[int, int]:
    """Return the lengths of header and payload.

    Raises
    ------
    FrameError
        If no frame is that long.
    """
    header_bytes, payload_bytes = PREFIX.unpack(prefix)
    if header_bytes > MAX_HEADER_BYTES or payload_bytes > MAX_PAYLOAD_BYTES:
        raise FrameError(f"a frame of {header_bytes} + {payload_bytes} bytes is too long")
    return header_bytes, payload_bytes


def decode(header: bytes, payload: bytes) -> Frame:
    """Return the frame of a header and its payload.

    Raises
    ------
    FrameError
        If they are not a frame.
    """
    try:
        name, values = json.loads(header)
        kind = _BY_NAME[name]
        if any(one.name == "payload" for one in fields(kind)):
            values["payload"] = payload
        return kind(**{key: _tuples(value) for key, value in values.items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FrameError(f"not a frame: {header[:80]!r}") from error


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
