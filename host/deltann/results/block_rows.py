"""Blocks and the ends of timings as rows of their tables, and rows as records again. No I/O."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from deltann.core.block import (
    Block,
    Launch,
    Phase,
    Place,
    SoakEnd,
    SoakEndKind,
    Strain,
    TimingEnd,
    TimingEndKind,
    Verdict,
)
from deltann.core.record import Reading
from deltann.core.timing import Timing, TimingState, WarmUp
from deltann.core.trial import Cause
from deltann.results.rows import Row

DURING = "during"


def block_row(block: Block) -> Row:
    """Return the row of `blocks`."""
    row: dict[str, Any] = {
        **asdict(block.place),
        "started_unix_ns": block.started_unix_ns,
        "latency_ns": list(block.latency_ns),
        "batch": block.batch,
        "verdict": block.verdict.value,
        "reasons": list(block.reasons),
        "cause": None if block.cause is None else block.cause.value,
        "message": block.message,
        "peak_rss_bytes": block.peak_rss_bytes,
    }
    for part in (block.launch, block.strain, block.reading):
        row |= asdict(part) if part is not None else {}
    return {**row, "phase": block.place.phase.value}


def blocks_of(rows: Sequence[Row]) -> tuple[Block, ...]:
    """Return the blocks of rows, in their order."""
    return tuple(map(_block_of, rows))


def _block_of(row: Row) -> Block:
    return Block(
        place=Place(**{**_values(row, Place), "phase": Phase(row["phase"])}),
        started_unix_ns=row["started_unix_ns"],
        latency_ns=tuple(row["latency_ns"]),
        batch=row["batch"] or 1,
        peak_rss_bytes=row["peak_rss_bytes"],
        cause=None if row["cause"] is None else Cause(row["cause"]),
        message=row["message"],
        verdict=Verdict(row["verdict"]),
        reasons=tuple(row["reasons"]),
        launch=None if row["load_ns"] is None else Launch(**_values(row, Launch)),
        strain=None if row["wall_ns"] is None else Strain(**_values(row, Strain)),
        reading=None if row["unix_ns"] is None else Reading(**_values(row, Reading)),
    )


def _values(row: Row, kind: type[Any]) -> dict[str, Any]:
    values = {field.name: row[field.name] for field in fields(kind)}
    if kind is Reading:
        values["phase"] = DURING
        values["unavailable"] = tuple(row["unavailable"] or ())
        for name in ("throttle_reasons", "rails"):
            values[name] = None if row[name] is None else tuple(row[name])
    return values


def timing_row(end: TimingEnd) -> Row:
    """Return the row of `timings`."""
    return {
        "board": end.board,
        "kind": end.kind.value,
        "precision": end.precision,
        "laps": end.laps,
        "spent_s": end.spent_s,
        "deciding_s": end.deciding_s,
        "protocol": json.dumps(asdict(end.timing)),
        "soak_kind": end.soak and end.soak.kind.value,
        "soak_s": end.soak and end.soak.duration_s,
        "soak_first_c": end.soak and end.soak.first_temp_c,
        "soak_last_c": end.soak and end.soak.last_temp_c,
    }


def timing_of(row: Row) -> TimingEnd:
    """Return how the timing of a board ended."""
    protocol = json.loads(row["protocol"])
    return TimingEnd(
        board=row["board"],
        timing=Timing(
            **{
                **protocol,
                "state": TimingState(protocol["state"]),
                "warm_up": WarmUp(**protocol["warm_up"]),
            }
        ),
        kind=TimingEndKind(row["kind"]),
        precision=row["precision"],
        laps=row["laps"],
        spent_s=row["spent_s"],
        deciding_s=row["deciding_s"],
        soak=_soak_of(row),
    )


def _soak_of(row: Row) -> SoakEnd | None:
    if row["soak_kind"] is None:
        return None
    return SoakEnd(SoakEndKind(row["soak_kind"]), row["soak_s"], row["soak_first_c"], row["soak_last_c"])
