"""Run folders by the words that name them: a path, or the URL of an object storage."""

from pathlib import Path

from deltann.core.errors import ResultsError
from deltann.core.place import Place
from deltann.results.object_path import open_s3


def find_place(words: str) -> Place:
    """Return the place that words name: `s3://BUCKET/NAME`, else a path of this machine.

    Raises
    ------
    ResultsError
        If they name another kind of storage, or one that cannot be reached.
    """
    scheme, separator, rest = words.partition("://")
    if not separator:
        return Path(words)
    if scheme != "s3" or not rest.strip("/"):
        raise ResultsError(
            "this is no place for run folders", where=words, hint="Name a folder, or s3://BUCKET/NAME"
        )
    return open_s3(words)
