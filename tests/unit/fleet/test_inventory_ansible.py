"""The inventory as the host reads it, against what Ansible itself says of the same files."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deltann.fleet.inventory import Inventory, read_inventory

TOOL = Path(sys.executable).with_name("ansible-inventory")
GROUPS = ("boards", "deep", "deeper", "east", "west", "zoo")
BOARDS = ("a", "b", "c")
VARIABLES = ("ansible_user", "deltann_agent_port", "ansible_port", "deltann_board_power_cycle")

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="ansible-core is not installed (extra `fleet`)")


class Lab:
    """A made-up lab: groups in groups, and every variable said in many places, each time otherwise."""

    def __init__(self, folder: Path, seed: int):
        self.folder = folder
        self.dice = random.Random(seed)
        self.said = 0
        self.inventory = folder / "inventory" / "hosts.yml"
        self.write("site.yml", [])
        groups = {name: {"hosts": self.some_boards()} for name in GROUPS}
        groups["boards"]["hosts"] = dict.fromkeys(BOARDS)
        groups["boards"]["children"] = {"east": None, "west": None, "deep": None}
        groups["deep"]["children"] = {"deeper": None}
        groups["zoo"]["children"] = {"deeper": None}
        for group in groups.values():
            group["vars"] = self.values(0.5)
        groups[self.dice.choice(("east", "west"))]["vars"]["ansible_group_priority"] = 5
        host_values = {name: {"ansible_host": f"10.0.0.{name}", **self.values(0.2)} for name in BOARDS}
        groups["all"] = {"vars": self.values(0.7), "hosts": host_values}
        self.write("inventory/hosts.yml", groups)
        for place in ("", "inventory/"):
            for group in (*GROUPS, "all"):
                self.write_perhaps(f"{place}group_vars/{group}")
            for name in BOARDS:
                self.write_perhaps(f"{place}host_vars/{name}")

    def some_boards(self):
        return {name: None for name in BOARDS if self.dice.random() < 0.5}

    def values(self, likely):
        chosen = [name for name in VARIABLES if self.dice.random() < likely]
        return {name: self.value(name) for name in chosen}

    def value(self, name):
        self.said += 1
        return 1000 + self.said if name.endswith("port") else f"word{self.said}"

    def write_perhaps(self, path):
        match self.dice.randrange(6):
            case 0:
                self.write(f"{path}.yml", self.values(0.5))
            case 1:
                self.write(f"{path}/10-some.yml", self.values(0.5))
                self.write(f"{path}/20-more.yaml", self.values(0.5))
                self.write(f"{path}/notes.txt", ["not read"])
                self.write(f"{path}.yml", self.values(1))  # a folder of the same name hides it
            case 2:
                self.write(f"{path}.json", self.values(0.5))
                self.write(f"{path}.yaml", self.values(0.5))

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content))


def ask_ansible(lab: Lab) -> dict:
    (lab.folder / "ansible.cfg").touch()
    ended = subprocess.run(
        [TOOL, "--list", "-i", lab.inventory, "--playbook-dir", lab.folder],
        env={
            **os.environ,
            "ANSIBLE_HOME": str(lab.folder / "ansible"),
            "ANSIBLE_CONFIG": str(lab.folder / "ansible.cfg"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def said_by_the_host(inventory: Inventory) -> dict[str, dict]:
    boards = {}
    for board in inventory.boards:
        assert board.ssh is not None
        said = {
            "ansible_host": board.ssh.host,
            "ansible_user": board.ssh.user,
            "ansible_port": board.ssh.port,
            "deltann_agent_port": int(board.address.rpartition(":")[2]),
            "deltann_board_power_cycle": board.power_cycle,
        }
        boards[board.name] = {name: value for name, value in said.items() if value is not None}
    return boards


@pytest.mark.parametrize("seed", range(8))
def test_host_and_ansible_read_the_same(tmp_path, seed):
    lab = Lab(tmp_path, seed)
    by_ansible = ask_ansible(lab)["_meta"]["hostvars"]
    unsaid = {"ansible_port": 22, "deltann_agent_port": 7443}
    known = {"ansible_host", *VARIABLES}
    expected = {
        board: {**unsaid, **{name: value for name, value in values.items() if name in known}}
        for board, values in by_ansible.items()
    }
    assert said_by_the_host(read_inventory(lab.inventory)) == expected


@pytest.mark.parametrize("seed", range(3))
def test_host_and_ansible_have_the_same_groups(tmp_path, seed):
    lab = Lab(tmp_path, seed)
    inventory = read_inventory(lab.inventory)
    answer = ask_ansible(lab)

    def members(group: str) -> set[str]:
        entry = answer.get(group, {})
        return set(entry.get("hosts", [])).union(*map(members, entry.get("children", [])), set())

    for group, boards in inventory.groups.items():
        assert set(boards) == members(group), group
