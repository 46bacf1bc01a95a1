"""Children that need not import their framework anew: forked from a process that has imported it.

Importing TensorFlow takes five seconds of a processor, torch two and a half; a hop of a small network takes
less. Within `warm_children()` such a process is started for each framework, once, and every child of
`run_child` is a fork of it: a process of its own as before, with limits of its own. It is safe because the
process imports and does nothing else: no graph, no session, no pool of threads is there to be inherited.
"""

import contextlib
import gc
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from deltann.child import ChildProcess

PRELOADS: dict[str, tuple[str, ...]] = {
    "tensorflow": ("tensorflow", "keras", "tensorflow.lite.python.lite"),
    "torch": ("torch", "torch.export", "torch.onnx", "torch.export.pt2_archive"),
}
"""Package of a converter to modules worth importing once; the first package that is here decides.

The first module must be there; of the others, what a version does not have is left out.
"""

_READERS = {"KERAS_BACKEND": "keras"}
"""Variables that only one module reads: processes that have not imported it are alike whatever they say."""

_POLL_S = 0.02
_START_S = 120.0
_MODULE = "deltann.convert.warm"
_pool: "list[_Pool]" = []

Launch = Callable[..., ChildProcess]


@contextlib.contextmanager
def warm_children() -> Iterator[None]:
    """Within it, children that need a framework are forked from a process that has imported it."""
    pool = _Pool()
    _pool.append(pool)
    try:
        yield
    finally:
        _pool.remove(pool)
        pool.close()


def launcher(packages: Sequence[str], variables: Mapping[str, str]) -> Launch | None:
    """Return what starts a child that needs `packages`; None where a child is started the usual way."""
    preload = next((name for name in PRELOADS if name in packages), None)
    if not _pool or preload is None:
        return None
    return _pool[0].launcher(preload, variables)


class _Pool:
    """The warm processes of a batch, by what they have imported and under which variables."""

    def __init__(self) -> None:
        self._nurseries: dict[tuple[Any, ...], _Nursery | None] = {}
        self._lock = threading.Lock()

    def launcher(self, preload: str, variables: Mapping[str, str]) -> Launch | None:
        modules = PRELOADS[preload]
        read = {name: value for name, value in variables.items() if _READERS.get(name) in (None, *modules)}
        key = (preload, *sorted(read.items()))
        with self._lock:
            if key not in self._nurseries:
                self._nurseries[key] = _Nursery.start(modules, read)
            nursery = self._nurseries[key]
        return nursery.launch if nursery else None

    def close(self) -> None:
        for nursery in self._nurseries.values():
            if nursery:
                nursery.close()


class _Nursery:
    """A process that has imported a framework, and forks a child for each line that it is sent."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._lock = threading.Lock()
        self._ended: dict[int, int] = {}
        self._started: list[int] = []
        self._said = b""
        self._dead = False

    @classmethod
    def start(cls, modules: Sequence[str], variables: Mapping[str, str]) -> "_Nursery | None":
        """Return a process that is ready; None where its imports fail: the child itself will say why."""
        process = subprocess.Popen(
            [sys.executable, "-m", _MODULE, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **variables},
            start_new_session=True,
        )
        nursery = cls(process)
        if nursery._line(_START_S) == "ready":  # its own
            return nursery
        nursery.close()
        return None

    def launch(self, words: Sequence[str], *, stdout: Any, env: Mapping[str, str], **_: Any) -> ChildProcess:
        """Fork a child for a command line of `python -m MODULE REQUEST RESULT`."""
        module, *arguments = words[2:]
        request = {"module": module, "arguments": arguments, "log": str(stdout.name), "env": dict(env)}
        with self._lock:
            pid = self._fork(request)
        if pid is not None:
            return _Forked(self, pid)
        return subprocess.Popen(
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
        )

    def ended(self, pid: int, timeout_s: float | None) -> int | None:
        """Return the exit status of a child, waiting at most so long for it; None while it lives."""
        with self._lock:
            if pid not in self._ended and not self._dead:
                self._read(timeout_s)
            # Its children die with it.
            return self._ended.get(pid, -signal.SIGKILL if self._dead else None)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def _fork(self, request: dict[str, Any]) -> int | None:
        """Return the process of a new child; None when no more can be had here."""
        try:
            if self._dead or self._process.stdin is None:
                return None
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            self._dead = True
        while not self._started and not self._dead:
            self._read(None)
        return self._started.pop() if self._started else None

    def _read(self, timeout_s: float | None) -> None:
        """Take note of one line that it says, if it says one in time."""
        line = self._line(timeout_s)
        if line is None:
            return
        kind, *numbers = line.split()
        if kind == "started":
            self._started.append(int(numbers[0]))
        elif kind == "ended":
            self._ended[int(numbers[0])] = int(numbers[1])
        else:
            self._dead = True

    def _line(self, timeout_s: float | None) -> str | None:
        """Return its next line, `dead` when it has died, None when it says nothing in time."""
        pipe = self._process.stdout
        if pipe is None:
            return "dead"
        while b"\n" not in self._said:
            if not select.select([pipe.fileno()], [], [], timeout_s)[0]:
                return None
            more = os.read(pipe.fileno(), 4096)
            if not more:
                return "dead"
            self._said += more
        line, _, self._said = self._said.partition(b"\n")
        return line.decode()


class _Forked:
    """A forked child, as far as `run_child` needs a process."""

    def __init__(self, nursery: _Nursery, pid: int) -> None:
        self.pid = pid
        self.returncode: int = 0
        self._nursery = nursery

    def wait(self, timeout: float | None = None) -> int:
        status = self._nursery.ended(self.pid, timeout)
        while status is None and timeout is None:
            status = self._nursery.ended(self.pid, None)
        if status is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        self.returncode = status
        return status


def _serve(modules: Sequence[str]) -> None:
    """Be the warm process: import, then fork a child for every line, and say when each has ended.

    It ends when nobody can send it lines any more, and its children with it.
    """
    first, *others = modules
    __import__(first)
    for module in others:
        with contextlib.suppress(ImportError):
            __import__(module)
    gc.freeze()  # no child need look through what was imported for what it could free
    _say("ready")
    alive: set[int] = set()
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], _POLL_S if alive else None)
        if ready:
            line = sys.stdin.readline()
            if not line:
                return
            pid = os.fork()
            if pid == 0:
                _be_child(json.loads(line))
            with contextlib.suppress(OSError):
                os.setpgid(pid, pid)
            alive.add(pid)
            _say(f"started {pid}")
        for pid in list(alive):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                alive.remove(pid)
                _say(f"ended {pid} {os.waitstatus_to_exitcode(status)}")


def _be_child(request: dict[str, Any]) -> None:
    """Run the module as `python -m` would, and end the process."""
    status = 1
    try:
        os.setpgid(0, 0)
        log = os.open(request["log"], os.O_WRONLY | os.O_APPEND)
        empty = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, empty), (1, log), (2, log)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(request["env"])
        sys.argv = [request["module"], *request["arguments"]]
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # whatever it is, it ends this process and goes to the log
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve(sys.argv[1:])
