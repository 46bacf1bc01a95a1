"""Other machines that run children: the workers of a Dask cluster, or whatever else an executor reaches."""

import concurrent.futures
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from typing import Any

from deltann.child import ChildOutcome
from deltann.core.errors import ClusterError, MissingPackageError, StudyError
from deltann.core.full_disk import unwritable
from deltann.crew import HERE, ChildTask, Crew, Launch
from deltann.run.parcel import Delivery, Lacking, Parcel, check_same, do, facts, pack, unpack

LOCAL = "local"
_SCHEMES = {"dask": "tcp", "tls": "tls"}
_HINT_ADDRESS = "Give local, dask://HOST:PORT or tls://HOST:PORT"
_HINT_RESUME = "What is finished is kept: `deltann run --resume` goes on, with a cluster or without"

ANSWER_S = 10.0
"""So long a scheduler may take to answer."""
NO_WORKER_S = 60.0
"""So long a run waits for a worker when the last one is lost."""
_POLL_S = 0.1
_LOOK_S = 2.0
_PER_THREAD = 2  # a thread that ends a child finds the next one waiting

Work = Callable[[Parcel, Mapping[str, bytes]], Delivery | Lacking]


class Cluster:
    """Runs children through an executor, whose workers share no disk with this machine.

    Parameters
    ----------
    width
        How many children to ask for at once.
    count_workers
        How many workers there are; raises OSError where nobody knows.
    work
        What is submitted; can be pickled.
    """

    def __init__(
        self, executor: Executor, width: int, count_workers: Callable[[], int] | None = None, work: Work = do
    ) -> None:
        self._executor = executor
        self._width = width
        self._work = work
        self._watch = _Watch(count_workers or (lambda: 1))

    @property
    def width(self) -> int:
        """How many children at once are worth asking for."""
        return self._width

    def run(
        self, task: ChildTask, cancelled: threading.Event | None = None, launch: Launch | None = None
    ) -> ChildOutcome:
        """Run a child on a worker, as `Crew.run`; one with a Python of its own is run here."""
        if task.python is not None:
            return HERE.run(task, cancelled, launch)
        parcel, sent = pack(task), dict[str, bytes]()
        while True:
            answer = self._submit(parcel, sent, cancelled)
            if isinstance(answer, ChildOutcome):
                return answer
            if isinstance(answer, Delivery):
                try:
                    return unpack(answer, task.folder)
                except OSError as error:
                    raise unwritable("what a worker made", task.folder, error) from error
            # The next worker may lack what this one has, so what was sent once is sent along.
            sent |= {
                digest: path.read_bytes() for path, digest in parcel.files.items() if digest in answer.digests
            }

    def _submit(
        self, parcel: Parcel, contents: Mapping[str, bytes], cancelled: threading.Event | None
    ) -> Delivery | Lacking | ChildOutcome:
        begun = time.monotonic()
        try:
            future: Future[Delivery | Lacking] = self._executor.submit(self._work, parcel, contents)
            while not concurrent.futures.wait([future], _POLL_S).done:
                if cancelled is not None and cancelled.is_set():
                    future.cancel()
                    return _ended("cancelled", "given up because the run was ended", begun)
                self._watch.look(begun)
            return future.result()
        except ClusterError:
            raise
        except concurrent.futures.CancelledError as error:
            raise ClusterError("the cluster is lost", hint=_HINT_RESUME) from error
        except Exception as error:  # of the executor, or a worker that cannot even read what it is sent
            if type(error).__name__ == "KilledWorker":
                return _ended("crash", f"every worker that began it died: {error}", begun)
            raise ClusterError(f"a worker cannot do this work: {error}", hint=_HINT_RESUME) from error


def _ended(cause: Any, message: str, begun: float) -> ChildOutcome:
    return ChildOutcome(None, cause, message, "", time.monotonic() - begun)


