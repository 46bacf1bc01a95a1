"""The signals that end a run."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """Within this, SIGTERM and SIGHUP do what Ctrl-C does: the agent ends, folders are tidy, exit status 130.

    To be entered inside `asyncio.run`, whose handler of Ctrl-C cancels the main task. A signal that is
    ignored (`nohup`) or handled already stays so. Where Ctrl-C itself is ignored, as in the background of a
    script, nothing is changed: the agent then notices that its host is gone, and tidies up.
    """
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    # Other threads than the main one may set no handlers.
    possible = callable(on_ctrl_c) and threading.current_thread() is threading.main_thread()
    taken = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if possible and signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in taken:
        signal.signal(number, on_ctrl_c)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
