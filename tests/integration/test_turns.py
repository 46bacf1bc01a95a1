"""Variants that take turns on a real agent: whole runs, and what ends them in the middle."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import psutil
import pytest
from agent_kit import AgentClient, AgentProcess, onnx_model

from deltann.core.block import Phase, TimingEndKind, Verdict
from deltann.core.trial import Status
from deltann.results.folder import RunFolder
from deltann.run.analysis import analyse
from deltann.run.events import LapDone
from deltann.run.study_run import resume_run, run_study
from deltann.study.study import load_study
from deltann_proto.v1 import agent_pb2 as pb
from processes import words_of

STUDY = """
schema: 1
name: turns
model:
  path: {model}
  recipe: {{geometry: squash, size: 32, filter: bilinear, colour: rgb, layout: NCHW, mean: 127.5, std: 127.5}}
data: {pictures}
factors: {{runtime: onnxruntime, ort_graph: [all, off], threads: 1}}
timing: {timing}
"""
SHORT = "block: 2 ms, min_laps: 8, warm_up: {time: 10 ms, limit: 1 s}"
LONG = (
    "precision: 0.0001 %, block: 20 ms, budget: 60 s, laps_per_launch: 20, warm_up: {time: 10 ms, limit: 1 s}"
)


@pytest.fixture
def make_study(tmp_path, tiny_model, pictures):
    def make(timing: str):
        path = tmp_path / "study.yaml"
        path.write_text(STUDY.format(model=tiny_model, pictures=pictures, timing=f"{{{timing}}}"))
        return load_study(path)

    return make


def loaded(block):
    return block.launch is not None


async def test_every_variant_has_its_turns_and_the_pair_is_compared_in_laps(tmp_path, make_study):
    path = await run_study(make_study(f"precision: 50 %, {SHORT}"), tmp_path / "runs", lambda _: None)
    data, comparison = analyse(path)
    (end,) = data.timings
    assert end.kind is TimingEndKind.PRECISION
    assert end.laps >= 8
    turns = Counter((block.place.trial_id, block.place.twin) for block in data.blocks)
    assert len(turns) == 3
    assert min(turns.values()) >= 8
    for block in data.blocks:
        assert block.place.phase is Phase.MEASURE
        assert block.strain.wall_ns >= max(2_000_000, sum(block.latency_ns))
        assert block.reading.unix_ns > 0
        assert loaded(block) == (block.place.lap == 0)
    (pair,) = comparison.pairs
    assert (pair.time.laps, pair.factor) == (end.laps, "ort_graph")
    assert pair.time.floor > 0
    assert pair.labels.differing == 0


async def test_cold_is_the_first_run_of_a_process_of_its_own(tmp_path, make_study):
    study = make_study("state: cold, min_laps: 6, precision: 90 %, budget: 60 s")
    data, comparison = analyse(await run_study(study, tmp_path / "runs", lambda _: None))
    assert len(data.blocks) >= 18
    for block in data.blocks:
        assert block.launch.warmup_runs == 0
        assert block.latency_ns == (block.launch.first_run_ns,)
        assert block.strain.wall_ns >= block.launch.first_run_ns
        # Its only run is so short that whatever else this machine does is a large part of it.
        assert block.verdict is Verdict.VALID or block.reasons
        assert not any("warm-up" in reason for reason in block.reasons)
    assert comparison.pairs[0].time.laps >= 6


async def test_models_are_loaded_anew_and_inputs_gone_through(tmp_path, make_study):
    study = make_study(f"precision: 0.0001 %, input: dataset, laps_per_launch: 3, max_laps: 8, {SHORT}")
    data, _ = analyse(await run_study(study, tmp_path / "runs", lambda _: None))
    assert {block.place.lap for block in data.blocks if loaded(block)} == {0, 3, 6}
    assert data.timings[0].kind is TimingEndKind.LAPS


class Killer:
    """Kills a process of ours once, when some laps are done."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.killed = False

    def __call__(self, event) -> None:
        if isinstance(event, LapDone) and event.laps >= 5 and not self.killed:
            self.killed = True
            for child in psutil.Process().children(recursive=True):
                if self.module in words_of(child):
                    os.kill(child.pid, signal.SIGKILL)
                    return


async def test_a_killed_worker_is_loaded_anew(tmp_path, make_study):
    killer = Killer("deltann_agent.worker")
    study = make_study(f"precision: 0.0001 %, max_laps: 15, {SHORT}")
    data, _ = analyse(await run_study(study, tmp_path / "runs", killer))
    assert killer.killed
    assert data.timings[0].laps == 15
    assert len([block for block in data.blocks if loaded(block)]) == 4


