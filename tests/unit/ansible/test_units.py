"""The services of a board: what systemd says of their units."""

import re
import shutil
import subprocess

import pytest
from ansible_files import GROUPS, group_variables, render

# systemd's own measure of what a service may do: 0 nothing, 10 everything.
MOST_EXPOSURE = 4.0

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (package systemd)"
)


@pytest.fixture
def write_unit(tmp_path):
    """Write a unit whose programs are there, as they are on a board after the playbook."""

    def write(name: str, text: str):
        program = tmp_path / "program"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        path = tmp_path / name
        path.write_text(re.sub(r"^(ExecSt\w+)=\S+", rf"\1={program}", text, flags=re.MULTILINE))
        return path

    return write


def agent_unit(group: str, **variables) -> str:
    return render("deltann_agent", "deltann-agent.service.j2", **{**group_variables(group), **variables})


def analyze(*words) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("group", GROUPS)
def test_the_agents_unit_is_understood_as_a_whole(write_unit, group):
    ended = analyze("verify", write_unit("deltann-agent.service", agent_unit(group)))
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_misspelt_key_would_be_noticed(write_unit):
    unit = agent_unit("rpi").replace("ProtectSystem", "ProtectSistem")
    ended = analyze("verify", write_unit("deltann-agent.service", unit))
    assert "ProtectSistem" in ended.stderr


@pytest.mark.parametrize("group", GROUPS)
def test_the_agent_may_do_little(write_unit, group):
    path = write_unit("deltann-agent.service", agent_unit(group))
    ended = analyze("security", "--offline=yes", "--no-pager", path)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", ended.stdout)
    assert found, ended.stdout + ended.stderr
    assert float(found[1]) <= MOST_EXPOSURE, ended.stdout


def test_an_open_service_would_be_noticed(write_unit):
    path = write_unit("deltann-agent.service", "[Service]\nExecStart=/bin/true\n")
    ended = analyze("security", "--offline=yes", "--threshold=40", "--no-pager", path)
    assert ended.returncode != 0


@pytest.mark.parametrize(("governor", "clocks"), [("performance", ""), ("", "1200,1500")])
def test_the_unit_of_the_clocks_is_understood_as_a_whole(write_unit, governor, clocks):
    unit = render(
        "deltann_tuning",
        "deltann-tuning.service.j2",
        deltann_tuning_governor=governor,
        deltann_tuning_gpu_clocks_mhz=clocks,
    )
    ended = analyze("verify", write_unit("deltann-tuning.service", unit))
    assert (ended.returncode, ended.stderr) == (0, "")
