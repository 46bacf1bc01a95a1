"""The processor that the agent on a foreign board sees, in place of this machine's."""

import os

from boards.kinds import Processor
from boards.state import EmulatedBoard

_CPUINFO = "etc/board-cpuinfo"
# A service with ProtectProc= gets a /proc of its own: what is laid over another one does not show there.
_DROP_IN = "etc/systemd/system/deltann-agent.service.d/processor.conf"


def show(board: EmulatedBoard) -> None:
    """Let the agent and its workers see the board's processor, where another one is emulated.

    qemu passes this machine's /proc/cpuinfo on, and offers every extension that it knows: ONNX Runtime
    crashes when it finds no Arm core in the one, and believing the other would compute as no such board does.
    """
    processor = board.kind.processor
    if processor is None or not board.kind.foreign:
        return
    (board.root / _CPUINFO).write_text(_text(processor))
    drop_in = board.root / _DROP_IN
    drop_in.parent.mkdir(exist_ok=True)
    drop_in.write_text(
        f"[Service]\nEnvironment=QEMU_CPU={processor.qemu}\nBindReadOnlyPaths=/{_CPUINFO}:/proc/cpuinfo\n"
    )


def _text(processor: Processor) -> str:
    cores = len(os.sched_getaffinity(0))  # as many as qemu lets programs use
    return "\n".join(f"processor\t: {core}\n{processor.cpuinfo}" for core in range(cores))
