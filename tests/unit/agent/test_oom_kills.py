"""The kernel's counts of what it killed for lack of memory, on trees of its files."""

import os
from pathlib import Path

import pytest

from deltann_agent.oom_kills import OomKills, oom_kills, risen


def write(root, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def vmstat(root, kills: int) -> None:
    write(root, "proc/vmstat", f"nr_free_pages 3\noom_kill {kills}\noom_kill_other 9\n")


def group(root, kills: int, path: str = "/system.slice/deltann-agent.service") -> None:
    write(root, "proc/self/cgroup", f"12:memory:/old\n0::{path}\n")
    events = f"low 0\nhigh 0\nmax 44\noom {kills + 1}\noom_kill {kills}\noom_group_kill 0\n"
    write(root, f"sys/fs/cgroup{path}/memory.events", events)


def test_both_counts_are_read(tmp_path):
    vmstat(tmp_path, 4)
    group(tmp_path, 2)
    assert oom_kills(tmp_path) == OomKills(system=4, group=2)


def test_in_a_container_the_group_is_the_top_one(tmp_path):
    group(tmp_path, 3, "/")
    assert oom_kills(tmp_path) == OomKills(system=None, group=3)


def test_a_kernel_that_does_not_count_says_nothing(tmp_path):
    assert oom_kills(tmp_path) == OomKills(None, None)
    write(tmp_path, "proc/vmstat", "nr_free_pages 3\n")
    write(tmp_path, "proc/self/cgroup", "4:memory:/user\n")
    assert oom_kills(tmp_path) == OomKills(None, None)


def test_a_group_outside_of_what_is_mounted_is_not_looked_for(tmp_path):
    write(tmp_path, "proc/self/cgroup", "0::/../other\n")
    write(tmp_path, "sys/fs/other/memory.events", "oom_kill 7\n")
    assert oom_kills(tmp_path).group is None


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (OomKills(0, None), OomKills(1, None), "oom_kill in /proc/vmstat rose from 0 to 1"),
        (
            OomKills(5, 0),
            OomKills(6, 2),
            "oom_kill in memory.events of the agent's control group rose from 0 to 2",
        ),
        (OomKills(5, 0), OomKills(6, 0), None),  # somebody else's process was killed
        (OomKills(5, None), OomKills(5, None), None),
        (OomKills(None, None), OomKills(None, None), None),
        (OomKills(None, None), OomKills(1, 1), None),
    ],
)
def test_only_a_count_that_rose_tells(before, after, words):
    assert risen(before, after) == words


def test_this_kernel_is_understood():
    if "\noom_kill " not in Path("/proc/vmstat").read_text():
        pytest.skip(f"Linux {os.uname().release} does not count")
    assert oom_kills().system >= 0
