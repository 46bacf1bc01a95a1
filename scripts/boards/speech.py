"""What a waiting person is told, on standard error."""

import sys


def say(text: str) -> None:
    """Tell a waiting person what is going on."""
    print(text, file=sys.stderr, flush=True)
