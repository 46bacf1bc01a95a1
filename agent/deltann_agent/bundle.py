"""Bundles: trials in a file, for a board that no host can reach, and a file with what they gave.

A bundle is a zip file:

    bundle.json      schema, version of the wire, which kit it brings, sha256 of every other member
    trials/NNN.pb    RunTrialRequest, in their order
    blobs/SHA256     artifacts and input sets
    kit/NAME         an agent for a board that has none; the agent that reads this needs no other
    __main__.py      what Python starts, which takes the kit out and starts its agent

Its digest is that of `bundle.json`. The result is a zip file, too: `result.json` with the bundle's digest and
those of its members, `description.pb`, and `events/NNN.pb` (TrialEvent, each after its length as
little-endian uint32).
"""

import contextlib
import hashlib
import io
import json
import logging
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from deltann_agent.describe import describe
from deltann_agent.errors import BundleError, InvalidError, RefusalError
from deltann_agent.prepare import Here
from deltann_agent.request import TrialFiles
from deltann_agent.workers import WorkerPool
from deltann_proto import PROTOCOL
from deltann_proto.v1 import agent_pb2 as pb

SCHEMA = 1
MANIFEST = "bundle.json"
LENGTH = struct.Struct("<I")
SHORT_DIGITS = 12
_MEMBER = re.compile(r"trials/[0-9]+\.pb|blobs/[0-9a-f]{64}|kit/[\w.-]+|__main__\.py")
_UNPACKED = ("trials/", "blobs/")
_CHUNK_BYTES = 2**20
# What zipfile raises for bytes that are not as they were written.
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, KeyError, RuntimeError)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle found whole, its trials and their files unpacked.

    Attributes
    ----------
    folder
        A work folder beside the result, whose name says which bundle it is of: when an execution is
        interrupted it stays, and the next one goes on with what is in it.
    """

    folder: Path
    digest: str
    trials: tuple[str, ...]

    def request(self, trial: str) -> pb.RunTrialRequest:
        """Return the order of a trial."""
        return pb.RunTrialRequest.FromString((self.folder / f"trials/{trial}.pb").read_bytes())

    def files(self, request: pb.RunTrialRequest) -> TrialFiles:
        """Return where the files of a trial are."""
        blobs = self.folder / "blobs"
        return TrialFiles(blobs / request.artifact_digest, blobs / request.inputs.digest)


def unpack(path: Path, output: Path) -> Bundle:
    """Return the bundle of a file, unpacked beside the result that is to come.

    Raises
    ------
    BundleError
        If it is none, was altered or cut short, or is for another version of the agent.
    OSError
        If there is no room for it.
    """
    with _readable(path):
        archive = zipfile.ZipFile(path)
    with archive:
        with _readable(path):
            text = archive.read(MANIFEST)
            members = _read_manifest(text, path)
        if sorted(archive.namelist()) != sorted([MANIFEST, *members]):
            raise BundleError(f"{path} was altered: it has other members than it lists. Copy it here again.")
        digest = hashlib.sha256(text).hexdigest()
        folder = output.with_name(f"{output.name}.{digest[:SHORT_DIGITS]}.work")
        for name, sha256 in members.items():
            _unpack_member(archive, name, sha256, folder, path)
    names = sorted(name for name in members if name.startswith("trials/"))
    return Bundle(folder, digest, tuple(Path(name).stem for name in names))


async def execute(bundle: Bundle, output: Path, here: Here) -> int:
    """Run every trial of a bundle and write the result file; return how many trials failed.

    Trials that an interrupted execution has finished are not run again.

    Raises
    ------
    OSError
        If there is no room for the result.
    """
    events = bundle.folder / "events"
    events.mkdir(exist_ok=True)
    pool = WorkerPool()
    failed = 0
    try:
        for number, trial in enumerate(bundle.trials, 1):
            file = events / f"{trial}.pb"
            if not file.exists():
                await _execute_trial(bundle, trial, file, here, pool)
            last = _last_event(file)
            ended = last.WhichOneof("event")
            failed += ended == "failed"
            words = "measured" if ended == "finished" else last.failed.message
            _log.info("trial %d of %d: %s", number, len(bundle.trials), words)
    finally:
        await pool.end()
    (bundle.folder / "description.pb").write_bytes(describe(here).SerializeToString())
    _pack_result(bundle, output)
    return failed


async def _execute_trial(bundle: Bundle, trial: str, file: Path, here: Here, pool: WorkerPool) -> None:
    request = bundle.request(trial)
    partial = file.with_suffix(".partial")
    with partial.open("wb") as stream:

        async def emit(event: pb.TrialEvent) -> None:
            data = event.SerializeToString()
            stream.write(LENGTH.pack(len(data)) + data)

        try:
            await here.prepare(request, bundle.files(request), pool).run(emit)
        except RefusalError as refusal:
            cause = pb.Failed.BAD_INPUT if isinstance(refusal, InvalidError) else pb.Failed.RUNTIME_MISSING
            await emit(pb.TrialEvent(failed=pb.Failed(cause=cause, message=str(refusal))))
    partial.replace(file)  # a trial that was interrupted has no events


def _last_event(file: Path) -> pb.TrialEvent:
    data = b""
    with file.open("rb") as stream:
        while prefix := stream.read(LENGTH.size):
            data = stream.read(LENGTH.unpack(prefix)[0])
    return pb.TrialEvent.FromString(data)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Say what is wrong with a bundle that cannot be read."""
    try:
        yield
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}.") from error
    except _DAMAGE as error:
        raise BundleError(
            f"{path} is no bundle, or was altered or cut short ({error}). Copy it here again."
        ) from error


