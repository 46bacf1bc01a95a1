"""Looking at the boards of a run that goes on: who is asked, and what stands for one that is silent."""

from types import SimpleNamespace

import pytest
from played_board import ARCHITECTURE, HOSTNAME, PlayedBoard, facts_of

from deltann.core.artifact import CpuTarget
from deltann.core.board import BoardFacts
from deltann.core.errors import BoardError, ResultsError
from deltann.core.factors import Device
from deltann.fleet.channel import UnfitBoardError
from deltann.run import fleet, survey
from deltann.run.events import Note
from deltann.run.remembered import FILE, recall_boards, remember_boards
from deltann.run.survey import Memory, make_survey
from deltann.study.study import load_study

STUDY = """
schema: 1
name: some
model: {path: net.onnx, recipe: torchvision}
data: pictures
boards: [there, away]
"""
GONE = BoardError("nobody answers", where="board away")


class Silent(PlayedBoard):
    def connect(self):
        self.connections += 1
        raise GONE


@pytest.fixture
def look(tmp_path, monkeypatch):
    """Make the survey of a study about boards alone, and return it with its notes."""
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    study = load_study(path, known_boards=None)
    monkeypatch.setattr(survey, "open_model", lambda *_, **__: SimpleNamespace(to_fetch=False))
    monkeypatch.setattr(survey, "find_images", lambda *_, **__: ())
    monkeypatch.setattr(fleet, "detect_cpu", lambda: None)

    async def look_at_all(*boards: PlayedBoard, **memory):
        notes = []

        def listener(event) -> None:
            assert isinstance(event, Note)
            notes.append(event.text)

        return await make_survey(study, boards, listener, Memory(**memory)), notes

    return look_at_all


def remembered(*names: str) -> dict[str, BoardFacts]:
    return {name: facts_of(name, cores=9) for name in names}


async def test_the_others_go_on_when_a_remembered_board_does_not_answer(look):
    made, notes = await look(
        PlayedBoard(name="there"), Silent(name="away"), facts=remembered("there", "away")
    )
    assert made.board("away") == remembered("away")["away"]
    assert made.board("there").cores == 1  # asked: what it says now counts
    assert made.unreached == {"away": GONE}
    assert notes == ["board away: nobody answers. The others go on without it for now."]


async def test_a_board_of_another_wire_does_not_hold_the_others_either(look):
    other = PlayedBoard(name="away")
    other.protocol = 99
    made, _ = await look(PlayedBoard(name="there"), other, facts=remembered("there", "away"))
    assert isinstance(made.unreached["away"], UnfitBoardError)


async def test_a_board_with_nothing_left_to_measure_is_not_asked(look):
    done = Silent(name="away")
    made, notes = await look(
        PlayedBoard(name="there"), done, facts=remembered("there", "away"), done={"away"}
    )
    assert done.connections == 0
    assert made.board("away") == remembered("away")["away"]
    assert not made.unreached
    assert notes == []


async def test_a_board_that_nothing_is_remembered_of_must_answer(look):
    with pytest.raises(BoardError, match="nobody answers"):
        await look(PlayedBoard(name="there"), Silent(name="away"), done={"away"})


async def test_when_no_board_answers_that_is_the_end(look):
    with pytest.raises(BoardError, match="nobody answers"):
        await look(
            PlayedBoard(name="there"),
            Silent(name="away"),
            facts=remembered("there", "away"),
            done={"there"},
        )


async def test_this_machine_must_answer(look):
    with pytest.raises(BoardError, match="nobody answers"):
        await look(PlayedBoard(name="there"), Silent(name="local"), facts=remembered("there", "local"))


def test_what_boards_are_is_remembered_whole(tmp_path):
    boards = (
        BoardFacts(
            name="pi",
            cpu=CpuTarget("aarch64-linux-gnu", "cortex-a72", ("+crc",)),
            cores=4,
            runtimes={"tvm": None, "onnxruntime": "not installed"},
            emulated=True,
            devices={Device.CPU: None, Device.CUDA: "no driver"},
            cuda_arch="sm_87",
            facts=(("hostname", HOSTNAME), ("architecture", ARCHITECTURE)),
        ),
        facts_of("bare"),
    )
    remember_boards(tmp_path, boards)
    assert recall_boards(tmp_path) == {board.name: board for board in boards}


def test_an_older_run_remembers_nothing_and_a_damaged_one_says_so(tmp_path):
    assert recall_boards(tmp_path) == {}
    (tmp_path / FILE).write_text("[{}]")
    with pytest.raises(ResultsError, match=r"damaged.*Remove the file"):
        recall_boards(tmp_path)
