"""The program that fixes clocks, on a made-up board: a tree of /sys, and tools that note their calls."""

import os
import shutil
import subprocess

import pytest
from ansible_files import ANSIBLE

PROGRAM = ANSIBLE / "roles" / "deltann_tuning" / "files" / "deltann-tuning"
TOOLS = {
    "nvpmodel": """[ "$1" = -q ] && printf 'NV Power Mode: 15W\\n2\\n'""",
    "jetson_clocks": """[ "$1" = --store ] && echo stored >"$2" """,
    "nvidia-smi": """case "$1" in --query*) echo Disabled;; esac""",
}


class MadeUpBoard:
    def __init__(self, folder):
        self.notes = folder / "notes"
        self.calls_file = folder / "calls"
        self.tools = folder / "tools"
        self.sys = folder / "sys"
        self.tools.mkdir()
        for name, answer in TOOLS.items():
            tool = self.tools / name
            tool.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.calls_file}\n{answer}\ntrue\n')
            tool.chmod(0o755)
        for number, governor in enumerate(("ondemand", "schedutil")):
            policy = self.sys / f"devices/system/cpu/cpufreq/policy{number}"
            policy.mkdir(parents=True)
            (policy / "scaling_governor").write_text(f"{governor}\n")

    def run(self, word, **settings):
        environment = {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "SYSFS": str(self.sys),
            "STATE_DIRECTORY": str(self.notes),
            **settings,
        }
        return subprocess.run(
            [PROGRAM, word], env=environment, capture_output=True, text=True, check=False, timeout=30
        )

    def governors(self):
        return [file.read_text().strip() for file in sorted(self.sys.rglob("scaling_governor"))]

    def calls(self):
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


@pytest.fixture
def made_up_board(tmp_path):
    return MadeUpBoard(tmp_path)


def test_governors_return_each_to_its_own(made_up_board):
    assert made_up_board.run("set", GOVERNOR="performance").returncode == 0
    assert made_up_board.governors() == ["performance", "performance"]
    assert made_up_board.run("restore").returncode == 0
    assert made_up_board.governors() == ["ondemand", "schedutil"]
    assert not list(made_up_board.notes.iterdir())


def test_the_first_state_is_the_one_that_returns(made_up_board):
    made_up_board.run("set", GOVERNOR="performance")
    made_up_board.run("set", GOVERNOR="powersave")
    made_up_board.run("restore")
    assert made_up_board.governors() == ["ondemand", "schedutil"]


def test_nothing_is_touched_without_being_asked_for(made_up_board):
    assert made_up_board.run("set").returncode == 0
    assert made_up_board.run("restore").returncode == 0
    assert made_up_board.governors() == ["ondemand", "schedutil"]
    assert made_up_board.calls() == []


def test_a_board_without_governors_has_nothing_to_fix(made_up_board):
    shutil.rmtree(made_up_board.sys)
    assert made_up_board.run("set", GOVERNOR="performance").returncode == 0
    assert not list(made_up_board.notes.iterdir())
    assert made_up_board.run("restore").returncode == 0


def test_a_jetson_gets_its_power_model_back(made_up_board):
    made_up_board.run("set", NVPMODEL="0", JETSON_CLOCKS="yes")
    assert made_up_board.calls() == [
        "nvpmodel -q",
        "nvpmodel -m 0",
        f"jetson_clocks --store {made_up_board.notes}/jetson_clocks",
        "jetson_clocks ",
    ]
    made_up_board.calls_file.unlink()
    made_up_board.run("restore")
    assert made_up_board.calls() == [
        f"jetson_clocks --restore {made_up_board.notes}/jetson_clocks",
        "nvpmodel -m 2",
    ]
    assert not list(made_up_board.notes.iterdir())


def test_a_gpu_is_set_free(made_up_board):
    made_up_board.run("set", GPU_CLOCKS_MHZ="1200,1200")
    assert "nvidia-smi --lock-gpu-clocks=1200,1200" in made_up_board.calls()
    made_up_board.calls_file.unlink()
    made_up_board.run("restore")
    assert made_up_board.calls() == ["nvidia-smi --reset-gpu-clocks", "nvidia-smi --persistence-mode=0"]


def test_a_governor_that_a_cpu_refuses_is_a_failure(made_up_board):
    governor = made_up_board.sys / "devices/system/cpu/cpufreq/policy0/scaling_governor"
    governor.unlink()
    governor.mkdir()
    assert made_up_board.run("set", GOVERNOR="performance").returncode != 0


def test_it_says_how_it_is_used(made_up_board):
    ended = made_up_board.run("sett")
    assert ended.returncode == 2
    assert "usage" in ended.stderr
