"""What the playbook does to a board, from the first look at it until nothing of it is left.

The boards are x86, where a play takes seconds. The last test takes the agents off, so it stays the last.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from board_kit import UP_TIMEOUT_S
from play_kit import Bare, Pair, files_of, play, play_on, write_kit

# The system's own copies of what they were before the last change.
COPIES = {"etc/group-", "etc/gshadow-", "etc/passwd-", "etc/shadow-"}
CLOCKS = "/root/clocks"
GOVERNOR = f"{CLOCKS}/devices/system/cpu/cpufreq/policy0/scaling_governor"
DROP_IN = "/etc/systemd/system/deltann-tuning.service.d"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bare(ahead, x86_boards) -> Iterator[Bare]:
    yield ahead.result("bare")
    x86_boards.down()


@pytest.fixture(scope="module")
def pair(ahead, bare) -> Pair:
    return ahead.result("pair")


@pytest.fixture(scope="module")
def fixed_clocks(pair) -> Pair:
    """The same with their clocks fixed: those of a made-up /sys, since a board in a container has none."""
    for board in pair.both:
        board.shell(f"mkdir -p {Path(GOVERNOR).parent} {DROP_IN} && echo ondemand >{GOVERNOR}")
        board.shell(f"printf '[Service]\\nEnvironment=SYSFS={CLOCKS}\\n' >{DROP_IN}/clocks.conf")
    code, said = play_on(pair.boards, pair.both, "--tags", "tuning", deltann_tuning_governor="performance")
    assert code == 0, said
    return pair


def test_boards_come_up_with_agents_by_one_play(pair):
    said = pair.ended.stderr
    assert said.count("PLAY [") == 1
    assert said.count("failed=0") == 2
    for name, value in pair.boards.words_of_provision.items():
        assert f"export {name}={value}" in said.splitlines()
    asked = pair.boards.deltann("boards", "check", *(board.name for board in pair.both), "--format", "json")
    assert asked.returncode == 0, asked.stdout
    answers = {row["board"]["name"]: row["trouble"] for row in json.loads(asked.stdout)["boards"]}
    assert answers == {board.name: None for board in pair.both}


def test_a_first_look_at_a_bare_board_changes_nothing(bare, pair):
    code, said = play(pair.boards, bare.board, "--check", "--diff", deltann_agent_kit=str(pair.kit))
    assert code == 0, said
    assert "failed=0" in said
    assert "changed=0" not in said
    assert "+ExecStart=/opt/deltann/current/bin/deltann-agent" in said
    assert files_of(pair.boards, bare.board) == bare.files


REFUSED = {
    "another architecture": (
        "deltann-kit-aarch64-py3.11-000000000000",
        {},
        {},
        ["is for aarch64 and Python 3.11, but x86-1 is x86_64 with Python 3.11"],
    ),
    "another Python than the inventory says": (
        "deltann-kit-x86_64-py3.10-000000000000",
        {},
        {},
        ["is for x86_64 and Python 3.10, but x86-1 is x86_64 with Python 3.11 (deltann_agent_python)"],
    ),
    "another Python than the board has": (
        "deltann-kit-x86_64-py3.10-000000000000",
        {},
        {"deltann_agent_python": "3.10"},
        [
            "kit deltann-kit-x86_64-py3.10-000000000000.tar.gz is for Python 3.10, but x86-1 has Python 3.11",
            "Install Python 3.10 there, or say what it has as deltann_agent_python in the inventory",
        ],
    ),
    "another kit than its name says": (
        "deltann-kit-x86_64-py3.11-000000000000",
        {"architecture": "aarch64"},
        {},
        ["is not what its name says: its kit.json names aarch64, Python 3.11"],
    ),
    "an engine that is no interpreter": (
        "deltann-kit-x86_64-py3.11-000000000000",
        {},
        {"deltann_agent_engines": {"old": "bin/python3"}},
        ["x86-1 cannot have the engine old: bin/python3."],
    ),
    "a release that is not there": (
        "deltann-kit-x86_64-py3.11-000000000000",
        {},
        {"deltann_agent_release": "0123456789ab"},
        ["x86-1 has no release 0123456789ab"],
    ),
}


@pytest.mark.parametrize(("name", "facts", "variables", "words"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_before_anything_changes(
    bare, pair, tmp_path, name, facts, variables, words
):
    kit = write_kit(tmp_path, name, **facts)
    code, said = play(pair.boards, bare.board, deltann_agent_kit=str(kit), **variables)
    assert code != 0
    for sentence in [*words, "Nothing was changed."]:
        assert sentence in said
    assert files_of(pair.boards, bare.board) == bare.files


def test_another_kit_comes_and_the_release_before_comes_back(pair, tmp_path):
    board, older = pair.both[0], pair.kit.name.split("-")[-1].removesuffix(".tar.gz")
    assert pair.describe()["onnxruntime"]
    words = ("kit", "build", "--board", "x86-64-v2", "--runtimes", "tvm", "--output", tmp_path)
    built = pair.boards.deltann(*words, "--format", "json", timeout_s=UP_TIMEOUT_S)
    assert built.returncode == 0, built.stdout

    beside = {"beside": "/usr/bin/python3"}
    kit = json.loads(built.stdout)["kit"]
    code, said = play(pair.boards, board, deltann_agent_kit=kit, deltann_agent_engines=beside)
    assert code == 0, said
    assert not board.shell("readlink /opt/deltann/current").endswith(older)
    assert "beside onnxruntime" in pair.describe("of_engines")
    newer = pair.describe()
    assert newer["tvm"]
    assert newer["onnxruntime"] is None

    code, said = play(pair.boards, board, "--tags", "agent", deltann_agent_release=older)
    assert code == 0, said
    assert board.shell("readlink /opt/deltann/current") == f"/opt/deltann/releases/{older}"
    assert pair.describe()["onnxruntime"]
    assert pair.describe("of_engines") == {}


def test_a_release_for_a_python_that_is_gone_does_not_come_back(pair):
    board = pair.both[0]
    old = "/opt/deltann/releases/aaaaaaaaaaaa"
    board.shell(f'mkdir {old} && echo \'{{"python": "3.9"}}\' >{old}/kit.json')
    before = files_of(pair.boards, board)
    agent = board.shell("systemctl show --property MainPID deltann-agent")
    code, said = play(pair.boards, board, deltann_agent_release="aaaaaaaaaaaa")
    assert code != 0
    assert f"The release aaaaaaaaaaaa is for Python 3.9, but {board.name} has Python 3.11" in said
    assert files_of(pair.boards, board) == before
    assert board.shell("systemctl show --property MainPID deltann-agent") == agent


def test_clocks_are_fixed_and_put_back(fixed_clocks):
    board = fixed_clocks.both[0]
    assert board.shell(f"cat {GOVERNOR}") == "performance"
    assert board.shell("cat /var/lib/deltann-tuning/governor.policy0") == "ondemand"
    assert board.shell("systemctl is-enabled deltann-tuning") == "enabled"
    code, said = play(fixed_clocks.boards, board, "--tags", "tuning", deltann_tuning_state="absent")
    assert code == 0, said
    assert board.shell(f"cat {GOVERNOR}") == "ondemand"
    assert board.shell("ls -d /var/lib/deltann-tuning || echo none") == "none"


def test_nothing_is_left_of_an_agent_that_is_taken_off(fixed_clocks, bare):
    pair = fixed_clocks
    assert files_of(pair.boards, pair.both[1]).keys() - bare.files.keys()
    code, said = play_on(pair.boards, pair.both, deltann_agent_state="absent")
    assert code == 0, said
    assert pair.both[1].shell(f"cat {GOVERNOR}") == "ondemand"
    for board in pair.both:
        board.shell(f"rm -r {CLOCKS} {DROP_IN}")
        left = files_of(pair.boards, board)
        assert left.keys() ^ bare.files.keys() <= COPIES
        # By these one board is told from another.
        own = {"etc/hostname", "etc/hosts", "etc/machine-id"} | {
            name for name in left if name.startswith("etc/ssh/ssh_host_")
        }
        common = left.keys() & bare.files.keys() - COPIES - own
        assert [name for name in common if not left[name].is_as(bare.files[name])] == []
        assert board.shell("getent passwd deltann || echo nobody") == "nobody"
        assert board.shell("systemctl list-units --all --plain --no-legend 'deltann*'") == ""
    code, said = play(pair.boards, pair.both[0], deltann_agent_state="absent")
    assert code == 0, said
    assert "changed=0" in said
