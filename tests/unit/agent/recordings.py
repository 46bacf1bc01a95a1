"""What real machines showed, from the folder `recorded`: see its README."""

import errno
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "recorded"
NAMES = sorted(file.stem for file in FOLDER.glob("*.txt"))

_LINE = re.compile(r"(?P<source>[/$].*?) (?P<sign>[=!]) ?(?P<text>.*)")


@dataclass(frozen=True, slots=True)
class Recording:
    """One machine: its files under a root, and what its programs printed."""

    root: Path
    printed: dict[tuple[str, ...], str]

    def ask(self, *command: str) -> str | None:
        return self.printed.get(command)


def load(name: str, root: Path, refuse: Callable[[Path, int], None]) -> Recording:
    """Write a recording's files under a root; `refuse` gets each that answers with an error."""
    texts: dict[str, list[str]] = defaultdict(list)
    for line in (FOLDER / f"{name}.txt").read_text().splitlines():
        if line.startswith("#"):
            continue
        source, sign, text = _LINE.fullmatch(line).groups()
        file = root / source.lstrip("/")
        if sign == "!":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
            refuse(file, getattr(errno, text))
        else:
            texts[source].append(text.replace(r"\0", "\0"))
    for source, lines in texts.items():
        if source.startswith("/"):
            file = root / source.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(lines) + ("" if lines[-1].endswith("\0") else "\n"))
    programs = {tuple(source.split()[1:]): lines for source, lines in texts.items() if source.startswith("$")}
    return Recording(root, {command: "\n".join(lines) + "\n" for command, lines in programs.items()})


@contextmanager
def refusing_files(monkeypatch) -> Iterator[Callable[[Path, int], None]]:
    """Give a function that makes a file refuse to be read, as the kernel does it: opened, then an error."""
    refused: dict[Path, int] = {}
    really_open = Path.open
    reader, writer = os.pipe()  # nothing in it, and not to be waited for: that is EAGAIN
    os.set_blocking(reader, False)

    def open_(path: Path, mode="r", buffering=-1, **options):
        if path not in refused:
            return really_open(path, mode, buffering, **options)
        if refused[path] != errno.EAGAIN:
            raise OSError(refused[path], os.strerror(refused[path]))
        return os.fdopen(os.dup(reader), mode, buffering, **options)

    monkeypatch.setattr(Path, "open", open_)
    yield refused.__setitem__
    os.close(reader)
    os.close(writer)
