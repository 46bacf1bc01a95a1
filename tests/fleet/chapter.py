"""What the page on boards tells a reader without hardware to type."""

import re
import shlex
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def commands() -> list[str]:
    """Return the commands of the section, in their order, without comments."""
    page = (PROJECT / "docs" / "boards.md").read_text()
    (section,) = re.findall(r"^## Without hardware\n(.*?)^## ", page, re.DOTALL | re.MULTILINE)
    return commands_in(section)


def commands_in(text: str) -> list[str]:
    """Return the lines of the blocks of shell in a text, without comments."""
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    return [line.partition("  #")[0].strip() for line in lines]


def of_deltann(*beginning: str) -> list[list[str]]:
    """Return the words of the commands that begin with `deltann` and these words, without `deltann`."""
    split = (shlex.split(line, comments=True) for line in commands() if line.startswith("deltann "))
    return [words[1:] for words in split if words[1:][: len(beginning)] == list(beginning)]