async def test_a_killed_agent_costs_the_block_it_was_in(tmp_path, make_study):
    killer = Killer("deltann_agent")
    study = make_study(f"precision: 0.0001 %, max_laps: 15, {SHORT}")
    data, _ = analyse(await run_study(study, tmp_path / "runs", killer))
    assert killer.killed
    failed = [block for block in data.blocks if block.cause]
    assert len(failed) == 1
    assert failed[0].verdict is Verdict.INVALID
    assert data.timings[0].laps == 15
    assert all(trial.status is Status.OK and trial.attempts == 1 for trial in data.trials)


def killed_run(folder):
    """Return the folder of a run whose process was killed when its first blocks were on disk."""
    command = [sys.executable, "-m", "deltann", "run", str(folder / "study.yaml")]
    command += ["--runs", str(folder / "runs")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline_s = time.monotonic() + 60
    while not list((folder / "runs").glob("*/tables/blocks/*.parquet")):
        assert time.monotonic() < deadline_s
        assert process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.wait()
    (path,) = (folder / "runs").iterdir()
    return path


async def test_a_host_that_is_killed_goes_on_where_it_was(tmp_path, make_study):
    make_study(LONG)
    path = killed_run(tmp_path)
    before = RunFolder.open(path).blocks("local")
    assert before
    assert RunFolder.open(path).timings() == ()

    # Some more than is there: it ends soon after it has gone on.
    laps = max(block.place.lap for block in before) + 30
    resolved = path / "resolved.yaml"
    text = resolved.read_text()
    assert "max_laps: 10000" in text
    resolved.write_text(text.replace("max_laps: 10000", f"max_laps: {laps}"))
    await resume_run(path, lambda _: None)
    after = RunFolder.open(path).blocks("local")
    assert after[: len(before)] == before
    assert after[len(before)].place.launch == max(block.place.launch for block in before) + 1
    (end,) = RunFolder.open(path).timings()
    assert end.kind is TimingEndKind.LAPS
    turns = Counter(
        (block.place.trial_id, block.place.twin, block.place.lap)
        for block in after
        if block.verdict is not Verdict.INVALID
    )
    assert max(turns.values()) == 1, "no lap is measured twice"


@pytest.fixture
async def agent(tmp_path):
    import grpc.aio

    process = AgentProcess(tmp_path)
    process.start()
    async with grpc.aio.insecure_channel(f"unix:{process.socket}") as channel:
        client = AgentClient(channel)
        await client.lease()
        yield client
    process.stop()


async def block_of(agent, **changes) -> list[pb.TrialEvent]:
    trial = await agent.trial(onnx_model(), bytes(3 * 8 * 8), 1)
    request = pb.RunBlockRequest(trial=trial, slot="a", runs=2)
    for name, value in changes.items():
        setattr(request, name, value)
    return [event async for event in agent.stub.RunBlock(request)]


def kinds(events):
    return [event.WhichOneof("event") for event in events]


async def test_a_slot_stays_loaded_until_it_is_asked_anew_or_a_trial_comes(agent):
    assert kinds(await block_of(agent)) == ["started", "batch", "strain", "reading", "finished"]
    assert kinds(await block_of(agent)) == ["batch", "strain", "reading", "finished"]
    assert "started" in kinds(await block_of(agent, slot="b"))
    assert "started" in kinds(await block_of(agent, fresh=True))
    assert kinds(await block_of(agent, slot="c", cold=True)) == ["started", "strain", "reading", "finished"]
    await agent.run(await agent.trial(onnx_model(), bytes(3 * 8 * 8), 1))
    assert "started" in kinds(await block_of(agent))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"slot": ""}, "a block needs a slot"),
        ({"runs": 0}, "runs must be 1 or more, not 0"),
        ({"seconds": -1.0}, "seconds must be 0 or more, not -1"),
        ({"seconds": float("nan")}, "seconds must be 0 or more, not nan"),
    ],
)
async def test_blocks_that_cannot_be_are_refused(agent, changes, words):
    import grpc

    with pytest.raises(grpc.aio.AioRpcError, match=words):
        await block_of(agent, **changes)


async def test_a_block_has_the_deadline_of_its_trial(agent):
    trial = await agent.trial(onnx_model(), bytes(3 * 8 * 8), 1, deadline_s=1.0)
    request = pb.RunBlockRequest(trial=trial, slot="a", runs=1, seconds=60.0)
    events = [event async for event in agent.stub.RunBlock(request)]
    assert events[-1].failed.cause == pb.Failed.TIMEOUT
    assert "started" in kinds(await block_of(agent)), "what was ended is not there any more"
