"""How `-n 2` shares tests out to two processes: a file stays together, and so do all with emulated boards.

What a file has made for its tests is made once, and there is one set of boards, which take minutes to make.
"""

from xdist.scheduler import LoadScopeScheduling

BOARDS = "tests/fleet/"


class ByFile(LoadScopeScheduling):
    """Gives a process one file after the other, in the order of their names: short ones come last."""

    def _split_scope(self, nodeid: str) -> str:
        return BOARDS if nodeid.startswith(BOARDS) else nodeid.split("::", 1)[0]


def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = False
    return ByFile(config, log)
