"""A kit as a file: a gzipped tar whose first entry says what it is, the same bytes for the same content."""

import contextlib
import gzip
import io
import json
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from deltann.core.errors import BoardError
from deltann.core.hashing import digest_bytes, digest_record, short
from deltann.fleet.kit_content import Entry
from deltann.fleet.wheels import Platform

SCHEMA = 1
MANIFEST = "kit.json"
_TIME_S = 315_532_800  # 1980-01-01, the time of every file in a kit
_GZIP_LEVEL = 6  # level 9 takes three times as long for 0.3 % less


@dataclass(frozen=True, slots=True)
class Kit:
    """A kit as a file.

    Attributes
    ----------
    digest
        sha256 of all that is in it; its first 12 digits are in the file's name.
    size_bytes
        Of the file, compressed.
    architecture
        As `uname -m` says it on the board.
    python
        Version of Python that it is for, e.g. `3.11`.
    runtimes
        Names and versions.
    distributions
        Names and versions of the packages in it, our own first.
    """

    path: Path
    digest: str
    size_bytes: int
    architecture: str
    python: str
    runtimes: tuple[tuple[str, str], ...]
    distributions: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {
            "kit": str(self.path),
            "digest": self.digest,
            "size_bytes": self.size_bytes,
            "architecture": self.architecture,
            "python": self.python,
            "runtimes": dict(self.runtimes),
            "distributions": dict(self.distributions),
        }


def read_kit(path: Path) -> Kit:
    """Return what a kit is, every byte of it checked against its digest.

    Raises
    ------
    BoardError
        If there is no kit, it is damaged, or it is of a newer deltann.
    """
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:gz") as archive:
            facts, digest = _read_contents(archive)
        if digest != facts["digest"]:
            raise _damaged(path, "its content is not what its digest says")
        return _to_kit(path, facts)
    except FileNotFoundError as error:
        raise BoardError(
            "there is no such kit", where=str(path), hint="Make it with `deltann kit build`"
        ) from error
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError, TypeError, KeyError) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def check_kit(path: Path, architecture: str, python: str) -> Kit:
    """Return a kit if it is for a board of this CPU and Python.

    Raises
    ------
    BoardError
        If it is for another, is damaged, or is not there.
    """
    kit = read_kit(path)
    if (kit.architecture, kit.python) != (architecture, python):
        raise BoardError(
            f"the kit is for {Platform(kit.architecture, kit.python)}, "
            f"the board has {Platform(architecture, python)}",
            where=str(path),
            hint=f"Make one with `deltann kit build --board KIND --python {python}` for the board's kind",
        )
    return kit


def write_kit(entries: Sequence[Entry], facts: Mapping[str, Any], output: Path) -> Kit:
    """Write a kit into a folder, under a name that its content gives; return what it is.

    Parameters
    ----------
    entries
        In the order of their paths.
    facts
        Of its manifest, all but the digest.

    Raises
    ------
    BoardError
        If it cannot be written.
    """
    files = [[entry.path, entry.executable, digest_bytes(entry.data)] for entry in entries]
    digest = _digest(files, facts)
    whole = {**facts, "digest": digest}
    manifest = Entry(MANIFEST, (json.dumps(whole, indent=2) + "\n").encode())
    path = output / f"deltann-kit-{facts['architecture']}-py{facts['python']}-{short(digest)}.tar.gz"
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=output, prefix=".kit-", delete=False) as file:
            partial = Path(file.name)
            try:
                with (
                    _plain_gzip(file) as packed,
                    tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
                ):
                    # The manifest first, to be found at once.
                    archive.addfile(_header(manifest), io.BytesIO(manifest.data))
                    for folder in _folders(entries):
                        archive.addfile(folder)
                    for entry in entries:
                        archive.addfile(_header(entry), io.BytesIO(entry.data))
                partial.chmod(0o644)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
    except OSError as error:
        raise BoardError(
            f"the kit cannot be written ({error.strerror})",
            where=str(output),
            hint="Name another folder with --output",
        ) from error
    return _to_kit(path, whole)


@contextlib.contextmanager
def _plain_gzip(file: IO[bytes]) -> Iterator[gzip.GzipFile]:
    """Compress without the time and the name, which would make every file another."""
    with gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=file, mtime=0) as packed:
        yield packed


def _folders(entries: Sequence[Entry]) -> list[tarfile.TarInfo]:
    """Return headers of all folders, which a strict umask would else close to the agent's user."""
    names = {str(parent) for entry in entries for parent in PurePosixPath(entry.path).parents}
    headers = []
    for name in sorted(names - {"."}):
        header = tarfile.TarInfo(name)
        header.type = tarfile.DIRTYPE
        header.mtime = _TIME_S
        header.mode = 0o755
        headers.append(header)
    return headers


def _header(entry: Entry) -> tarfile.TarInfo:
    header = tarfile.TarInfo(entry.path)
    header.size = len(entry.data)
    header.mtime = _TIME_S
    header.mode = 0o755 if entry.executable else 0o644
    return header


def _read_contents(archive: tarfile.TarFile) -> tuple[dict[str, Any], str]:
    """Return the manifest, and the digest of what is really there."""
    facts: dict[str, Any] = {}
    files = []
    for header in archive:
        if header.isdir():
            continue
        content = archive.extractfile(header)
        data = content.read() if content else b""
        if header.name == MANIFEST:
            facts = json.loads(data)
            if facts["schema"] > SCHEMA:
                raise ValueError(f"it is of schema {facts['schema']}, and this deltann reads {SCHEMA}")
        else:
            files.append([header.name, bool(header.mode & 0o100), digest_bytes(data)])
    return facts, _digest(files, {key: value for key, value in facts.items() if key != "digest"})


def _digest(files: Sequence[Sequence[Any]], facts: Mapping[str, Any]) -> str:
    return digest_record({"facts": dict(facts), "files": list(files)})


def _to_kit(path: Path, facts: Mapping[str, Any]) -> Kit:
    return Kit(
        path,
        facts["digest"],
        path.stat().st_size,
        facts["architecture"],
        facts["python"],
        tuple(facts["runtimes"].items()),
        tuple(facts["distributions"].items()),
    )


def _damaged(path: Path, why: str) -> BoardError:
    return BoardError(
        f"this is no kit of ours: {why.rstrip('.')}", where=str(path), hint="Make it with `deltann kit build`"
    )
