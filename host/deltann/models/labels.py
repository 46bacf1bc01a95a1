"""Reading of a labels file: which class each image shows."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from deltann.core.errors import DataError

LABELS_FILE = "labels.csv"
IMAGENET_CLASSES = 1000
FILE_COLUMNS = ("file", "filename", "file_name", "path", "image")
CLASS_COLUMNS = ("class_index", "class_id", "label", "class", "target")


def read_labels(path: Path) -> dict[str, int | None]:
    """Return the class (0-based, no background class) of each file that a table names.

    The first line names the columns, in any order and case: one of `FILE_COLUMNS` and one of
    `CLASS_COLUMNS`, the first that is there; others do not matter. Columns are parted by commas,
    semicolons or tabs. File names are relative to the folder of the images; an empty class is None.

    Raises
    ------
    DataError
        If the file cannot be read, has not these columns, or a line of it is malformed or
        contradicts another; with the line's number.
    """
    rows = _rows(path)
    names = [name.strip().lower() for name in next(rows, (1, []))[1]]
    file_column, class_column = (_column(path, names, known) for known in (FILE_COLUMNS, CLASS_COLUMNS))
    classes: dict[str, int | None] = {}
    for line, row in rows:
        where = f"{path}:{line}"
        if len(row) != len(names):
            raise DataError(
                f"{len(row)} values where the first line names {len(names)} columns",
                where=where,
                hint="Put quotes around a value that contains the separator",
            )
        name, class_index = _file_name(row[file_column], where), _class_index(row[class_column], where)
        if classes.setdefault(name, class_index) != class_index:
            raise DataError(
                f"{name!r} is {class_index} here and {classes[name]} before",
                where=where,
                hint="Keep one of the two lines",
            )
    return classes


def is_wordnet_id(name: str) -> bool:
    """Return whether a name is a WordNet id of a noun, as ImageNet names its classes."""
    return re.fullmatch(r"n\d{8}", name) is not None


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Give the number and the cells of each line that is not blank."""
    text = _text(path)
    header = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=header.count), strict=True)
    try:
        for row in rows:
            if any(cell.strip() for cell in row):
                yield rows.line_num, row
    except csv.Error as error:
        raise DataError(
            f"the line is not CSV: {error}", where=f"{path}:{rows.line_num}", hint="Close every quote"
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(
            f"the labels cannot be read: {error.strerror}", where=str(path), hint="Give an existing CSV file"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            "the labels are not text in UTF-8", where=str(path), hint="Save the table as CSV in UTF-8"
        ) from error


def _column(path: Path, names: list[str], known: tuple[str, ...]) -> int:
    for name in known:
        if name in names:
            return names.index(name)
    raise DataError(
        f"no column is named {', '.join(known[:-1])} or {known[-1]}",
        where=f"{path}:1",
        hint="Name the columns in the first line, e.g. file,class_index",
    )


def _file_name(cell: str, where: str) -> str:
    text = cell.strip().replace("\\", "/")
    name = PurePosixPath(text)
    if not text or name.is_absolute() or ".." in name.parts:
        raise DataError(
            f"{cell!r} is no file in the folder of the images",
            where=where,
            hint="Name files relative to that folder",
        )
    return str(name)


def _class_index(cell: str, where: str) -> int | None:
    text = cell.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise DataError(
            f"the class {cell!r} is not a whole number from 0",
            where=where,
            hint="Give the number of the class",
        )
    return int(text)
