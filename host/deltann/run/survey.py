"""Look at everything that a study names, before anything is built: model, images, boards."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from deltann.core.board import BoardFacts
from deltann.core.errors import BoardError
from deltann.core.inputs import ImageFile
from deltann.core.model import ModelSource
from deltann.fleet.local import LOCAL_BOARD
from deltann.models.images import find_images
from deltann.models.source import open_model
from deltann.run.events import Listener, Note
from deltann.run.fleet import AbsentBoard, BoardAccess, look_at
from deltann.study.study import Study


@dataclass(frozen=True, slots=True)
class Survey:
    """What a study stands on, looked up and found fit.

    Attributes
    ----------
    study
        With every group of boards resolved to its boards.
    unreached
        Boards that did not answer, by name, with the reason; their facts are those that were remembered.
    """

    study: Study
    model: ModelSource
    images: tuple[ImageFile, ...]
    boards: tuple[BoardFacts, ...]
    unreached: Mapping[str, BoardError] = field(default_factory=dict)

    def board(self, name: str) -> BoardFacts:
        """Return the facts of one of the boards."""
        return next(board for board in self.boards if board.name == name)


@dataclass(frozen=True, slots=True)
class Memory:
    """What a run that goes on knows of its boards without asking them.

    Attributes
    ----------
    facts
        By name, as the boards answered last.
    done
        Names of boards without anything left to measure.
    """

    facts: Mapping[str, BoardFacts] = field(default_factory=dict)
    done: Collection[str] = ()


NO_MEMORY = Memory()


async def make_survey(
    study: Study,
    boards: Sequence[BoardAccess],
    listener: Listener,
    memory: Memory = NO_MEMORY,
    *,
    may_fetch: bool = True,
) -> Survey:
    """Look up the model, the images and the boards of a study. Nothing is written but fetched weights.

    Of a board that is remembered, and has nothing left to measure or does not answer, the memory is taken.

    Raises
    ------
    ModelError, DataError, MissingPackageError, BoardError
        If one of them is missing or unfit, or none of the boards answers that are remembered.
    """

    def note(text: str) -> None:
        listener(Note(text))

    model, images, answers = await asyncio.gather(
        asyncio.to_thread(open_model, study.model, may_fetch=may_fetch),
        asyncio.to_thread(find_images, study.data, on_note=note),
        asyncio.gather(*(_ask(board, listener, memory) for board in boards)),
    )
    if model.to_fetch:
        note(f"The weights of {model.name} are not on this machine: a run fetches them first.")
    unreached = {answer.facts.name: answer.trouble for answer in answers if answer.trouble is not None}
    if unreached and not any(answer.fresh for answer in answers):
        raise next(iter(unreached.values()))
    for trouble in unreached.values():
        listener(Note(f"{trouble} The others go on without it for now."))
    study = replace(study, boards=tuple(board.name for board in boards))
    return Survey(study, model, images, tuple(answer.facts for answer in answers), unreached)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is known of a board: from itself just now (`fresh`), or remembered, as it could not be asked."""

    facts: BoardFacts
    fresh: bool = False
    trouble: BoardError | None = None


async def _ask(board: BoardAccess, listener: Listener, memory: Memory) -> _Answer:
    if isinstance(board, AbsentBoard):
        return _Answer(board.facts())
    remembered = memory.facts.get(board.name)
    if remembered is not None and board.name in memory.done:
        return _Answer(remembered)
    try:
        return _Answer(await look_at(board, listener), fresh=True)
    except BoardError as error:
        # This machine is there: what it cannot do now, waiting does not mend.
        if remembered is None or board.name == LOCAL_BOARD:
            raise
        return _Answer(remembered, trouble=error)
