"""How tests call the command that is installed beside their Python, and the recipe of the tiny model."""

import sys
from pathlib import Path

RECIPE = {
    "geometry": "squash",
    "size": 32,
    "filter": "bilinear",
    "colour": "rgb",
    "layout": "NCHW",
    "mean": 127.5,
    "std": 127.5,
}


def deltann_command(*words: object) -> list[str]:
    """Return the command line of `deltann` with these words."""
    return [str(Path(sys.executable).with_name("deltann")), *(str(word) for word in words)]
