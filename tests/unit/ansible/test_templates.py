"""What the roles write, and that their variables are the ones that the host knows."""

import argparse
import json
from pathlib import Path

import pytest
from ansible_files import ANSIBLE, GROUPS, ROLES, defaults, group_variables, load, render

from deltann.fleet.board_variables import DEFAULT_AGENT_PORT, DEFAULT_PYTHON, KNOWN, OF_BOTH, OF_THE_HOST
from deltann.fleet.inventory import read_inventory
from deltann_agent import cli


def options(role: str) -> dict[str, dict]:
    return load(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"]["options"]


def test_the_host_knows_every_variable_of_the_roles_and_no_other():
    of_roles = {name for role in ROLES for name in options(role)}
    assert of_roles | OF_THE_HOST == KNOWN
    assert not of_roles & OF_THE_HOST
    assert of_roles >= OF_BOTH


@pytest.mark.parametrize("role", ROLES)
def test_the_defaults_of_a_role_are_what_its_specification_says(role):
    given = defaults(role)
    assert given.keys() == options(role).keys()
    for name, option in options(role).items():
        assert option["description"]
        if role != "deltann_pki":  # where that is depends on the controller
            assert given[name] == option["default"], name


@pytest.mark.parametrize("role", ROLES)
def test_variables_begin_with_the_name_of_their_role(role):
    assert all(name.startswith(f"{role}_") for name in options(role))


def test_roles_and_host_have_the_same_defaults():
    assert defaults("deltann_agent")["deltann_agent_port"] == DEFAULT_AGENT_PORT
    assert defaults("deltann_agent")["deltann_agent_python"] == DEFAULT_PYTHON


@pytest.mark.parametrize("group", ["all", *GROUPS])
def test_the_variables_of_groups_are_known(group):
    assert group_variables(group).keys() <= KNOWN


def test_the_example_is_an_inventory():
    inventory = read_inventory(ANSIBLE / "inventory" / "hosts.example.yml")
    assert set(GROUPS) < inventory.groups.keys()
    assert [board.name for board in inventory.select(["rpi"])] == ["pi-1", "pi-2"]
    (orin,) = inventory.select(["jetson"])
    assert orin.python == "3.10"  # of group_vars beside the playbook


def test_the_agent_takes_its_configuration(tmp_path):
    text = render("deltann_agent", "agent.json.j2", deltann_agent_port=9000)
    assert json.loads(text).keys() <= cli.CONFIGURABLE
    path = tmp_path / "agent.json"
    path.write_text(text)
    taken: argparse.Namespace = cli._read_options(["serve", "--config", str(path)])
    assert taken.address == "0.0.0.0:9000"
    assert str(taken.key) == "/etc/deltann/key.pem"
    assert str(taken.store) == "/var/lib/deltann/store"
    assert taken.quota == defaults("deltann_agent")["deltann_agent_quota_bytes"]
    assert "engines" not in json.loads(text)  # older agents do not know the key


def test_the_agent_is_told_its_engines(tmp_path):
    engines = {"tflite-2.14": "/opt/tflite-2.14/bin/python", "torch-2.4": "/opt/torch-2.4/bin/python"}
    path = tmp_path / "agent.json"
    path.write_text(render("deltann_agent", "agent.json.j2", deltann_agent_engines=engines))
    taken = cli._read_options(["serve", "--config", str(path)])
    assert dict(taken.engines) == {name: Path(python) for name, python in engines.items()}


@pytest.mark.parametrize(
    ("group", "present", "absent"),
    [
        ("rpi", ["PrivateDevices=yes"], ["DevicePolicy"]),
        ("x86_gpu", ["DevicePolicy=closed", "DeviceAllow=char-nvidia rw"], ["PrivateDevices"]),
        ("jetson", [], ["PrivateDevices", "DevicePolicy"]),
    ],
)
def test_a_group_sees_its_devices_and_no_others(group, present, absent):
    unit = render("deltann_agent", "deltann-agent.service.j2", **group_variables(group))
    assert all(line in unit.splitlines() for line in present)
    assert not any(word in unit for word in absent)
