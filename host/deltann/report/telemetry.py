"""The boards' state before, during and after each trial, summarised for people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from deltann.core.format import MISSING, format_bytes
from deltann.core.record import Reading
from deltann.core.run_data import RunData, TrialResult

PHASES = ("before", "during", "after")
MAX_RAILS = 4


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    title: str
    collapse: Callable[[Sequence[float]], float]  # several readings of one phase
    show: Callable[[float], str]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


_FIELDS = (
    _Field("cpu_freq_mhz", "CPU clock, MHz", _mean, "{:.0f}".format),
    _Field("temp_c", "Temperature, °C", max, "{:.0f}".format),
    _Field("load_1min", "Load, 1 min", max, "{:.2f}".format),
    _Field("memory_available_bytes", "Memory available", min, lambda value: format_bytes(round(value))),
    _Field("worker_rss_bytes", "Memory of the worker", max, lambda value: format_bytes(round(value))),
    _Field("gpu_freq_mhz", "GPU clock, MHz", _mean, "{:.0f}".format),
    _Field("gpu_temp_c", "GPU temperature, °C", max, "{:.0f}".format),
    _Field("gpu_load_percent", "GPU load, %", max, "{:.0f}".format),
    _Field("gpu_memory_used_bytes", "GPU memory in use", max, lambda value: format_bytes(round(value))),
)
_WORDS = {"governor": "Governor", "power_mode": "Power mode", "throttled": "Throttled", "rails": "Power, W"}
_TITLES = {field.name: field.title for field in _FIELDS} | _WORDS
# Few boards have these: that one lacks them is worth a word only beside another that has them.
_SPECIAL = frozenset(("power_mode", "rails", *(name for name in _TITLES if name.startswith("gpu_"))))


@dataclass(frozen=True, slots=True)
class TelemetryRow:
    """One trial's state, a text for each column."""

    trial: TrialResult
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What could be read, and what could not.

    Attributes
    ----------
    columns
        Titles of what was read in at least one trial.
    unreadable
        Board, field and reason of what was read in none of the board's trials: of what every board should
        tell, and of the columns.
    """

    columns: tuple[str, ...]
    rows: tuple[TelemetryRow, ...]
    unreadable: tuple[tuple[str, str, str], ...]


def summarise_telemetry(data: RunData) -> Telemetry:
    """Return the telemetry of every trial that has readings."""
    watched = [trial for trial in data.trials if trial.readings]
    read = [name for name in _TITLES if any(_values(trial.readings, name) for trial in watched)]
    expected = [name for name in _TITLES if name in read or name not in _SPECIAL]
    return Telemetry(
        columns=tuple(_TITLES[name] for name in read),
        rows=tuple(
            TelemetryRow(trial, tuple(_cell(trial.readings, name) for name in read)) for trial in watched
        ),
        unreadable=tuple(_find_unreadable(watched, expected)),
    )


def _find_unreadable(watched: list[TrialResult], names: list[str]) -> list[tuple[str, str, str]]:
    boards: dict[str, list[Reading]] = {}
    for trial in watched:
        boards.setdefault(trial.board, []).extend(trial.readings)
    return [
        (board, _TITLES[name], _reason(readings, name))
        for board, readings in boards.items()
        for name in names
        if not _values(readings, name)
    ]


def _cell(readings: Sequence[Reading], name: str) -> str:
    if not _values(readings, name):
        return f"not readable: {_reason(readings, name)}"
    if name == "throttled":
        return _throttled_cell(readings)
    if name == "rails":
        return _rails_cell(readings)
    if name in _WORDS:
        return ", ".join(dict.fromkeys(_values(readings, name)))
    field = next(field for field in _FIELDS if field.name == name)
    return _phases(readings, lambda reading: getattr(reading, name), field.collapse, field.show)


def _throttled_cell(readings: Sequence[Reading]) -> str:
    if not any(reading.throttled for reading in readings):
        return "no"
    reasons = dict.fromkeys(reason for reading in readings for reason in reading.throttle_reasons or ())
    return f"yes: {', '.join(reasons)}" if reasons else "yes"


def _rails_cell(readings: Sequence[Reading]) -> str:
    """Return the power of the strongest rails; they are not added up, as one may be part of another."""
    highest: dict[str, float] = {}
    for reading in readings:
        for name, power_mw in reading.rails or ():
            highest[name] = max(power_mw, highest.get(name, 0.0))
    shown = sorted(highest, key=lambda name: -highest[name])[:MAX_RAILS]
    cells = [f"{name} {_phases(readings, _power_of(name), _mean, _watts)}" for name in shown]
    return "; ".join(cells + ([f"{len(highest) - MAX_RAILS} more"] if len(highest) > MAX_RAILS else []))


def _power_of(rail: str) -> Callable[[Reading], float | None]:
    return lambda reading: dict(reading.rails or ()).get(rail)


def _watts(power_mw: float) -> str:
    return f"{power_mw / 1000:.1f}"


def _phases(
    readings: Sequence[Reading],
    value_of: Callable[[Reading], float | None],
    collapse: Callable[[Sequence[float]], float],
    show: Callable[[float], str],
) -> str:
    """Return the value before, during and after."""
    cells = []
    for phase in PHASES:
        found = (value_of(reading) for reading in readings if reading.phase == phase)
        values = [value for value in found if value is not None]
        cells.append(show(collapse(values)) if values else MISSING)
    return " / ".join(cells)


def _values(readings: Sequence[Reading], name: str) -> list[Any]:
    return [value for reading in readings if (value := getattr(reading, name)) is not None]


def _reason(readings: Sequence[Reading], name: str) -> str:
    reasons = dict.fromkeys(
        why for reading in readings for field, why in reading.unavailable if field == name
    )
    return "; ".join(reasons) or "no reason given"
