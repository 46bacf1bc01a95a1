"""Which versions of Python the host runs on: the doctor, the scripts and the README say the same."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from deltann.run import checkup

ROOT = Path(__file__).parents[3]


def checked(monkeypatch, *version):
    monkeypatch.setattr(checkup, "sys", SimpleNamespace(version_info=(*version, 1, "final", 0)))
    (check,) = (check for check in checkup.check_machine() if check.name == "python")
    return check


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_these_versions_are_fine(monkeypatch, minor):
    assert checked(monkeypatch, 3, minor).ok


@pytest.mark.parametrize("minor", [10, 14])
def test_others_are_refused_with_what_to_install(monkeypatch, minor):
    check = checked(monkeypatch, 3, minor)
    assert not check.ok
    assert check.remedy == "Install Python 3.11, 3.12 or 3.13"


def test_the_scripts_and_the_readme_name_the_same_versions():
    script = (ROOT / "scripts" / "environment.sh").read_text()
    assert re.search(r"\(3, 11\) <= sys\.version_info\[:2\] <= \(3, 13\)", script)
    assert "deltann needs Python 3.11, 3.12 or 3.13" in script
    readme = (ROOT / "README.md").read_text()
    assert "Both need only Python 3.11, 3.12 or 3.13" in readme
    assert "Python 3.11 or newer" not in readme
