"""What befalls a board while it measures: the trial has its cause, the others go on, and so does it."""

import contextlib
import json
import os
import subprocess

import numpy as np
import pytest
from run_kit import NEIGHBOUR, STORE, Lab, Neighbour, ends_in

from deltann.results.folder import RunFolder
from tiny import TINY_CLASSES, TINY_SIDE

WELL = [[(1, "ok", None)]] * 2
STUDY = {
    "schema": 1,
    "name": "faults",
    "model": {
        "recipe": {
            "geometry": "squash",
            "size": TINY_SIDE,
            "filter": "bilinear",
            "colour": "rgb",
            "layout": "NCHW",
            "mean": 127.5,
            "std": 127.5,
        }
    },
    "factors": {"runtime": "tvm", "level": ["O0", "O3"], "threads": 1},
    "boards": ["local", "well", "rpi"],
    "protocol": {"warmup_runs": 0, "rounds": 150, "deadline": "60 s"},
}
IMAGES = 6
# Some seconds on their way to the emulated board: long enough to be met there.
HIDDEN = 6400
HEAVY_BYTES = 3 * TINY_SIDE**2 * HIDDEN * 4
SMALL_DISK_BYTES = 3 * HEAVY_BYTES // 2


@pytest.fixture(scope="module")
def lab(boards_of_session, agent_board, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    neighbour = Neighbour(boards_of_session, folder)
    yield Lab.of(boards_of_session, agent_board, neighbour, folder)
    neighbour.end()


@pytest.fixture
def start(lab, tmp_path, pictures):
    """Start a run of the study, with other values for some of its keys."""
    started = []

    def begin(model, **changes):
        study = {**STUDY, **changes, "data": str(pictures), "model": {**STUDY["model"], "path": str(model)}}
        path = tmp_path / "study.yaml"
        path.write_text(json.dumps(study))
        started.append(lab.run(tmp_path, path))
        return started[-1]

    yield begin
    for run in started:
        run.kill()


@pytest.fixture
def small_disk(lab):
    """The board's state on a disk with room for one and a half artifacts of `heavy_model`."""
    state = "/var/lib/deltann"
    lab.board.shell(
        f"systemctl stop deltann-agent && mount -t tmpfs -o size={SMALL_DISK_BYTES} tmpfs {state} "
        "&& systemctl start deltann-agent"
    )
    lab.wait_for_agent()
    yield
    lab.board.shell(f"systemctl stop deltann-agent && umount {state} && systemctl start deltann-agent")
    lab.wait_for_agent()


@pytest.fixture
def heavy_model(tmp_path):
    """An ONNX classifier whose weights take a while to send; other ones each time."""
    from onnx import TensorProto, helper, numpy_helper, save

    random = np.random.default_rng()
    inputs = 3 * TINY_SIDE**2
    weights = {
        "first": random.normal(size=(inputs, HIDDEN), scale=0.02).astype(np.float32),
        "second": random.normal(size=(HIDDEN, TINY_CLASSES), scale=0.02).astype(np.float32),
    }
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "first"], ["features"]),
        helper.make_node("MatMul", ["features", "second"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "heavy",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, TINY_SIDE, TINY_SIDE])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, TINY_CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    path = tmp_path / "heavy.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


# Of ONNX Runtime both trials have one artifact, sent as it is.
HEAVY = {
    "factors": {"runtime": "onnxruntime", "threads": [1, 2]},
    "protocol": {"warmup_runs": 0, "rounds": 1},
}


