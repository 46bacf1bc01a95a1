"""What is left to be timed on the boards of a run."""

from collections.abc import Collection
from functools import partial

from deltann.core.trial import Status
from deltann.results.folder import RunFolder
from deltann.run.prepare import Prepared
from deltann.run.sitting import TimingTask


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
    done = {end.board for end in folder.timings()}
    ends = folder.attempts()
    measured = {trial for trial, made in ends.items() if made[-1].status is Status.OK}
    tasks = {}
    for board in prepared.survey.boards:
        trials = tuple(
            trial for trial in prepared.plan.trials if trial.board == board.name and trial.missing is None
        )
        if trials and not board.emulated and board.name not in {*done, *absent}:
            before = folder.blocks(board.name)
            tasks[board.name] = TimingTask(
                timing=timing,
                trials=trials,
                measured={trial.trial_id for trial in trials} & measured,
                before=before,
                spent_s=sum(block.strain.wall_ns for block in before if block.strain is not None) / 1e9,
                record_blocks=partial(folder.write_blocks, board.name),
                record_end=folder.write_timing,
            )
    return tasks
