"""How tests call the command that is installed beside their Python."""

import sys
from pathlib import Path


def deltann_command(*words: object) -> list[str]:
    """Return the command line of `deltann` with these words."""
    return [str(Path(sys.executable).with_name("deltann")), *(str(word) for word in words)]
