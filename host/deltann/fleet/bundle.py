"""The two files that go to and come from a board without network; `deltann_agent.bundle` describes them."""

import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deltann.core.errors import BoardError, ResultsError
from deltann_proto import PROTOCOL
from deltann_proto.v1 import agent_pb2 as pb

SCHEMA = 1
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Result:
    """What a bundle gave.

    Attributes
    ----------
    bundle
        Digest of the bundle that was executed.
    events
        Of each trial, by its number in the bundle.
    """

    bundle: str
    description: pb.Description
    events: Mapping[str, tuple[pb.TrialEvent, ...]]


def write_bundle(path: Path, requests: Sequence[pb.RunTrialRequest], blobs: Mapping[str, Path]) -> str:
    """Write the bundle of some trials, in this order; return its digest.

    Parameters
    ----------
    blobs
        The file of every digest that a request names.

    Raises
    ------
    BoardError
        If the file cannot be written.
    """
    trials = {
        f"trials/{number:03}.pb": request.SerializeToString() for number, request in enumerate(requests)
    }
    members = {name: hashlib.sha256(data).hexdigest() for name, data in trials.items()}
    members.update({f"blobs/{digest}": digest for digest in sorted(blobs)})
    manifest = json.dumps({"schema": SCHEMA, "protocol": PROTOCOL, "members": members}, indent=1).encode()
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(partial, "w") as archive:
            for name, data in {"bundle.json": manifest, **trials}.items():
                _add(archive, name, data)
            for digest, file in sorted(blobs.items()):
                archive.add(file, f"blobs/{digest}", recursive=False, filter=_anonymous)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise BoardError(
            f"the bundle cannot be written: {error.strerror}", where=str(path), hint="Name another --output"
        ) from error
    return hashlib.sha256(manifest).hexdigest()


def read_result(path: Path) -> Result:
    """Return the result in a file.

    Raises
    ------
    ResultsError
        If it is none, was altered or was cut short.
    """
    try:
        with tarfile.open(path) as archive:
            files = {
                member.name: stream.read()
                for member in archive
                if member.isfile() and (stream := archive.extractfile(member)) is not None
            }
        summary = json.loads(files["result.json"])
        members: dict[str, str] = summary["members"]
        schema, bundle = summary["schema"], summary["bundle"]
    except (OSError, tarfile.TarError, EOFError, ValueError, KeyError, TypeError) as error:
        raise _no_result(path, f"it is no result of a bundle, or was cut short ({error})") from error
    if schema != SCHEMA:
        raise _no_result(path, f"it has schema {schema}, this host reads {SCHEMA}")
    for name, digest in members.items():
        if hashlib.sha256(files.get(name, b"")).hexdigest() != digest:
            raise _no_result(path, f"it was altered: {name} is not what the agent wrote")
    events = {
        Path(name).stem: tuple(_read_events(data))
        for name, data in files.items()
        if name.startswith("events/") and name in members
    }
    return Result(bundle, pb.Description.FromString(files["description.pb"]), events)


def _read_events(data: bytes) -> list[pb.TrialEvent]:
    events, place = [], 0
    while place < len(data):
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size
        events.append(pb.TrialEvent.FromString(data[place : place + length]))
        place += length
    return events


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out whose file it was and when: the same trials give the same bundle."""
    plain = tarfile.TarInfo(member.name)
    plain.size = member.size
    return plain


def _no_result(path: Path, what: str) -> ResultsError:
    return ResultsError(
        what, where=str(path), hint="Copy it from the board again, or execute the bundle again"
    )
