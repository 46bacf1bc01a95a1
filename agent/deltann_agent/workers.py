"""Worker processes as the agent sees them: started, spoken to, watched and killed."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from deltann_agent import frames
from deltann_agent.runtimes import PACKAGE_ROOT, TVM

LOG_TAIL_BYTES = 16_384
_PIPE_LIMIT_BYTES = 2 * 2**20
_REAPING_S = 5.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class WorkerDiedError(Exception):
    """The worker ended, or said something that is no frame; the message says how.

    Attributes
    ----------
    killed
        Whether it was ended by a SIGKILL that the agent did not send.
    """

    def __init__(self, message: str, *, killed: bool = False) -> None:
        super().__init__(message)
        self.killed = killed


class Worker:
    """One worker process, the leader of a process group of its own. Made by `start_worker`.

    Attributes
    ----------
    threads_source
        How its threads were set, in words, as the worker said.
    spawn_ns
        From its start until it was ready; 0 once a trial has been charged with it.
    """

    def __init__(
        self,
        process: Process,
        stdin: StreamWriter,
        stdout: StreamReader,
        stderr: StreamReader,
        begun_ns: int,
    ) -> None:
        self.threads_source = ""
        self.spawn_ns = 0
        self._begun_ns = begun_ns
        self._process = process
        self._stdin = stdin
        self._stdout = stdout
        self._log = bytearray()
        self._draining = asyncio.create_task(self._drain(stderr))
        self._killed = False

    @property
    def pid(self) -> int:
        """Process id, and id of the process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        # Asked of the kernel: asyncio learns of an end a moment later, from another thread.
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    @property
    def log(self) -> str:
        """The end of what it wrote to its error output."""
        return self._log.decode(errors="replace")

    async def greet(self, kind: frames.Setup) -> frames.Frame:
        """Say what it is for; return its answer, Ready or Failed. Raises WorkerDiedError."""
        await self.send(kind)
        answer = await self.receive()
        if isinstance(answer, frames.Ready):
            self.threads_source = answer.threads_source
            self.spawn_ns = time.perf_counter_ns() - self._begun_ns
        return answer

    async def send(self, frame: frames.Frame) -> None:
        """Send one frame. Raises WorkerDiedError if there is nobody to read it."""
        self._stdin.write(frames.encode(frame))
        try:
            await self._stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise await self._death() from None

    async def receive(self) -> frames.Frame:
        """Return the next frame.

        Raises
        ------
        WorkerDiedError
            If there is none to come.
        """
        read = self._stdout.readexactly
        try:
            header_bytes, payload_bytes = frames.lengths(await read(frames.PREFIX.size))
            return frames.decode(await read(header_bytes), await read(payload_bytes))
        except asyncio.IncompleteReadError:
            raise await self._death() from None
        except frames.FrameError as error:
            raise WorkerDiedError(f"the worker said what is {error}") from error

    def kill(self) -> None:
        """Kill it and every process it started."""
        if not self._killed:
            self._killed = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def wait(self) -> None:
        """Wait until it is gone and all of its error output is read; a bounded time."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.gather(self._process.wait(), self._draining), _REAPING_S)

    def resident_bytes(self) -> int | None:
        """Return the resident memory of it and the processes it started, None when it is gone."""
        return sum(map(_resident_bytes, _family(self.pid))) or None

    async def _death(self) -> WorkerDiedError:
        """Return how it ended, after it has closed its pipes."""
        # Not killed at once: that could not be told from what else may have killed it.
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._process.wait(), _REAPING_S)
        code = None if self._killed else self._process.returncode
        self.kill()  # what it started may still be there
        await self.wait()
        if code is None:
            return WorkerDiedError("the worker closed its pipe")
        how = f"was killed by {_signal_name(-code)}" if code < 0 else f"ended with status {code}"
        return WorkerDiedError(f"the worker {how}", killed=code == -signal.SIGKILL)

    async def _drain(self, stderr: StreamReader) -> None:
        while chunk := await stderr.read(LOG_TAIL_BYTES):
            self._log += chunk
            del self._log[:-LOG_TAIL_BYTES]


class WorkerPool:
    """The workers of one lease, one of each kind, kept for its next trials."""

    def __init__(self) -> None:
        self._workers: dict[frames.Setup, Worker] = {}
        self._coming: set[Worker] = set()

    async def prepare(self, kind: frames.Setup) -> None:
        """Have an idle worker of this kind. One that does not get ready is left to the trial to meet."""
        if kind in self._workers:
            return
        worker = await start_worker(kind)
        self._coming.add(worker)
        ready = False
        try:
            with contextlib.suppress(WorkerDiedError):
                ready = isinstance(await worker.greet(kind), frames.Ready)
        finally:
            # Ended meanwhile, it is no longer among those that come.
            if ready and worker in self._coming:
                self.give(kind, worker)
            else:
                worker.kill()
            self._coming.discard(worker)

    def take(self, kind: frames.Setup) -> Worker | None:
        """Return the idle worker of this kind, which is then the caller's; None when there is none."""
        worker = self._workers.pop(kind, None)
        return worker if worker is not None and worker.alive else None

    def give(self, kind: frames.Setup, worker: Worker) -> None:
        """Keep a worker that has done its trial well."""
        self._workers[kind] = worker

    async def end(self) -> None:
        """Kill them all."""
        workers = [*self._workers.values(), *self._coming]
        self._workers.clear()
        self._coming.clear()
        for worker in workers:
            worker.kill()
        await asyncio.gather(*(worker.wait() for worker in workers))


async def start_worker(kind: frames.Setup) -> Worker:
    """Return a new worker, which waits to be greeted.

    Raises
    ------
    OSError
        If no process can be started.
    """
    begun_ns = time.perf_counter_ns()
    process = await asyncio.create_subprocess_exec(
        kind.python or sys.executable,
        "-m",
        "deltann_agent.worker",
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=_PIPE_LIMIT_BYTES,
        env={**os.environ, **_environment(kind)},
        start_new_session=True,
    )
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise OSError("a worker without pipes")
    return Worker(process, process.stdin, process.stdout, process.stderr, begun_ns)


def _environment(kind: frames.Setup) -> dict[str, str]:
    # NumPy computes nothing here: its linear algebra needs no threads and none of their memory.
    variables = {"OPENBLAS_NUM_THREADS": "1", "PYTHONSAFEPATH": "1"}
    if kind.python:
        # Another environment need not have our package: it is found where this agent has it.
        variables["PYTHONPATH"] = str(PACKAGE_ROOT)
    if kind.runtime == TVM:
        variables["TVM_NUM_THREADS"] = str(kind.threads)
        variables["TVM_BIND_THREADS"] = "1" if kind.binding == "cores" else "0"
    return variables


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:  # gone
        return 0


def _family(pid: int) -> list[int]:
    # Read while a trial is measured, so as little as can be: the kernel lists children by thread.
    family = [pid]
    for parent in family:
        for listing in Path(f"/proc/{parent}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                family.extend(map(int, listing.read_text().split()))
    return family


def _signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"