@pytest.mark.slow
def test_a_link_that_is_down_for_a_while_costs_one_attempt(lab, start, tiny_model):
    run = start(tiny_model)
    run.wait_for(lab.measuring)
    link(lab, "down")
    try:
        run.wait_for_words("agent_lost")
        run.wait_for_words("Connecting again in 2 s")  # left alone for longer and longer
    finally:
        link(lab, "up")
    code, answer = run.end()
    assert code == 0, run.said
    assert ends_in(run.folder) == {
        "local": WELL,
        NEIGHBOUR: WELL,
        lab.board.name: [[(1, "failed", "agent_lost"), (2, "ok", None)], [(1, "ok", None)]],
    }
    assert_measured_once(run.folder, STUDY["protocol"]["rounds"])
    assert {trial["status"] for trial in answer["trials"]} == {"ok"}


@pytest.mark.slow
def test_a_worker_that_hangs_is_ended_at_its_deadline_alone(lab, start, tiny_model):
    run = start(tiny_model, protocol={**STUDY["protocol"], "deadline": "15 s"})
    worker = run.wait_for(lab.measuring)
    agent = lab.agent()
    worker.suspend()
    code, answer = run.end()
    assert code == 10, run.said
    assert ends_in(run.folder) == {
        "local": WELL,
        NEIGHBOUR: WELL,
        lab.board.name: [[(1, "failed", "timeout")], [(1, "ok", None)]],
    }
    assert not worker.is_running()
    assert lab.agent() == agent
    (hung,) = [trial for trial in answer["trials"] if trial["cause"]]
    assert "time limit of 15 s" in hung["message"]


@pytest.mark.slow
def test_an_agent_killed_while_it_is_sent_a_file_starts_anew_and_gets_it_whole(lab, start, heavy_model):
    run = start(heavy_model, **HEAVY)
    run.wait_for(lab.incoming)
    killed = lab.agent()
    killed.kill()
    code, _ = run.end()
    assert code == 0, run.said
    # Nothing was being measured, so no attempt is spent; what happened is said.
    assert ends_in(run.folder) == {"local": WELL, NEIGHBOUR: WELL, lab.board.name: WELL}
    assert f"board {lab.board.name}" in run.said
    assert "Connecting again in" in run.said
    assert lab.agent() != killed
    assert list((lab.root / STORE).glob(".incoming-*")) == []
    assert_measured_once(run.folder, 1)


@pytest.mark.slow
def test_a_disk_that_fills_up_while_it_is_sent_a_file_is_looked_at_until_there_is_room(
    lab, start, heavy_model, small_disk
):
    run = start(heavy_model, **HEAVY)
    run.wait_for(lab.incoming)
    agent, filler = lab.agent(), lab.root / STORE.parent / "filler"
    fill(filler)
    run.wait_for_words("Connecting again in 2 s")  # looked at once more, and no better
    assert "free some space" in run.said
    assert list((lab.root / STORE).glob(".incoming-*")) == []
    assert set(ends_in(run.folder)) <= {"local", NEIGHBOUR}

    filler.unlink()
    code, _ = run.end()
    assert code == 0, run.said
    # Nothing was being measured, so no attempt is spent.
    assert ends_in(run.folder) == {"local": WELL, NEIGHBOUR: WELL, lab.board.name: WELL}
    assert lab.agent() == agent
    assert_measured_once(run.folder, 1)


def assert_measured_once(folder, rounds) -> None:
    trials = RunFolder.open(folder).load().trials
    assert len(trials) == 6
    for trial in trials:
        assert len(trial.measurement.latency_ns) == IMAGES * rounds
        assert len(trial.measurement.outputs) == IMAGES


def link(lab, state: str) -> None:
    """Pull the board's cable, or put it in again; at its own end, so that nothing takes another way."""
    subprocess.run(["ip", "-n", lab.board.label, "link", "set", "eth0", state], check=True)


def fill(path) -> None:
    """Fill the board's small disk, and no other one: never more is written than that one holds."""
    room = os.statvfs(path.parent)
    assert room.f_blocks * room.f_frsize <= SMALL_DISK_BYTES
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for _ in range(SMALL_DISK_BYTES // 2**20 + 1):
            file.write(bytes(2**20))
    assert os.statvfs(path).f_bavail == 0
