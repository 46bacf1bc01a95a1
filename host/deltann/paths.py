"""Where things are kept between runs on this machine."""

import os
from pathlib import Path

from platformdirs import user_cache_path

from deltann.core.errors import ResultsError


def cache_folder(name: str) -> Path:
    """Return (and create) the folder of one kind of cached thing, e.g. `builds`.

    `DELTANN_CACHE` names another place than the user's cache folder.

    Raises
    ------
    ResultsError
        If there can be no such folder.
    """
    root = os.environ.get("DELTANN_CACHE")
    folder = (Path(root) if root else user_cache_path("deltann")) / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(
            f"the cache folder cannot be made ({error.strerror})",
            where=str(folder),
            hint="Name another folder with DELTANN_CACHE",
        ) from error
    return folder