class _Watch:
    """Sees that there are workers, from several threads, and asks no more often than it must."""

    def __init__(self, count_workers: Callable[[], int]) -> None:
        self._count_workers = count_workers
        self._lock = threading.Lock()
        self._looked = self._seen = time.monotonic()

    def look(self, since: float) -> None:
        """Raise ClusterError when there was no worker for long; `since` is when the caller began to wait."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked < _LOOK_S:
                return
            self._looked = now
            with contextlib.suppress(OSError):
                if self._count_workers():
                    self._seen = now
            if now - max(self._seen, since) > NO_WORKER_S:
                raise ClusterError(f"no worker has been there for {NO_WORKER_S:.0f} s", hint=_HINT_RESUME)


@contextlib.contextmanager
def open_crew(name: str) -> Iterator[Crew]:
    """Give the crew that an option names: `local`, or the workers of a Dask scheduler.

    Raises
    ------
    StudyError
        If the name is none.
    MissingPackageError
        If Dask is not installed.
    ClusterError
        If the scheduler does not answer, has no workers, or one of them is not as this host.
    """
    if name == LOCAL:
        yield HERE
        return
    with _client(name) as client:
        threads = client.nthreads()
        if not threads:
            raise ClusterError(
                "the cluster has no workers", where=name, hint=f"Start some: dask worker {_address(name)}"
            )
        _check_workers(client)
        executor = client.get_executor(pure=False)
        yield Cluster(
            executor, _PER_THREAD * sum(threads.values()), lambda: len(client.nthreads()), do_on_dask
        )


@contextlib.contextmanager
def _client(name: str) -> Iterator[Any]:
    address = _address(name)
    try:
        import dask
        import distributed
    except ImportError as error:
        raise MissingPackageError("Dask is not installed", hint="Run: pip install 'deltann[dask]'") from error
    # What a person should know, an error of ours says; a model's file is large and meant to be sent.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TiB"}):
        try:
            client = distributed.Client(address, timeout=ANSWER_S, set_as_default=False, name="deltann")
        except (OSError, ValueError, TypeError) as error:
            raise ClusterError(
                f"no Dask scheduler answers ({_why(error)})",
                where=name,
                hint="Start one: dask scheduler --host 127.0.0.1",
            ) from error
        with client:
            yield client


def _address(name: str) -> str:
    scheme, separator, place = name.partition("://")
    if not separator or scheme not in _SCHEMES or not place:
        raise StudyError(f"{name!r} is no executor", where="--executor", hint=_HINT_ADDRESS)
    return f"{_SCHEMES[scheme]}://{place}"


def _check_workers(client: Any) -> None:
    """See that the workers are as this host, as far as any work asks for it; each work asks for more."""
    found = client.run(facts, _EVERYWHERE, on_error="return")
    for worker, answer in found.items():
        where = f"worker {worker}"
        if isinstance(answer, BaseException):
            raise ClusterError(
                f"it cannot run deltann ({_why(answer)})",
                where=where,
                hint="Install the same deltann there, with the extras of this host",
            )
        check_same(facts(_EVERYWHERE), answer, where)


_EVERYWHERE = ("apache-tvm", "apache-tvm-ffi", "numpy")


def do_on_dask(parcel: Parcel, contents: Mapping[str, bytes]) -> Delivery | Lacking:
    """Run the child of a parcel on a worker of Dask; it ends when nobody waits for it any more."""
    import distributed

    worker = distributed.get_worker()
    return do(parcel, contents, _Abandoned(worker, worker.get_current_task()), f"worker {worker.address}")


class _Abandoned(threading.Event):
    """Is set when the host has given a task of a worker up, or is gone."""

    def __init__(self, worker: Any, key: Any) -> None:
        super().__init__()
        self._tasks, self._key = worker.state.tasks, key

    def is_set(self) -> bool:
        task = self._tasks.get(self._key)
        return task is None or task.state != "executing"


def _why(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
