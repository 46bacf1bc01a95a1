"""The two files that go to and come from a board without network; `deltann_agent.bundle` describes them."""

import contextlib
import hashlib
import io
import json
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from google.protobuf.message import DecodeError

from deltann.core.errors import BoardError, ResultsError
from deltann.core.hashing import digest_bytes, digest_file
from deltann.fleet.kit_file import Kit
from deltann_proto import PROTOCOL
from deltann_proto.v1 import agent_pb2 as pb

SCHEMA = 1
MOST_BYTES = 2**32 - 2**20
"""What Python can start, before 3.13: beyond it, zip files have another form."""

# A file that was cut short is no zip file any more. Python then takes it for source code, whose first line it
# obeys: "encoding problem: this-file-was-cut-short...copy-it-here-again".
_FIRST_LINE = b"# coding: this-file-was-cut-short...copy-it-here-again\n"
_START = Path(__file__).with_name("bundle_start.py")
_LENGTH = struct.Struct("<I")
_CHUNK_BYTES = 2**20
# What zipfile and protobuf raise for bytes that are not as they were written.
_DAMAGE = (
    *(EOFError, ValueError, KeyError, TypeError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, struct.error, DecodeError),
)


@dataclass(frozen=True, slots=True)
class Result:
    """The file with what a bundle gave.

    Attributes
    ----------
    bundle
        Digest of the bundle that was executed.
    trials
        Their numbers in the bundle, in order.
    """

    path: Path
    bundle: str
    description: pb.Description
    trials: tuple[str, ...]

    def events(self, trial: str) -> Iterator[pb.TrialEvent]:
        """Give the events of a trial, one after the other."""
        with (
            _readable(self.path),
            zipfile.ZipFile(self.path) as archive,
            archive.open(_events(trial)) as file,
        ):
            while prefix := file.read(_LENGTH.size):
                yield pb.TrialEvent.FromString(file.read(_LENGTH.unpack(prefix)[0]))


def write_bundle(
    path: Path, requests: Sequence[pb.RunTrialRequest], blobs: Mapping[str, Path], kit: Kit | None
) -> str:
    """Write the bundle of some trials, in this order; return its digest.

    Parameters
    ----------
    blobs
        The file of every digest that a request names.
    kit
        For a board without an agent.

    Raises
    ------
    BoardError
        If the file cannot be written, or would be too large to be started.
    """
    texts = {f"trials/{number:03}.pb": request.SerializeToString() for number, request in enumerate(requests)}
    files = {f"blobs/{digest}": file for digest, file in sorted(blobs.items())}
    try:
        texts["__main__.py"] = _START.read_bytes()
        members = {name: digest_bytes(data) for name, data in texts.items()}
        members.update((f"blobs/{digest}", digest) for digest in blobs)
        brought = None
        if kit is not None:
            member = f"kit/{kit.path.name}"
            files[member] = kit.path
            members[member] = digest_file(kit.path)
            brought = {"member": member, "architecture": kit.architecture, "python": kit.python}
            _check_size(path, sum(file.stat().st_size for file in files.values()))
        manifest = {"schema": SCHEMA, "protocol": PROTOCOL, "kit": brought, "members": members}
        text = json.dumps(manifest, indent=1, sort_keys=True).encode()
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, {"bundle.json": text, **texts}, files)
    except OSError as error:
        raise BoardError(
            f"the bundle cannot be written: {error.strerror}", where=str(path), hint="Name another --output"
        ) from error
    return digest_bytes(text)


def read_result(path: Path) -> Result:
    """Return the result in a file, every byte of it checked against its digests.

    Raises
    ------
    ResultsError
        If it is none, was altered or was cut short.
    """
    with _readable(path), zipfile.ZipFile(path) as archive:
        summary = json.loads(archive.read("result.json"))
        members: dict[str, str] = dict(summary["members"])
        if summary["schema"] != SCHEMA:
            raise _no_result(path, f"it has schema {summary['schema']}, this host reads {SCHEMA}")
        if sorted(archive.namelist()) != sorted(["result.json", *members]):
            raise _no_result(path, "it was altered: it has other members than it lists")
        for name, digest in members.items():
            with archive.open(name) as file:
                if _digest_of(file) != digest:
                    raise _no_result(path, f"it was altered: {name} is not what the agent wrote")
        description = pb.Description.FromString(archive.read("description.pb"))
    trials = sorted(Path(name).stem for name in members if name.startswith("events/"))
    return Result(path, str(summary["bundle"]), description, tuple(trials))


def _write(path: Path, texts: Mapping[str, bytes], files: Mapping[str, Path]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as target:
            target.write(_FIRST_LINE)
            with zipfile.ZipFile(target, "w") as archive:
                for name, data in texts.items():
                    _add(archive, name, io.BytesIO(data), len(data))
                for name, file in files.items():
                    with file.open("rb") as source:
                        _add(archive, name, source, file.stat().st_size)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _add(archive: zipfile.ZipFile, name: str, source: IO[bytes], size_bytes: int) -> None:
    # Without time and packing (weights and kits do not shrink): the same trials give the same bundle.
    member = zipfile.ZipInfo(name)
    member.file_size = size_bytes
    with archive.open(member, "w") as target:
        shutil.copyfileobj(source, target, _CHUNK_BYTES)


def _check_size(path: Path, size_bytes: int) -> None:
    if size_bytes > MOST_BYTES:
        raise BoardError(
            f"the bundle would have {size_bytes / 1e9:.1f} GB, Python starts up to {MOST_BYTES / 1e9:.1f}",
            where=str(path),
            hint="Take fewer images, or bring the agent to the board first and leave it out with --no-kit",
        )


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say what is wrong with a result that cannot be read."""
    try:
        yield
    except OSError as error:
        raise ResultsError(f"it cannot be read: {error.strerror or error}", where=str(path)) from error
    except _DAMAGE as error:
        raise _no_result(path, f"it is no result of a bundle, or was cut short ({error})") from error


def _no_result(path: Path, what: str) -> ResultsError:
    return ResultsError(
        what, where=str(path), hint="Copy it from the board again, or execute the bundle again"
    )


def _events(trial: str) -> str:
    return f"events/{trial}.pb"


def _digest_of(file: IO[bytes]) -> str:
    found = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        found.update(chunk)
    return found.hexdigest()