def _read_manifest(text: bytes, path: Path) -> dict[str, str]:
    """Return the digest of every member that a bundle says it has."""
    manifest = json.loads(text)
    try:
        schema, protocol, members = manifest["schema"], manifest["protocol"], dict(manifest["members"])
    except (KeyError, TypeError) as error:
        raise BundleError(f"{path} is no bundle: its {MANIFEST} cannot be read.") from error
    if (schema, protocol) != (SCHEMA, PROTOCOL):
        raise BundleError(
            f"{path} is made for version {protocol} of the agent's wire and schema {schema}, this agent has "
            f"{PROTOCOL} and {SCHEMA}. Bring host and board to one release."
        )
    if not all(_MEMBER.fullmatch(name) for name in members):
        raise BundleError(f"{path} is no bundle: it lists a member of a strange name.")
    return members


def _unpack_member(archive: zipfile.ZipFile, name: str, sha256: str, folder: Path, path: Path) -> None:
    """Check a member against its digest; what trials need is in the folder then."""
    found = hashlib.sha256()
    with contextlib.ExitStack() as opened:
        file: IO[bytes] | None = None
        if name.startswith(_UNPACKED):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            file = opened.enter_context(target.open("wb"))
        for chunk in _chunks(archive, name, path):
            found.update(chunk)
            if file is not None:
                file.write(chunk)
    if found.hexdigest() != sha256:
        raise BundleError(
            f"the bundle was altered: {name} is not what its {MANIFEST} says. Copy it here again."
        )


def _chunks(archive: zipfile.ZipFile, name: str, path: Path) -> Iterator[bytes]:
    with _readable(path), archive.open(name) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


def _pack_result(bundle: Bundle, output: Path) -> None:
    names = ["description.pb", *(f"events/{trial}.pb" for trial in bundle.trials)]
    members = {name: _digest(bundle.folder / name) for name in names}
    summary = json.dumps({"schema": SCHEMA, "bundle": bundle.digest, "members": members}, indent=1)
    partial = bundle.folder / "result.partial"
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "result.json", io.BytesIO(summary.encode()), len(summary))
        for name in names:
            file = bundle.folder / name
            with file.open("rb") as stream:
                _add(archive, name, stream, file.stat().st_size)
    partial.replace(output)


def _add(archive: zipfile.ZipFile, name: str, source: IO[bytes], size_bytes: int) -> None:
    # Without any time: a board without a clock may be in 1970, where zip files cannot be.
    member = zipfile.ZipInfo(name)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.file_size = size_bytes
    with archive.open(member, "w") as target:
        shutil.copyfileobj(source, target, _CHUNK_BYTES)


def _digest(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()
