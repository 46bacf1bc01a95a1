"""The inventory as the host reads it."""

import pytest

from deltann.core.board import SshAccess
from deltann.core.errors import BoardError
from deltann.fleet.inventory import find_inventory, read_inventory

LAB = """\
boards:
  vars: {ansible_user: pi}
  children:
    rpi:
      hosts:
        kitchen: {ansible_host: 10.0.0.4, deltann_board_kind: rpi4}
        attic:
          ansible_host: 10.0.0.5
          deltann_board_kind: rpi5
          deltann_agent_port: 9000
    jetson:
      hosts:
        orin:
          deltann_board_power_cycle: "outlet 3"
          deltann_board_cuda_arch: sm_87
          ansible_ssh_common_args: "-o ProxyJump=gate"
    spare: {}
    emulated:
      vars: {deltann_board_emulated: true}
      hosts: {kitchen: }
"""


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "inventory/hosts.yml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def board(inventory, name):
    return next(board for board in inventory.boards if board.name == name)


def test_boards_as_they_are_listed(write):
    inventory = read_inventory(write(LAB))
    assert [one.name for one in inventory.boards] == ["kitchen", "attic", "orin"]
    kitchen = board(inventory, "kitchen")
    assert (kitchen.address, kitchen.kind, kitchen.emulated) == ("10.0.0.4:7443", "rpi4", True)
    assert kitchen.ssh == SshAccess("10.0.0.4", user="pi")
    assert set(kitchen.groups) == {"rpi", "emulated", "boards"}
    assert board(inventory, "attic").address == "10.0.0.5:9000"
    orin = board(inventory, "orin")
    assert (orin.address, orin.power_cycle, orin.cuda_arch) == ("orin:7443", "outlet 3", "sm_87")
    assert orin.ssh.options == ("-o", "ProxyJump=gate")
    assert not orin.emulated


def test_names_and_groups_select_each_board_once(write):
    inventory = read_inventory(write(LAB))

    def selected(*words):
        return [one.name for one in inventory.select(words)]

    assert selected("rpi") == ["kitchen", "attic"]
    assert selected("orin", "rpi", "kitchen") == ["orin", "kitchen", "attic"]
    assert selected("all") == selected("boards") == ["kitchen", "attic", "orin"]


def test_variables_win_in_the_order_of_ansible(write):
    path = write(LAB)
    write("", "site.yml")
    write("deltann_agent_port: 1000\nansible_user: everybody", "group_vars/all.yml")
    assert board(read_inventory(path), "kitchen").address == "10.0.0.4:1000"
    assert board(read_inventory(path), "kitchen").ssh.user == "everybody"
    write("deltann_agent_port: 2000", "inventory/group_vars/rpi.yml")
    assert board(read_inventory(path), "kitchen").address == "10.0.0.4:2000"
    write("deltann_agent_port: 3000", "group_vars/rpi/ports.yml")
    assert board(read_inventory(path), "kitchen").address == "10.0.0.4:3000"
    assert board(read_inventory(path), "attic").address == "10.0.0.5:9000"  # the host's own
    write("deltann_agent_port: 4000", "host_vars/attic.yml")
    assert board(read_inventory(path), "attic").address == "10.0.0.5:4000"
    assert board(read_inventory(path), "orin").address == "orin:1000"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("boards: {hosts: {a: {deltann_bord_kind: x}}}", ["no variable 'deltann_bord_kind'", "board_kind"]),
        ("a: [", ["hosts.yml:"]),
        ("[1, 2]", ["no list of names with values"]),
        ("boards: {host: {a: }}", ["a group has no 'host'", "'hosts'"]),
        (
            "boards:\n  hosts:\n    a: {ansible_host: x}\n    b: {ansible_host: x}",
            [":4:", "a and b", "x:7443"],
        ),
        ("boards: {hosts: {'pi[1:3]': }}", ["'pi[1:3]' is no name", "ranges are not read"]),
        ("boards: {hosts: {a: {ansible_host: '{{ ip }}'}}}", ["ansible_host is a template"]),
        ("boards: {hosts: {a: {deltann_agent_port: 70000}}}", ["deltann_agent_port must be a port", "70000"]),
        ("boards: {hosts: {a: {deltann_board_kind: rpi44}}}", ["'rpi44'", "rpi4"]),
        ("boards: {hosts: {a: {deltann_agent_python: 3.1}}}", ["the number 3.1, not a version", "quotes"]),
        ("boards: {hosts: {local: }}", ["'local' always means this machine"]),
        ("boards: {children: {a: {children: {boards: }}}}", ["'boards' is below itself"]),
    ],
)
def test_what_is_no_inventory_is_told_in_words(write, text, words):
    with pytest.raises(BoardError) as caught:
        read_inventory(write(text))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_the_place_of_an_unknown_variable_is_its_line(write):
    path = write("boards:\n  vars:\n    deltann_agent_prot: 1\n  hosts: {a: }")
    with pytest.raises(BoardError, match=r"hosts\.yml:3: there is no variable 'deltann_agent_prot'"):
        read_inventory(path)


def test_unknown_and_empty_words_are_refused(write):
    inventory = read_inventory(write(LAB))
    with pytest.raises(BoardError, match=r"no board or group 'kitchn'.*kitchen"):
        inventory.select(["kitchn"])
    with pytest.raises(BoardError, match="the group 'spare' has no boards"):
        inventory.select(["spare"])


def test_where_the_inventory_is(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DELTANN_INVENTORY", raising=False)
    with pytest.raises(BoardError, match=r"there is no inventory here.*--inventory or DELTANN_INVENTORY"):
        read_inventory(find_inventory())
    usual = write(LAB, "ansible/inventory/hosts.yml")
    assert find_inventory().absolute() == usual
    other = write(LAB, "other.yml")
    monkeypatch.setenv("DELTANN_INVENTORY", str(other))
    assert find_inventory() == other
