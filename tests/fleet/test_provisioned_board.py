"""The whole way to a board: certificates, kit, playbook, and the agent answering over TLS."""

import json

import pytest


@pytest.mark.slow
def test_a_bare_board_is_usable_once_it_is_provisioned(provisioning, agent_board, boards_of_session):
    assert "failed=0" in provisioning
    asked = boards_of_session.deltann("boards", "check", agent_board.name, "--format", "json")
    assert asked.returncode == 0, asked.stdout
    (answer,) = json.loads(asked.stdout)["boards"]
    assert answer["board"]["name"] == agent_board.name
    assert answer["emulated"]
    assert answer["trouble"] is None
    assert agent_board.shell("systemctl is-active deltann-agent") == "active"
    assert agent_board.shell("systemctl show --property User deltann-agent") == "User=deltann"


@pytest.mark.slow
def test_an_agent_knows_by_itself_that_it_is_emulated(agent_board, boards_of_session):
    # The inventory says so, too; whoever writes another one must still not get times to rank.
    asked = boards_of_session.deltann("boards", "describe", agent_board.name, "--format", "json")
    assert asked.returncode == 0, asked.stdout
    assert "qemu-aarch64" in json.loads(asked.stdout)["facts"]["emulated"]


@pytest.mark.slow
def test_provisioning_again_changes_nothing(provisioning_again):
    assert "changed=0" in provisioning_again, provisioning_again
