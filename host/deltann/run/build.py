"""Build the artifacts of a plan: each in a child process, several at once, all before measuring."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from deltann.core.artifact import Artifact, BuildFailure
from deltann.run.events import BuildEnded, BuildsPlanned, Listener


@dataclass(frozen=True, slots=True)
class BuildJob:
    """One artifact to build.

    Attributes
    ----------
    label
        A variant that wants it, for people.
    work
        Builds it, or takes it from the cache; ends early when the event is set.
    cached
        Whether the cache has it, so that nothing will be built.
    """

    label: str
    work: Callable[[threading.Event], Artifact | BuildFailure]
    cached: bool


async def build_all(
    jobs: Mapping[str, BuildJob],
    on_end: Callable[[Artifact | BuildFailure], None],
    listener: Listener,
    width: int,
) -> dict[str, Artifact | BuildFailure]:
    """Build every job and return the results by the jobs' keys.

    A compiler that crashes, hangs or refuses is a result. When this is cancelled, the children are ended
    before it returns; so they are when `on_end` raises, whose exception then goes on.

    Parameters
    ----------
    on_end
        Called with each result as it comes.
    width
        How many are built at once.
    """
    listener(BuildsPlanned(len(jobs)))
    results: dict[str, Artifact | BuildFailure] = {}
    stop = threading.Event()
    pool = ThreadPoolExecutor(width)

    async def one(key: str, job: BuildJob) -> None:
        result = await asyncio.get_running_loop().run_in_executor(pool, job.work, stop)
        results[key] = result
        on_end(result)
        listener(BuildEnded(job.label, result, job.cached))

    tasks = [asyncio.create_task(one(key, job)) for key, job in jobs.items()]
    try:
        await asyncio.gather(*tasks)
    finally:
        stop.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A cancelled task leaves its thread behind, which still has to end its child.
        await asyncio.to_thread(pool.shutdown, cancel_futures=True)
    return results
