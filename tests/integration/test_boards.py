"""One study on two boards over the network: measured at once, lost and found again, waited for."""

import asyncio
import signal

import pytest
from network_kit import NetworkAgent, board_files

from deltann.core.errors import BoardError
from deltann.core.trial import Cause, Status
from deltann.fleet.client import BoardClient
from deltann.fleet.credentials import load_credentials
from deltann.fleet.pki import Authority, Role
from deltann.results.folder import RunFolder
from deltann.run import measure as measuring
from deltann.run import study_run
from deltann.run.analysis import analyse
from deltann.run.boards import check_boards, describe_board
from deltann.run.events import Note, RunsDone, TrialEnded
from deltann.run.fleet import Lab
from deltann.run.study_run import resume_run, run_study
from deltann.study.study import load_study

NAMES = ("left", "right")
STUDY = """
schema: 1
name: two
model:
  path: {model}
  recipe: {{geometry: squash, size: 32, filter: bilinear, colour: rgb, layout: NCHW, mean: 127.5, std: 127.5}}
data: {pictures}
boards: [pair]
factors: {{runtime: {runtimes}, importer: onnx, level: O3, threads: [1, 2]}}
protocol: {{warmup_runs: 0, rounds: {rounds}}}
"""


@pytest.fixture
def agents(tmp_path):
    authority = Authority.init(tmp_path / "pki")
    authority.issue("controller", Role.CONTROLLER)
    started = {}
    try:
        for name in NAMES:
            authority.issue(name, Role.BOARD)
            folder = tmp_path / name
            folder.mkdir()
            started[name] = NetworkAgent(folder, board_files(authority, name))
            started[name].start()
        yield started
    finally:
        for agent in started.values():
            agent.stop()


@pytest.fixture
def lab(tmp_path, agents):
    inventory = tmp_path / "hosts.yml"
    hosts = "".join(
        f"    {name}: {{ansible_host: 127.0.0.1, deltann_agent_port: {agent.port}}}\n"
        for name, agent in agents.items()
    )
    inventory.write_text(f"pair:\n  hosts:\n{hosts}")
    return Lab(inventory, tmp_path / "pki")


@pytest.fixture
def make_study(tmp_path, tiny_model, pictures, lab):
    def make(rounds: int = 3, runtimes: str = "onnxruntime"):
        path = tmp_path / "study.yaml"
        path.write_text(STUDY.format(model=tiny_model, pictures=pictures, rounds=rounds, runtimes=runtimes))
        return load_study(path, lab.known_boards)

    return make


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(study_run, "PAUSES_S", (0.1, 0.1, 0.1))
    monkeypatch.setattr(measuring, "QUEUE_POLL_S", 0.1)


def ends_of(path) -> dict[tuple[str, int], list]:
    folder = RunFolder.open(path)
    names = {trial.trial_id: (trial.board, int(trial.factors["threads"])) for trial in folder.load().trials}
    return {
        names[trial]: [(end.attempt, end.status, end.cause) for end in ends]
        for trial, ends in folder.attempts().items()
    }


async def test_boards_are_compared_with_each_other(tmp_path, make_study, lab):
    study = make_study(runtimes="[tvm, onnxruntime]")
    path = await run_study(study, tmp_path / "runs", lambda _: None, lab)
    data, comparison = analyse(path)
    assert {trial.board for trial in data.trials} == set(NAMES)
    assert {trial.status for trial in data.trials} == {Status.OK}
    across = [pair for pair in comparison.pairs if pair.factor == "board"]
    assert len(across) == 4  # two runtimes, two numbers of threads
    assert all(pair.labels.differing == 0 for pair in across)
    # One processor, one artifact: the very same numbers.
    assert {pair.tensors.max_abs for pair in across} == {0.0}
    assert await resume_run(path, lambda _: None, lab) == path
    assert all(len(ends) == 1 for ends in ends_of(path).values())


async def test_a_board_that_vanishes_is_left_to_a_resume_and_the_other_goes_on(
    tmp_path, make_study, lab, agents
):
    notes = []

    def listener(event) -> None:
        if isinstance(event, Note):
            notes.append(event.text)
        if isinstance(event, RunsDone) and event.runs and event.trial.board == "left":
            agents["left"].process.kill()

    path = await run_study(make_study(rounds=2000), tmp_path / "runs", listener, lab)
    ends = ends_of(path)
    assert [ends.get(("right", threads)) for threads in (1, 2)] == [[(1, Status.OK, None)]] * 2
    assert ends[("left", 1)] == [(1, Status.FAILED, Cause.AGENT_LOST)]
    assert ("left", 2) not in ends
    assert any("nobody answers" in note for note in notes)
    assert notes[-1].endswith("This board is given up.")
    agents["left"].process.wait()
    agents["left"].start()
    await resume_run(path, lambda _: None, lab)
    ends = ends_of(path)
    assert ends[("left", 1)] == [(1, Status.FAILED, Cause.AGENT_LOST), (2, Status.OK, None)]
    assert ends[("left", 2)] == ends[("right", 1)] == ends[("right", 2)] == [(1, Status.OK, None)]


async def test_who_waits_for_a_board_is_not_charged_for_it(tmp_path, make_study, lab, agents):
    shown = load_credentials(lab.pki, "controller")
    ended, right_ended = [], asyncio.Event()
    async with BoardClient("left", agents["left"].address, shown) as other:
        holding = asyncio.Event()

        async def hold() -> None:
            async with other.lease():
                holding.set()
                await right_ended.wait()

        holder = asyncio.create_task(hold())
        await holding.wait()

        def listener(event) -> None:
            if isinstance(event, TrialEnded):
                ended.append(event.record)
                if event.record.trial.board == "right":
                    right_ended.set()

        path = await run_study(make_study(), tmp_path / "runs", listener, lab)
        await holder
    left = [record for record in ended if record.trial.board == "left"]
    assert left[0].waited_s > 0.1 > left[1].waited_s
    assert {trial.status for trial in RunFolder.open(path).load().trials} == {Status.OK}


async def test_an_agent_of_another_wire_is_refused_before_anything_is_built(
    tmp_path, make_study, lab, monkeypatch
):
    monkeypatch.setattr("deltann.run.fleet.PROTOCOL", 99)
    with pytest.raises(
        BoardError, match=r"speaks version 1 of the wire, this host version 99.*site.yml --limit"
    ):
        await run_study(make_study(), tmp_path / "runs", lambda _: None, lab)
    assert not (tmp_path / "runs").exists()


async def test_a_board_that_is_slow_to_answer_is_waited_for(lab, agents):
    agent = agents["left"]
    async with BoardClient("left", agent.address, load_credentials(lab.pki, "controller")) as client:
        agent.process.send_signal(signal.SIGSTOP)
        asyncio.get_running_loop().call_later(1.0, agent.process.send_signal, signal.SIGCONT)
        assert (await client.describe()).machine.architecture


async def test_boards_are_asked_all_at_once_and_each_says_its_own(lab, agents):
    agents["right"].stop()
    left, right = await check_boards(lab, ["pair"])
    assert left.trouble is None
    assert left.agent.startswith("deltann-agent ")
    assert "nobody answers" in right.trouble
    status, proposal = await describe_board(lab, "left")
    assert status.board == "left"
    assert proposal.cpu.triple.startswith(status.processor.architecture)
