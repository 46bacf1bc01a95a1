"""`python -m deltann_agent.worker`: started by the agent, with frames on stdin and stdout."""

import contextlib
import ctypes
import fcntl
import os
import signal
import traceback
from typing import BinaryIO

from deltann_agent import frames, memory
from deltann_agent.worker.blocks import run_blocks
from deltann_agent.worker.executor import Runtime, TrialError, first_line
from deltann_agent.worker.measure import run_trial

_PR_SET_PDEATHSIG = 1
_F_SETPIPE_SZ = 1031
_PIPE_BYTES = 2**20


class _AgentGoneError(Exception):
    """There is nobody any more whom a trial could be for."""


def main() -> None:
    """Set the runtime up, then run trials until the agent closes the pipe."""
    # An agent that is killed outright cannot end its workers; the kernel then does.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    source, sink = _take_pipes()

    def emit(frame: frames.Frame) -> None:
        sink.write(frames.encode(frame))
        sink.flush()

    def wait() -> None:
        if not isinstance(_receive(source), frames.GoOn):
            raise _AgentGoneError

    setup = _receive(source)
    if not isinstance(setup, frames.Setup):
        return
    try:
        runtime = _load(setup)
    except Exception as error:  # whatever a broken installation raises, the agent is to know it in words
        traceback.print_exc()
        doing = f"the runtime {setup.runtime} cannot be loaded"
        emit(failed("RUNTIME_MISSING", f"{doing}: {first_line(error)}", error))
        return
    emit(frames.Ready(runtime.threads_source))
    order = _receive(source)
    while isinstance(order, frames.Order):
        following = None
        try:
            if order.rounds:
                run_trial(order, runtime, emit, wait)
            else:
                following = run_blocks(order, runtime, emit, lambda: _receive(source))
        except _AgentGoneError:
            return
        except TrialError as error:
            emit(failed(error.cause, str(error), error.__cause__))
        except Exception as error:  # the same for what a runtime raises
            traceback.print_exc()
            emit(failed("RUNTIME_ERROR", first_line(error), error))
        memory.give_back()
        order = following or _receive(source)


def failed(cause: str, message: str, error: BaseException | None) -> frames.Failed:
    """Return how a trial or the set-up ended: for lack of memory where the error at its root says so."""
    if isinstance(error, MemoryError) or memory.tells_of_shortage(str(error)):
        return frames.Failed("OUT_OF_MEMORY", f"memory had run out, by the worker's own words: {message}")
    return frames.Failed(cause, message)


def _load(setup: frames.Setup) -> Runtime:
    if setup.runtime == "tvm":
        from deltann_agent.worker.tvm_runtime import TvmRuntime

        return TvmRuntime(setup)
    if setup.runtime == "tflite":
        from deltann_agent.worker.tflite_runtime import TfliteRuntime

        return TfliteRuntime(setup)
    if setup.runtime == "torch":
        from deltann_agent.worker.torch_runtime import TorchRuntime

        return TorchRuntime(setup)
    if setup.runtime == "tensorflow":
        from deltann_agent.worker.tensorflow_runtime import TensorflowRuntime

        return TensorflowRuntime(setup)
    from deltann_agent.worker.onnx_runtime import OnnxRuntime

    return OnnxRuntime(setup)


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the agent's pipes, and leave stdin empty and stdout the same as stderr: libraries print."""
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    # With room for a whole batch, sending one does not wait for the agent to read it.
    with contextlib.suppress(OSError):
        fcntl.fcntl(sink, _F_SETPIPE_SZ, _PIPE_BYTES)
    return os.fdopen(source, "rb"), os.fdopen(sink, "wb")


def _receive(source: BinaryIO) -> frames.Frame | None:
    prefix = source.read(frames.PREFIX.size)
    if len(prefix) < frames.PREFIX.size:
        return None
    header_bytes, payload_bytes = frames.lengths(prefix)
    return frames.decode(source.read(header_bytes), source.read(payload_bytes))


if __name__ == "__main__":
    main()
