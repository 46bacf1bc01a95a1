"""What Ansible's own tools say of the playbook."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_files import ANSIBLE

TOOLS = Path(sys.executable).parent

pytestmark = pytest.mark.skipif(
    not (TOOLS / "ansible-lint").exists(), reason="ansible-lint is not installed (extra `fleet`)"
)


@pytest.fixture
def run_tool(tmp_path):
    """Run a tool of Ansible in the playbook's folder, with everything it keeps in a folder of its own."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PATH": f"{TOOLS}:{os.environ['PATH']}",
            "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "NO_COLOR": "1",
        }
        return subprocess.run(
            [str(word) for word in words],
            cwd=ANSIBLE,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return run


def test_lint_finds_nothing_in_its_strictest_profile(run_tool):
    ended = run_tool("ansible-lint", "--offline", "--profile", "production")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "0 failure(s), 0 warning(s)" in ended.stdout + ended.stderr


def test_the_playbook_is_understood_with_the_example(run_tool):
    ended = run_tool("ansible-playbook", "--syntax-check", "-i", "inventory/hosts.example.yml", "site.yml")
    assert ended.returncode == 0, ended.stderr


def test_clocks_are_touched_only_when_asked_for(run_tool):
    words = ("ansible-playbook", "--list-tasks", "-i", "inventory/hosts.example.yml", "site.yml")
    # Ansible tags the check of a role's arguments `always`; that one changes nothing.
    assert "deltann_tuning : Clocks" not in run_tool(*words).stdout
    assert "deltann_tuning : Clocks" in run_tool(*words, "--tags", "tuning").stdout


def test_every_module_is_one_that_comes_with_ansible():
    for path in ANSIBLE.glob("roles/*/*/*.yml"):
        assert "community." not in path.read_text()
        assert "ansible.posix" not in path.read_text()
