"""What is left to be timed on the boards of a run."""

from collections.abc import Collection, Sequence
from functools import partial

from deltann.core.block import Block, Phase
from deltann.core.trial import Status
from deltann.results.folder import RunFolder
from deltann.run.prepare import Prepared
from deltann.run.sitting import TimingTask


def spent_s(blocks: Sequence[Block]) -> float:
    """Return how much of the budget these blocks took: of each launch from the first start to the last one.

    Those of soaking took none.
    """
    begun: dict[int, tuple[int, int]] = {}
    for block in blocks:
        if block.place.phase is Phase.SOAK:
            continue
        first, last = begun.get(block.place.launch, (block.started_unix_ns, block.started_unix_ns))
        begun[block.place.launch] = min(first, block.started_unix_ns), max(last, block.started_unix_ns)
    return sum(last - first for first, last in begun.values()) / 1e9


def timing_tasks(prepared: Prepared, folder: RunFolder, absent: Collection[str]) -> dict[str, TimingTask]:
    """Return what is to be timed on each board, by its name; nothing on one that is done, or emulated.

    Parameters
    ----------
    absent
        Names of boards that no host reaches.
    """
    timing = prepared.survey.study.timing
    if timing is None:
        return {}
    ended = {end.board for end in folder.timings()}
    ends = folder.attempts()
    measured = {trial for trial, made in ends.items() if made[-1].status is Status.OK}
    tasks = {}
    for board in prepared.survey.boards:
        trials = tuple(
            trial for trial in prepared.plan.trials if trial.board == board.name and trial.missing is None
        )
        if trials and not board.emulated and board.name not in {*ended, *absent}:
            done = list(folder.blocks(board.name))
            tasks[board.name] = TimingTask(
                timing=timing,
                trials=trials,
                record_blocks=partial(folder.write_blocks, board.name),
                record_end=folder.write_timing,
                measured={trial.trial_id for trial in trials} & measured,
                done=done,
                spent_s=spent_s(done),
            )
    return tasks
