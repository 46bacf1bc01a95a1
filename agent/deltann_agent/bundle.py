"""Bundles: trials in a file, for a board that no host can reach, and a file with what they gave.

A bundle is a tar file: `bundle.json` with the sha256 of every member, `trials/NNN.pb` (RunTrialRequest) in
their order, `blobs/SHA256`. Its digest is that of `bundle.json`. The result is a tar file, too: `result.json`
with the bundle's digest and those of its members, `description.pb`, and `events/NNN.pb` (TrialEvent, each
after its length as little-endian uint32).
"""

import hashlib
import json
import logging
import re
import shutil
import struct
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltann_agent.describe import describe
from deltann_agent.errors import BundleError, InvalidError, RefusalError
from deltann_agent.prepare import Here
from deltann_agent.request import TrialFiles
from deltann_agent.workers import WorkerPool
from deltann_proto import PROTOCOL
from deltann_proto.v1 import agent_pb2 as pb

SCHEMA = 1
LENGTH = struct.Struct("<I")
_MEMBER = re.compile(r"trials/[0-9]+\.pb|blobs/[0-9a-f]{64}")
_CHUNK_BYTES = 2**20

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle, unpacked into a folder and found whole."""

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


def unpack(path: Path, folder: Path) -> Bundle:
    """Return the bundle of a file, unpacked into `folder`.

    Raises
    ------
    BundleError
        If it is none, was altered or cut short, or is for another version of the agent.
    """
    try:
        with tarfile.open(path) as archive:
            manifest = _read_manifest(archive, path)
            for name, digest in manifest["members"].items():
                _unpack_member(archive, name, digest, folder)
    except (OSError, tarfile.TarError, EOFError) as error:
        raise BundleError(f"{path} is no bundle, or was cut short: {error}. Copy it here again.") from error
    names = sorted(name for name in manifest["members"] if name.startswith("trials/"))
    return Bundle(folder, manifest["digest"], tuple(Path(name).stem for name in names))


async def execute(bundle: Bundle, output: Path, here: Here) -> int:
    """Run every trial of a bundle and write the result file; return how many trials failed.

    Trials that an interrupted execution has finished are not run again.

    Raises
    ------
    BundleError
        If the result cannot be written.
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
            last = read_events(file.read_bytes())[-1]
            ended = last.WhichOneof("event")
            failed += ended == "failed"
            words = "measured" if ended == "finished" else last.failed.message
            _log.info("trial %d of %d: %s", number, len(bundle.trials), words)
    finally:
        await pool.end()
    (bundle.folder / "description.pb").write_bytes(describe(here).SerializeToString())
    _pack_result(bundle, output)
    return failed


def read_events(data: bytes) -> list[pb.TrialEvent]:
    """Return the events of a trial, as they were written one after the other."""
    events, place = [], 0
    while place < len(data):
        (length,) = LENGTH.unpack_from(data, place)
        place += LENGTH.size
        events.append(pb.TrialEvent.FromString(data[place : place + length]))
        place += length
    return events


async def _execute_trial(bundle: Bundle, trial: str, file: Path, here: Here, pool: WorkerPool) -> None:
    request = bundle.request(trial)
    partial = file.with_suffix(".partial")
    with partial.open("wb") as stream:

        async def emit(event: pb.TrialEvent) -> None:
            data = event.SerializeToString()
            stream.write(LENGTH.pack(len(data)) + data)

        try:
            await here.prepare(request, bundle.files(request), pool).run(emit)
        except (RefusalError, OSError) as refusal:
            cause = pb.Failed.BAD_INPUT if isinstance(refusal, InvalidError) else pb.Failed.RUNTIME_MISSING
            await emit(pb.TrialEvent(failed=pb.Failed(cause=cause, message=str(refusal))))
    partial.replace(file)  # a trial that was interrupted has no events


def _read_manifest(archive: tarfile.TarFile, path: Path) -> dict[str, Any]:
    stream = archive.extractfile("bundle.json") if "bundle.json" in archive.getnames() else None
    if stream is None:
        raise BundleError(f"{path} is no bundle: it has no bundle.json.")
    text = stream.read()
    try:
        manifest: dict[str, Any] = json.loads(text)
        schema, protocol, members = manifest["schema"], manifest["protocol"], manifest["members"]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} is no bundle: its bundle.json cannot be read.") from error
    if (schema, protocol) != (SCHEMA, PROTOCOL):
        raise BundleError(
            f"{path} is made for version {protocol} of the agent's wire and schema {schema}, this agent has "
            f"{PROTOCOL} and {SCHEMA}. Bring host and board to one release."
        )
    if not all(_MEMBER.fullmatch(name) for name in members):
        raise BundleError(f"{path} is no bundle: it lists a member of a strange name.")
    return {**manifest, "digest": hashlib.sha256(text).hexdigest()}


def _unpack_member(archive: tarfile.TarFile, name: str, digest: str, folder: Path) -> None:
    try:
        stream = archive.extractfile(name)
    except KeyError:
        stream = None
    if stream is None:
        raise BundleError(f"the bundle lacks {name}. Copy it here again.")
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    found = hashlib.sha256()
    with target.open("wb") as file:
        while chunk := stream.read(_CHUNK_BYTES):
            found.update(chunk)
            file.write(chunk)
    if found.hexdigest() != digest:
        raise BundleError(
            f"the bundle was altered: {name} is not what its bundle.json says. Copy it here again."
        )


def _pack_result(bundle: Bundle, output: Path) -> None:
    files = {"description.pb": bundle.folder / "description.pb"}
    files.update((f"events/{trial}.pb", bundle.folder / f"events/{trial}.pb") for trial in bundle.trials)
    members = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    summary = bundle.folder / "result.json"
    summary.write_text(json.dumps({"schema": SCHEMA, "bundle": bundle.digest, "members": members}, indent=1))
    partial = output.with_name(f".{output.name}.partial")
    try:
        with tarfile.open(partial, "w:gz") as archive:
            for name, path in {"result.json": summary, **files}.items():
                archive.add(path, name, recursive=False)
        shutil.move(partial, output)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise BundleError(f"the result {output} cannot be written: {error.strerror}.") from error
