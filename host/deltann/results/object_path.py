"""Folders and files of an object storage, used as those of a disk are."""

import contextlib
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from deltann.core.errors import MissingPackageError, ResultsError

_CONNECT_S, _ANSWER_S, _TRIES = 10.0, 60.0, 3
_NO_BUCKET = "Make it first: deltann makes none"
_NOBODY = ("NETWORK_CONNECTION", "Could not connect", "Could not resolve")
_REFUSED = (
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY",
    "SIGNATURE",
    "UNAUTHORIZED",
    "EXPIRED_TOKEN",
    "CREDENTIALS",
)


class ObjectPath:
    """A name in an object storage, reached through one of pyarrow's filesystems.

    What the storage refuses is a ResultsError that says what to do; a file that is not there is a
    FileNotFoundError, as on a disk.

    Parameters
    ----------
    filesystem
        A `pyarrow.fs.FileSystem`.
    key
        The bucket and the name in it, with slashes.
    root
        How its URL begins, e.g. `s3://`.
    """

    def __init__(self, filesystem: Any, key: str, root: str) -> None:
        self.filesystem = filesystem
        self.key = key
        self._root = root

    @property
    def name(self) -> str:
        """The last part of the name."""
        return PurePosixPath(self.key).name

    @property
    def stem(self) -> str:
        """The last part without what follows its last dot."""
        return PurePosixPath(self.key).stem

    @property
    def parent(self) -> "ObjectPath":
        """The folder that it is in."""
        return self._at(str(PurePosixPath(self.key).parent))

    def __truediv__(self, name: str) -> "ObjectPath":
        """Return what has this name in the folder."""
        return self._at(f"{self.key}/{name}")

    def __str__(self) -> str:
        """Return the URL."""
        return f"{self._root}{self.key}"

    def __repr__(self) -> str:
        """Return the URL as a value."""
        return f"ObjectPath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        """Return whether both are one place."""
        return isinstance(other, ObjectPath) and str(self) == str(other)

    def __hash__(self) -> int:
        """Return the same for the same place."""
        return hash(str(self))

    def __lt__(self, other: "ObjectPath") -> bool:
        """Return which comes first by name."""
        return self.key < other.key

    def exists(self) -> bool:
        """Return whether there is something."""
        return self.is_file() or self.is_dir()

    def is_file(self) -> bool:
        """Return whether it is a file."""
        return bool(self._info().is_file)

    def is_dir(self) -> bool:
        """Return whether some names begin with this one, or it is a bucket."""
        return str(self._info().type.name) == "Directory"

    def iterdir(self) -> Iterator["ObjectPath"]:
        """Return what is in a folder; nothing where there is none."""
        from pyarrow.fs import FileSelector

        with self._in_words():
            found = self.filesystem.get_file_info(FileSelector(self.key, allow_not_found=True))
        return (self._at(info.path) for info in found)

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        """Return what has such a name in a folder."""
        return (place for place in self.iterdir() if fnmatchcase(place.name, pattern))

    def open(self) -> Any:
        """Return the file, open for reading anywhere in it: a `pyarrow.NativeFile`."""
        with self._in_words():
            return self.filesystem.open_input_file(self.key)

    def read_bytes(self) -> bytes:
        """Return the content of a file."""
        with self._in_words(), self.filesystem.open_input_file(self.key) as file:
            content: bytes = file.read()
        return content

    def read_text(self, encoding: str | None = None) -> str:
        """Return the content of a text file."""
        return self.read_bytes().decode(encoding or "utf-8")

    def put(self, content: Any) -> None:
        """Write a file: it is there whole, or as it was before.

        Parameters
        ----------
        content
            All of it, as bytes or a buffer. What is closed early would be there, cut short.
        """
        with self._in_words(), self.filesystem.open_output_stream(self.key) as stream:
            stream.write(content)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove a file."""
        if missing_ok and not self.is_file():
            return
        with self._in_words():
            self.filesystem.delete_file(self.key)

    def remove_all(self) -> None:
        """Remove a folder with everything in it."""
        with self._in_words(), contextlib.suppress(FileNotFoundError):
            self.filesystem.delete_dir(self.key)

    def refusal(self, error: OSError) -> ResultsError | None:
        """Return what a storage refuses, in words; None where the error is not about that."""
        words = " ".join(str(error).split())
        if any(word in words for word in _NOBODY):
            what, hint = (
                "no object storage answers",
                "Look at AWS_ENDPOINT_URL, and whether it can be reached",
            )
        elif "NO_SUCH_BUCKET" in words:
            what, hint = f"there is no bucket {self._bucket!r}", _NO_BUCKET
        elif any(word in words for word in _REFUSED):
            what = "the object storage refuses these credentials, or there are none"
            hint = (
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of an account that may list, read and write"
            )
        elif "AWS Error" in words:
            what, hint = f"the object storage refuses ({words})", "Look at the bucket's rules"
        else:
            return None
        return ResultsError(what, where=str(self), hint=hint)

    def check_bucket(self) -> None:
        """Raise ResultsError when the bucket is not there or cannot be reached."""
        if self._bucket and not self._at(self._bucket).is_dir():
            raise ResultsError(
                f"there is no bucket {self._bucket!r}",
                where=str(self),
                hint=_NO_BUCKET,
            )

    @property
    def _bucket(self) -> str:
        return self.key.partition("/")[0]

    def _at(self, key: str) -> "ObjectPath":
        return ObjectPath(self.filesystem, key, self._root)

    def _info(self) -> Any:
        with self._in_words():
            return self.filesystem.get_file_info(self.key)

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            refusal = self.refusal(error)
            if refusal is None:
                raise
            raise refusal from error


def open_s3(url: str) -> ObjectPath:
    """Return a name in an S3 storage, `s3://BUCKET/NAME`: Amazon's, or the one that AWS_ENDPOINT_URL names.

    Raises
    ------
    ResultsError
        If there is no such bucket, or it cannot be reached.
    MissingPackageError
        If pyarrow is not installed.
    """
    try:
        from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem
    except ImportError as error:
        raise MissingPackageError("pyarrow is not installed", hint="pip install 'deltann[host]'") from error
    endpoint = urlsplit(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "")
    filesystem = S3FileSystem(
        endpoint_override=endpoint.netloc or None,
        scheme=endpoint.scheme or None,
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        connect_timeout=_CONNECT_S,
        request_timeout=_ANSWER_S,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=_TRIES),
        allow_delayed_open=True,  # a small file is one request
    )
    root, _, key = url.partition("://")
    place = ObjectPath(filesystem, key.strip("/"), f"{root}://")
    place.check_bucket()
    return place
