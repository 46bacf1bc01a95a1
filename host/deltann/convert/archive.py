"""A SavedModel, which is a folder, as one file: a zip archive that depends on nothing but its content."""

import zipfile
from pathlib import Path

_MOMENT = (1980, 1, 1, 0, 0, 0)
"""The first that a zip archive can name."""

_FINGERPRINT = "fingerprint.pb"
"""Holds a random number, and is not needed for loading."""


def pack(folder: Path, archive: Path) -> None:
    """Write all files of a SavedModel's folder into a zip archive: names sorted, times fixed, as they are."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _FINGERPRINT)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as made:
        for file in files:
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _MOMENT)
            made.writestr(entry, file.read_bytes())


def unpack(archive: Path, folder: Path) -> Path:
    """Put the files of an archive into a folder and return it.

    Raises
    ------
    zipfile.BadZipFile
        If it is no zip archive, or a damaged one.
    """
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)  # it keeps every name inside the folder
    return folder
