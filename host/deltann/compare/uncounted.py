"""What boards did not tell while their variants took turns, and what follows from that."""

from collections.abc import Iterator, Sequence

from deltann.core.block import Block, SoakEndKind, TimingEnd
from deltann.core.comparison import Finding, FindingKind, Severity
from deltann.core.format import format_duration, format_number
from deltann.core.run_data import RunData
from deltann.core.words import enumerate_words


def uncounted_findings(data: RunData) -> Iterator[Finding]:
    """Return what could not be read or counted on each board, once for each, in the order of the boards."""
    for end in data.timings:
        blocks = [block for block in data.blocks if block.place.board == end.board]
        trials = tuple(trial.trial_id for trial in data.trials if trial.board == end.board)
        for text in (*_throttling(end.board, blocks), *_strain(end.board, blocks), *_soaking(end)):
            yield Finding(FindingKind.SENSOR, Severity.NOTE, trials, None, text)


def _throttling(board: str, blocks: Sequence[Block]) -> Iterator[str]:
    readings = [block.reading for block in blocks if block.reading is not None]
    if not readings or any(reading.throttled is not None for reading in readings):
        return
    reasons = dict(readings[-1].unavailable)
    why = f" ({reasons['throttled']})" if "throttled" in reasons else ""
    yield f"Whether {board} was throttled could not be read{why}: no block is held to be invalid for it."


def _strain(board: str, blocks: Sequence[Block]) -> Iterator[str]:
    strains = [block.strain for block in blocks if block.strain is not None]
    waits = "how long processes waited for a core"
    uncounted = {
        waits: all(strain.cpu_stalled_ns is None for strain in strains),
        "how long they waited for memory": all(strain.memory_stalled_ns is None for strain in strains),
        "what a host beneath took": all(strain.stolen_ns is None for strain in strains),
    }
    words = [what for what, is_missing in uncounted.items() if is_missing]
    if strains and words:
        instead = "; how often threads lost their core stands in for the first" if waits in words else ""
        yield f"The kernel of {board} does not count {enumerate_words(words)}{instead}."


def _soaking(end: TimingEnd) -> Iterator[str]:
    soak = end.soak
    if soak is None:
        return
    soaked = f"{end.board} was soaked for {format_duration(soak.duration_s * 1e9)}"
    if soak.kind is SoakEndKind.TIME:
        yield (
            f"{soaked}, and its temperature had not settled: times may be those of a board that still "
            "becomes warmer. Give it more time by soak: in the study."
        )
    elif soak.kind is SoakEndKind.NO_THERMOMETER:
        yield f"{soaked} without a temperature that can be read: whether it has its equilibrium is not known."
    elif soak.kind is SoakEndKind.STILL:
        yield (
            f"{soaked}, and its thermometer read {format_number(soak.last_temp_c)} °C throughout: either it "
            "was as warm before, or the thermometer does not move."
        )
