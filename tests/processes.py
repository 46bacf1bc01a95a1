"""Processes as tests look at them: any may end, or have ended, while it is looked at."""

import psutil


def words_of(process: psutil.Process) -> list[str]:
    """Return the command line of a process; of one that has ended, none."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
