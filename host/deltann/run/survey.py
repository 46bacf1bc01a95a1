"""Look at everything that a study names, before anything is built: model, images, boards."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from deltann.core.board import BoardFacts
from deltann.core.inputs import ImageFile
from deltann.core.model import ModelSource
from deltann.models.images import find_images
from deltann.models.source import open_model
from deltann.run.events import Listener, Note
from deltann.run.fleet import BoardAccess, look_at
from deltann.study.study import Study


@dataclass(frozen=True, slots=True)
class Survey:
    """What a study stands on, looked up and found fit.

    Attributes
    ----------
    study
        With every group of boards resolved to its boards.
    """

    study: Study
    model: ModelSource
    images: tuple[ImageFile, ...]
    boards: tuple[BoardFacts, ...]

    def board(self, name: str) -> BoardFacts:
        """Return the facts of one of the boards."""
        return next(board for board in self.boards if board.name == name)


async def make_survey(study: Study, boards: Sequence[BoardAccess], listener: Listener) -> Survey:
    """Look up the model, the images and the boards of a study. Nothing is written.

    Raises
    ------
    ModelError, DataError, MissingPackageError, BoardError
        If one of them is missing or unfit.
    """

    def note(text: str) -> None:
        listener(Note(text))

    model, images, facts = await asyncio.gather(
        asyncio.to_thread(open_model, study.model),
        asyncio.to_thread(find_images, study.data, on_note=note),
        asyncio.gather(*(look_at(board, listener) for board in boards)),
    )
    study = replace(study, boards=tuple(board.name for board in boards))
    return Survey(study, model, images, tuple(facts))
