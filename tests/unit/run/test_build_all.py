import asyncio
import threading

import pytest

from deltann.core.artifact import BuildFailure
from deltann.run.build import BuildJob, build_all

PATIENCE_S = 60


def failure(key: str) -> BuildFailure:
    return BuildFailure(key, "refused", "refused", "", 0.0)


async def test_an_exception_of_the_listener_ends_the_other_builds_and_goes_on():
    loop = asyncio.get_running_loop()
    begun, ended, seen = threading.Event(), [], []

    def long_build(stop: threading.Event) -> BuildFailure:
        begun.set()
        stop.wait(PATIENCE_S)
        loop_lives = threading.Event()
        loop.call_soon_threadsafe(loop_lives.set)
        ended.append((stop.is_set(), loop_lives.wait(PATIENCE_S)))
        return failure("long")

    def short_build(_: threading.Event) -> BuildFailure:
        begun.wait(PATIENCE_S)
        return failure("short")

    def full_disk(result) -> None:
        seen.append(result.build_key)
        raise OSError("disk full")

    jobs = {"long": BuildJob("long", long_build, False), "short": BuildJob("short", short_build, False)}
    with pytest.raises(OSError, match="disk full"):
        await build_all(jobs, full_disk, lambda _: None, width=2)
    assert ended == [(True, True)], "it was asked to stop, waited for, and the loop went on meanwhile"
    assert seen == ["short"]


async def test_a_cancelled_build_waits_for_its_children():
    begun, ended = asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def work(stop: threading.Event) -> BuildFailure:
        loop.call_soon_threadsafe(begun.set)
        ended.append(stop.wait(PATIENCE_S))
        return failure("a")

    task = asyncio.create_task(
        build_all({"a": BuildJob("a", work, False)}, lambda _: pytest.fail("no result"), lambda _: None, 2)
    )
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_results_come_by_their_keys():
    jobs = {key: BuildJob(key, lambda _, key=key: failure(key), True) for key in "abc"}
    seen: list[str] = []
    results = await build_all(jobs, lambda result: seen.append(result.build_key), lambda _: None, 2)
    assert {key: result.build_key for key, result in results.items()} == {key: key for key in "abc"}
    assert sorted(seen) == list("abc")
