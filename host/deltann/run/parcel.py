"""A child's work as it travels: sent with the hashes of its files, done on another machine, brought back.

A parcel goes out without its files. The machine that gets it answers either with what it lacks of them, and
gets the parcel again with these, or with how the child ended and what it wrote. Nothing is kept there but
the files; keys and caches are the sender's alone.
"""

import json
import os
import platform
import socket
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deltann.child import ChildOutcome, run_child
from deltann.convert.packages import versions_of
from deltann.core.errors import ClusterError, ResultsError
from deltann.core.hashing import digest_code, digest_file, short
from deltann.crew import ChildTask
from deltann.paths import cache_folder
from deltann.run.shelf import Shelf

_THE_CODE = "the code of deltann"


@dataclass(frozen=True, slots=True)
class Parcel:
    """A child's work on the way.

    Attributes
    ----------
    task
        As the sender would run it: its paths are the sender's.
    files
        The sha256 of each file that it reads.
    sender
        What must be the same where it is run, see `facts`.
    """

    task: ChildTask
    files: Mapping[Path, str]
    sender: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Lacking:
    """The hashes of files that a machine does not have."""

    digests: frozenset[str]


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a child ended, and what it wrote: the content of each file, by its path in the task's folder."""

    outcome: ChildOutcome
    files: Mapping[str, bytes]


def pack(task: ChildTask) -> Parcel:
    """Return the work of a child, ready to be sent."""
    return Parcel(task, {path: digest_file(path) for path in task.reads}, facts(task.versions))


def unpack(delivery: Delivery, folder: Path) -> ChildOutcome:
    """Write what a child wrote elsewhere, and return how it ended; raises OSError if that cannot be."""
    for name, data in delivery.files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return delivery.outcome


def facts(packages: Iterable[str]) -> dict[str, str]:
    """Return what the bytes of a result depend on in this process: versions, our code, kind of machine."""
    return {
        "Python": ".".join(map(str, sys.version_info[:2])),
        "the processor": platform.machine(),
        "the code of deltann": short(digest_code(".")),
        **{name: version or "" for name, version in versions_of(packages).items()},
    }


def check_same(sender: Mapping[str, str], worker: Mapping[str, str], where: str) -> None:
    """See that a worker's process gives what the sender's would, by the facts of both.

    Raises
    ------
    ClusterError
        If not.
    """
    differ = [
        f"{name} {worker.get(name) or 'missing'} (here {ours or 'missing'})"
        for name, ours in sender.items()
        if worker.get(name) != ours
    ]
    if differ:
        raise ClusterError(
            f"it is not as this host: {', '.join(differ)}",
            where=where,
            hint="Install the same there: what is built is named by the versions of this host",
        )


def do(
    parcel: Parcel,
    contents: Mapping[str, bytes],
    cancelled: threading.Event | None = None,
    where: str | None = None,
) -> Delivery | Lacking:
    """Run the child of a parcel in this process, within its limits.

    Parameters
    ----------
    contents
        Files that were lacking, by their hashes.
    cancelled
        Ends the child when set.
    where
        What to call this process; None: by its machine and number.

    Raises
    ------
    ClusterError
        If this process is not fit for it, or has no room.
    """
    where = where or f"worker {socket.gethostname()}, process {os.getpid()}"
    check_same(parcel.sender, facts(parcel.task.versions), where)
    try:
        shelf = Shelf(cache_folder("shelf"))
        shelf.put(contents)
        lacking = {digest for digest in parcel.files.values() if not shelf.has(digest)}
        if lacking:
            return Lacking(frozenset(lacking))
        with tempfile.TemporaryDirectory(dir=shelf.folder, prefix=".", ignore_cleanup_errors=True) as scratch:
            delivery = _do_in(Path(scratch), parcel, shelf, cancelled)
    except (OSError, ResultsError) as error:
        raise ClusterError(
            f"it cannot keep files ({error})", where=where, hint="Free some space there"
        ) from error
    if delivery.outcome.cause == "full":
        words = delivery.outcome.message
        raise ClusterError(f"it has no room for files: {words}", where=where, hint="Free some space there")
    return delivery


def _do_in(scratch: Path, parcel: Parcel, shelf: Shelf, cancelled: threading.Event | None) -> Delivery:
    task, made = parcel.task, scratch / "made"
    made.mkdir()
    places = {str(task.folder): str(made)}
    for number, (path, digest) in enumerate(parcel.files.items()):
        place = scratch / str(number) / path.name
        place.parent.mkdir()
        shelf.link(digest, place)
        places[str(path)] = str(place)
    outcome = run_child(
        task.module,
        moved(task.request, places),
        folder=made,
        deadline_s=task.deadline_s,
        memory_limit_bytes=task.memory_limit_bytes,
        environment=task.environment,
        cancelled=cancelled,
    )
    if outcome.cause is not None:
        return Delivery(outcome, {})
    back = {new: old for old, new in places.items()}
    files = (path for path in made.rglob("*") if path.is_file())
    return Delivery(
        replace(outcome, result=moved(outcome.result, back)),
        {str(path.relative_to(made)): path.read_bytes() for path in files},
    )


def moved(value: Any, places: Mapping[str, str]) -> Any:
    """Return a JSON-able value with paths changed: those of `places`, and what lies under them.

    A text that is a JSON object itself, as what loads a network is, is looked into.
    """
    if isinstance(value, dict):
        return {key: moved(one, places) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [moved(one, places) for one in value]
    if not isinstance(value, str):
        return value
    if value.startswith("{"):
        return json.dumps(moved(json.loads(value), places), sort_keys=True)
    # The longest first: a file that is read may lie in the folder that is written.
    for old in sorted(places, key=len, reverse=True):
        if value == old or value.startswith(f"{old}{os.sep}"):
            return places[old] + value[len(old) :]
    return value
