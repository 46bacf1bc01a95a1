"""The README, word for word: its commands are run, its study is planned, its links lead somewhere."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deltann.zoo import ENTRIES
from tiny import save_classifier

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ZOO_MISSING = ENTRIES["efficientnet_lite0"].missing_packages()
needs_zoo = pytest.mark.skipif(bool(ZOO_MISSING), reason=f"not installed: {', '.join(ZOO_MISSING)}")

LAB = """\
rpi:
  hosts:
    kitchen: {ansible_host: 127.0.0.1, deltann_board_kind: rpi4}
sealed:
  hosts:
    vault: {deltann_board_kind: x86-64-v2}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    """Every command that begins with `deltann`: in blocks of shell, and in the table.

    Those that need an emulated board are left to tests/fleet/test_chapter.py, and environments, which are
    fetched and need a Python of their own, to tests/integration/test_onnx2tf.py.
    """
    here = "\n".join(block for block in blocks("sh") if not block.startswith("scripts/board "))
    in_blocks = re.findall(r"^(?:\.venv/bin/)?(deltann .*)$", here, re.MULTILINE)
    in_table = re.findall(r"^\| `(deltann [^`]*)`", README, re.MULTILINE)
    return [line for line in (*in_blocks, *in_table) if " environment make " not in line]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, finished_run, pictures) -> Path:
    """A folder with everything that the README's words stand for."""
    folder = tmp_path_factory.mktemp("reader")
    save_classifier(folder / "net.onnx", 224)
    shutil.copytree(pictures, folder / "photos")
    shutil.copytree(finished_run, folder / "RUN")
    (folder / "STUDY.yaml").write_text((finished_run / "study.yaml").read_text())
    (folder / "ansible/inventory").mkdir(parents=True)
    (folder / "ansible/inventory/hosts.yml").write_text(LAB)
    return folder


def test_the_readme_has_commands():
    assert len(commands()) >= 9


@needs_zoo
@pytest.mark.parametrize("command", commands())
def test_its_commands_run(deltann, workplace, command):
    ended = deltann(*shlex.split(command)[1:], cwd=workplace, DELTANN_PKI=str(workplace / "pki"))
    assert ended.returncode == 0, ended.stderr


@needs_zoo
def test_its_study_can_be_planned(deltann, tmp_path):
    (study,) = blocks("yaml")
    (tmp_path / "study.yaml").write_text(study)
    plan = json.loads(deltann("plan", tmp_path / "study.yaml", "--format", "json").stdout)
    assert plan["counts"]["trials"] > 1


def test_its_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


@needs_zoo
@pytest.mark.skipif(
    Path(sys.prefix) != ROOT / ".venv", reason="scripts/demo makes .venv, and these tests run from another"
)
def test_the_demo_ends_with_a_report(tmp_path):
    first_block = blocks("sh")[0]
    assert first_block.startswith("scripts/demo ")
    ended = subprocess.run(
        [ROOT / "scripts" / "demo", "--runs", tmp_path / "runs"],
        env={**os.environ, "TERM": "dumb"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.startswith("\033[1mdeltann demo")
    *_, folder, report = ended.stdout.strip().splitlines()
    assert folder.startswith("run folder: ")
    page = Path(report.removeprefix("report:").strip()).read_text()
    assert "Labels agree on all 20 images across 11 variants" in page
