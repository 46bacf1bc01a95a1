"""One study on two boards over the network: measured at once, lost and found again, waited for."""

import asyncio
import getpass
import os
import signal
import socket
import subprocess
import sys
import time

import brief_host
import pytest
from network_kit import NetworkAgent, board_files

from deltann.core.errors import BoardError
from deltann.core.trial import Cause, Status
from deltann.fleet.channel import BoardFullError
from deltann.fleet.client import LEASE_TTL_S, Blob, BoardClient
from deltann.fleet.credentials import load_credentials
from deltann.fleet.pki import Authority, Role
from deltann.results.folder import RunFolder
from deltann.run import measure as measuring
from deltann.run import study_run
from deltann.run.analysis import analyse
from deltann.run.boards import check_boards, describe_board
from deltann.run.events import Note, RunsDone, TrialEnded
from deltann.run.fleet import Lab
from deltann.run.quarantine import Patience
from deltann.run.remembered import FILE as REMEMBERED
from deltann.run.study_run import resume_run, run_study
from deltann.study.study import load_study
from deltann_proto import PROTOCOL

NAMES = ("left", "right")
PICTURES = 6
DEADLINE_S = 120.0
SHORT_LEASE_S = 1.0
# Two trials on each board, of one thread each: more threads than cores would only wait for each other.
FACTORS = "runtime: onnxruntime, ort_graph: [all, off], threads: 1"
STUDY = """
schema: 1
name: two
model:
  path: {model}
  recipe: {{geometry: squash, size: 32, filter: bilinear, colour: rgb, layout: NCHW, mean: 127.5, std: 127.5}}
data: {pictures}
boards: [pair]
factors: {{importer: onnx, level: O3, {factors}}}
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
    def make(rounds: int = 3, factors: str = FACTORS):
        path = tmp_path / "study.yaml"
        path.write_text(STUDY.format(model=tiny_model, pictures=pictures, rounds=rounds, factors=factors))
        return load_study(path, lab.known_boards)

    return make


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(study_run, "THE_USUAL_PATIENCE", Patience((0.1, 0.1, 0.1)))
    monkeypatch.setattr(measuring, "QUEUE_POLL_S", 0.1)


def ends_of(path) -> dict[tuple[str, str], list]:
    folder = RunFolder.open(path)
    names = {trial.trial_id: (trial.board, trial.factors["ort_graph"]) for trial in folder.load().trials}
    return {
        names[trial]: [(end.attempt, end.status, end.cause) for end in ends]
        for trial, ends in folder.attempts().items()
    }


async def test_boards_are_compared_with_each_other(tmp_path, make_study, lab):
    study = make_study(factors="runtime: [tvm, onnxruntime], threads: [1, 2]")
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


WELL = [(1, Status.OK, None)]
LOST_IN_A_TRIAL = [(1, Status.FAILED, Cause.AGENT_LOST), (2, Status.FAILED, Cause.BOARD_LOST)]
LOST_BEFORE_IT = [(1, Status.FAILED, Cause.BOARD_LOST)]


class Killer:
    """Keeps what is said, and kills the agents of some boards as soon as they measure."""

    def __init__(self, agents, *names: str) -> None:
        self.notes = []
        self._agents = agents
        self._names = names

    def __call__(self, event) -> None:
        if isinstance(event, Note):
            self.notes.append(event.text)
        if isinstance(event, RunsDone) and event.runs and event.trial.board in self._names:
            self._agents[event.trial.board].process.kill()


async def test_a_board_that_vanishes_is_left_to_a_resume_and_the_other_goes_on(
    tmp_path, make_study, lab, agents
):
    killer = Killer(agents, "left")
    path = await run_study(make_study(rounds=2000), tmp_path / "runs", killer, lab)
    ends = ends_of(path)
    assert ends[("right", "all")] == ends[("right", "off")] == WELL
    assert ends[("left", "all")] == LOST_IN_A_TRIAL
    assert ends[("left", "off")] == LOST_BEFORE_IT
    assert any("nobody answers" in note for note in killer.notes)
    assert killer.notes[-1].endswith("This board is given up.")
    data, comparison = analyse(path)
    assert {trial.cause for trial in data.trials if trial.board == "left"} == {Cause.BOARD_LOST}
    failures = [finding.text for finding in comparison.findings if "failed (board lost)" in finding.text]
    assert len(failures) == 2
    assert all("nobody answers" in text for text in failures)

    # What is settled needs no board: the other one may be gone by now.
    agents["right"].stop()
    agents["left"].process.wait()
    agents["left"].start()
    resumed = Killer(agents)
    await resume_run(path, resumed, lab)
    ends = ends_of(path)
    assert ends[("left", "all")] == [*LOST_IN_A_TRIAL, (3, Status.OK, None)]
    assert ends[("left", "off")] == [*LOST_BEFORE_IT, (2, Status.OK, None)]
    assert ends[("right", "all")] == ends[("right", "off")] == WELL
    assert not any("right" in note for note in resumed.notes)


async def test_a_resume_goes_on_with_the_boards_that_answer(tmp_path, make_study, lab, agents):
    folders, killer = tmp_path / "runs", Killer(agents, *NAMES)
    with pytest.raises(BoardError, match="nobody answers"):
        await run_study(make_study(rounds=2000), folders, killer, lab)
    (path,) = [folder for folder in folders.iterdir() if not folder.name.startswith(".")]
    assert set(map(tuple, ends_of(path).values())) == {tuple(LOST_IN_A_TRIAL), tuple(LOST_BEFORE_IT)}

    agents["right"].process.wait()
    agents["right"].start()
    resumed = Killer(agents)
    await resume_run(path, resumed, lab)
    ends = ends_of(path)
    assert [ends[("right", graph)][-1][1:] for graph in ("all", "off")] == [(Status.OK, None)] * 2
    assert ends[("left", "all")] == [*LOST_IN_A_TRIAL, (3, Status.FAILED, Cause.BOARD_LOST)]
    assert any("The others go on without it" in note for note in resumed.notes)
    assert resumed.notes[-1].endswith("This board is given up.")

    # An older run has no memory of its boards: all that it may do is ask them.
    (path / REMEMBERED).rename(tmp_path / REMEMBERED)
    with pytest.raises(BoardError, match="nobody answers"):
        await resume_run(path, lambda _: None, lab)
    assert ends_of(path) == ends

    agents["left"].process.wait()
    agents["left"].start()
    await resume_run(path, lambda _: None, lab)
    assert (path / REMEMBERED).exists()
    assert {trial.status for trial in RunFolder.open(path).load().trials} == {Status.OK}
    assert [(end[1], end[2]) for end in ends_of(path)[("left", "all")]].count((Status.OK, None)) == 1


async def test_a_board_that_is_back_while_a_resume_goes_on_is_measured_in_it(
    tmp_path, make_study, lab, agents, monkeypatch
):
    folders = tmp_path / "runs"
    with pytest.raises(BoardError, match="nobody answers"):
        await run_study(make_study(rounds=2000), folders, Killer(agents, *NAMES), lab)
    (path,) = [folder for folder in folders.iterdir() if not folder.name.startswith(".")]
    for agent in agents.values():
        agent.process.wait()
    agents["right"].start()
    notes = []

    def listener(event) -> None:
        if isinstance(event, Note):
            notes.append(event.text)
            if "board left" in event.text and "Connecting again" in event.text and not agents["left"].alive:
                agents["left"].start()

    await resume_run(path, listener, lab)
    assert {trial.status for trial in RunFolder.open(path).load().trials} == {Status.OK}
    assert any(note.startswith("board left is back after ") for note in notes)


async def test_a_lease_that_expires_in_a_trial_costs_one_attempt(tmp_path, make_study, lab, monkeypatch):
    """The host is held up once, on one board, for longer than its lease lasts; others last as ever."""
    lease, renew = BoardClient.lease, BoardClient._renew
    leases, measuring, rounds = [], asyncio.Event(), 5000

    def first_is_short(self):
        leases.append(self.board)
        short = self.board == "left" and leases.count("left") == 1
        return lease(self, SHORT_LEASE_S if short else LEASE_TTL_S)

    async def renew_until_measuring(self, ref, every_s) -> None:
        renewing = asyncio.create_task(renew(self, ref, every_s))
        try:
            if every_s < SHORT_LEASE_S:
                await measuring.wait()
                renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
        finally:
            renewing.cancel()

    def listener(event) -> None:
        if isinstance(event, RunsDone) and event.runs and event.trial.board == "left":
            measuring.set()

    monkeypatch.setattr(BoardClient, "lease", first_is_short)
    monkeypatch.setattr(BoardClient, "_renew", renew_until_measuring)
    path = await run_study(make_study(rounds=rounds), tmp_path / "runs", listener, lab)
    ends = ends_of(path)
    assert ends[("left", "all")] == [(1, Status.FAILED, Cause.LEASE_LOST), (2, Status.OK, None)]
    assert ends[("left", "off")] == ends[("right", "all")] == ends[("right", "off")] == WELL
    for trial in RunFolder.open(path).load().trials:
        assert len(trial.measurement.latency_ns) == PICTURES * rounds


def test_a_host_that_is_killed_on_boards_goes_on_when_its_leases_have_expired(tmp_path, make_study, lab):
    rounds, folders = 2000, tmp_path / "runs"
    make_study(rounds=rounds)
    words = ["run", tmp_path / "study.yaml", "--inventory", lab.inventory, "--runs", folders]
    with (tmp_path / "said.txt").open("wb") as said:
        host = subprocess.Popen(
            [sys.executable, brief_host.__file__, *map(str, words)],
            env={**os.environ, "DELTANN_PKI": str(lab.pki)},
            stdout=said,
            stderr=said,
        )
        try:
            path = wait_for_attempt(host, folders)
        finally:
            host.kill()
            host.wait()
    before = ends_of(path)
    assert set(map(tuple, before.values())) == {tuple(WELL)}
    assert 1 <= len(before) < 4
    ended, notes = [], []

    def listener(event) -> None:
        if isinstance(event, TrialEnded):
            ended.append(event.record)
        if isinstance(event, Note):
            notes.append(event.text)

    asyncio.run(resume_run(path, listener, lab))
    ends = ends_of(path)
    assert len(ends) == 4
    assert all(made == WELL for made in ends.values())
    assert len(ended) == 4 - len(before)
    for trial in RunFolder.open(path).load().trials:
        assert len(trial.measurement.latency_ns) == PICTURES * rounds
    assert any(f"is held by {holder_words(host.pid)}" in note for note in notes)
    assert brief_host.TTL_S + 5 > max(record.waited_s for record in ended) > 1


def wait_for_attempt(host: subprocess.Popen, folders) -> "os.PathLike[str]":
    """Return the run folder as soon as an attempt is on the disk, while others are measured."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        assert host.poll() is None
        for folder in folders.glob("[!.]*"):
            if RunFolder.open(folder).attempts():
                return folder
        time.sleep(0.02)  # there is no event to wait for in another process
    pytest.fail("nothing was measured")


def holder_words(pid: int) -> str:
    return f"{getpass.getuser()}@{socket.gethostname()} (process {pid})"


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
        BoardError, match=rf"speaks version {PROTOCOL} of the wire, this host version 99.*site.yml --limit"
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


async def test_a_file_that_does_not_fit_is_refused_as_such_while_it_is_being_sent(make_agent, tmp_path):
    """The refusal comes while chunks are on their way, which gRPC mostly calls an internal error."""
    agent = make_agent("--quota", str(2**20))
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(128 * 2**20)
    blob = Blob("0" * 64, large, large.stat().st_size)
    async with BoardClient("x", f"unix:{agent.socket}") as client, client.lease() as lease_id:
        for _ in range(6):
            with pytest.raises(BoardFullError, match="RESOURCE_EXHAUSTED"):
                await client.ship(lease_id, [blob])
