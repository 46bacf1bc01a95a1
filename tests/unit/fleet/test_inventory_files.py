"""The files of an inventory: what in them is understood, what is left to Ansible, what is refused."""

import pytest

from deltann.core.errors import BoardError
from deltann.fleet.inventory import read_inventory

ONE = "boards:\n  hosts:\n    a:\n      ansible_host: 10.0.0.1\n"


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "hosts.yml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def refusal(path) -> str:
    with pytest.raises(BoardError) as caught:
        read_inventory(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("deltann_agent_port: '{{ base + 1 }}'", ["deltann_agent_port is a template"]),
        ("deltann_agent_port: seven", ["deltann_agent_port must be a port", "'seven'"]),
        ("deltann_board_cuda_arch: 8.7", ["must be the architecture of a GPU", "'8.7'", "sm_87"]),
        ("deltann_agent_port: true", ["must be a port", "True"]),
        ("deltann_board_emulated: 'yes'", ["must be true or false", "'yes'"]),
        ("deltann_agent_python: 3.10", ["the number 3.1, not a version", '"3.10"']),
        ("deltann_agent_python: '2.7'", ["must be a version of Python", "'2.7'"]),
        ("deltann_board_kind: rpi6", ["'rpi6'", "rpi5"]),
        ("ansible_user: [pi]", ["ansible_user must be text"]),
        ('ansible_ssh_common_args: "-o \'Proxy"', ["cannot be split into words"]),
        ("ansible_user: !vault |\n        $ANSIBLE_VAULT;1.1;AES256\n        00", ["sealed in a vault"]),
        ("ansible_host: 10.0.0.2", ["written twice, first on line 4"]),
    ],
)
def test_a_value_that_cannot_be_is_refused_at_its_line(write, line, words):
    said = refusal(write(f"{ONE}      {line}\n"))
    assert "hosts.yml:5: " in said
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    "line",
    [
        "ansible_become_password: !vault |\n        $ANSIBLE_VAULT;1.1;AES256\n        00",
        "deltann_agent_kit: '{{ playbook_dir }}/kit.tar.gz'",
        "anything_else: '{{ of_ours }}'",
        "deltann_agent_port: '7000'",
        "deltann_board_emulated: yes",
        "ansible_user: !unsafe pi",
    ],
)
def test_what_only_ansible_needs_may_be_anything(write, line):
    (board,) = read_inventory(write(f"{ONE}      {line}\n")).boards
    assert board.ssh.host == "10.0.0.1"


def test_a_sealed_file_beside_the_inventory_is_left_to_ansible(write):
    write("$ANSIBLE_VAULT;1.1;AES256\n0011\n", "group_vars/all/secrets.yml")
    write("deltann_agent_port: 9000\n", "group_vars/all/ports.yml")
    (board,) = read_inventory(write(ONE)).boards
    assert board.address == "10.0.0.1:9000"


def test_a_board_with_two_addresses_is_refused_with_both_places(write):
    path = write(f"{ONE}other:\n  hosts:\n    a:\n      ansible_host: 10.0.0.2\n")
    assert refusal(path).startswith(
        f"{path}:8: the board 'a' has two values of ansible_host: '10.0.0.2' here"
    )
    assert f"'10.0.0.1' at {path}:4" in refusal(path)


def test_a_board_may_be_named_in_many_groups(write):
    path = write(f"{ONE}other:\n  hosts:\n    a:\n      ansible_host: 10.0.0.1\nthird: {{hosts: {{a: }}}}\n")
    (board,) = read_inventory(path).boards
    assert set(board.groups) == {"boards", "other", "third"}


def test_hosts_outside_the_group_of_boards_are_no_boards(write):
    inventory = read_inventory(write(f"all: {{hosts: {{printer: }}}}\n{ONE}"))
    assert [board.name for board in inventory.boards] == ["a"]
    assert "printer" not in inventory.names()


def test_mistakes_in_the_files_beside_it_have_their_own_place(write):
    path = write(ONE)
    beside = write("\ndeltann_agent_prot: 1\n", "group_vars/boards.yml")
    assert refusal(path).startswith(f"{beside}:2: there is no variable 'deltann_agent_prot'")
    assert "'deltann_agent_port'" in refusal(path)
    beside.write_text("a: [\n")
    assert str(beside) in refusal(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[boards]\na ansible_host=10.0.0.1\n", ["no YAML", "INI"]),
        ("boards: [a, b]\n", ["names with values"]),
        ("boards:\n  hosts: [a]\n", [":2:", "names with values"]),
        ("boards:\n  hosts:\n    ? [a]\n    : x\n", ["a key is no word"]),
        ("boards: &b\n  children:\n    more: *b\n", ["contains itself"]),
        ("a: {children: {b: }}\nb: {children: {a: }}\n", ["is below itself"]),
        ("boards: {hosts: {rpi: }}\nrpi: {hosts: {x: }}\n", ["name of a board and of a group"]),
        ("boards: {hosts: {'pi:2222': }}\n", ["no name for a board", "ansible_port"]),
        ("boards: {hosts: {local: }}\n", ["'local' always means this machine"]),
        ("boards: {vars: {ansible_group_priority: high}, hosts: {a: }}\n", ["must be a number", "'high'"]),
    ],
)
def test_what_is_no_inventory_is_refused(write, text, words):
    said = refusal(write(text))
    assert all(word in said for word in words), said


def test_text_that_is_not_utf8_and_folders_are_refused(write, tmp_path):
    path = write("")
    path.write_bytes(b"boards: \xff\n")
    assert "UTF-8" in refusal(path)
    assert "no inventory" in refusal(tmp_path)


def test_an_empty_file_has_no_boards(write):
    inventory = read_inventory(write(""))
    assert inventory.boards == ()
    with pytest.raises(BoardError, match="the group 'all' has no boards"):
        inventory.select(["all"])


def test_an_address_of_ip_version_6_is_put_in_brackets(write):
    (board,) = read_inventory(write("boards: {hosts: {a: {ansible_host: 'fd00::1'}}}")).boards
    assert board.address == "[fd00::1]:7443"
    assert board.ssh.host == "fd00::1"


def test_what_several_boards_share_may_be_written_once(write):
    text = "x: {vars: &v {ansible_user: pi}}\nboards: {hosts: {a: {<<: *v, ansible_host: h}}}\n"
    (board,) = read_inventory(write(text)).boards
    assert (board.ssh.user, board.ssh.host) == ("pi", "h")
