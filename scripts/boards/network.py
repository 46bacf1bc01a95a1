"""The network of a board: a namespace of its own and one line to this machine, in a /24 that nobody uses."""

import dataclasses
import json
import os
from ipaddress import IPv4Network, ip_network
from pathlib import Path

from boards.programs import run, succeeds
from boards.state import EmulatedBoard, only_one
from deltann.core.errors import BoardError

NETWORK_VARIABLE = "DELTANN_BOARDS_NETWORK"
USUAL_NETWORK = "10.77.0.0/16"
_NAMESPACES = Path("/run/netns")
# One for the whole machine: another user's boards, or a test's, choose from the same networks.
_LOCK = Path("/run/lock/deltann-boards-network.lock")


def connect(board: EmulatedBoard) -> EmulatedBoard:
    """Make the namespace and the line; return the board with its network, recorded.

    Raises
    ------
    BoardError
        If no network is free, or one cannot be made.
    """
    with only_one(_LOCK, what="choosing a network for a board"):
        connected = dataclasses.replace(board, network=str(_free_network()))
        connected.save()
        label, inside = board.label, ["ip", "-n", board.label]
        run(["ip", "netns", "add", label])
        run(["ip", "link", "add", label, "type", "veth", "peer", "name", "eth0", "netns", label])
        run(["ip", "address", "add", f"{connected.our_address}/24", "dev", label])
        run(["ip", "link", "set", label, "up"])
        run([*inside, "address", "add", f"{connected.address}/24", "dev", "eth0"])
        run([*inside, "link", "set", "eth0", "up"])
        run([*inside, "link", "set", "lo", "up"])
    return connected


def disconnect(board: EmulatedBoard) -> None:
    """Remove line and namespace, whatever there is of them."""
    # The line first: the kernel removes that of a removed namespace too, but only some time later.
    if Path("/sys/class/net", board.label).exists():
        run(["ip", "link", "delete", board.label])
    if namespace(board).exists() and not succeeds(["ip", "netns", "delete", board.label]):
        # Killed between making the file and binding the namespace to it.
        namespace(board).unlink(missing_ok=True)


def namespace(board: EmulatedBoard) -> Path:
    """Return the file that names the board's network namespace."""
    return _NAMESPACES / board.label


def _free_network() -> IPv4Network:
    words = os.environ.get(NETWORK_VARIABLE, USUAL_NETWORK)
    try:
        whole = IPv4Network(words)
        candidates = list(whole.subnets(new_prefix=24))[1:]
        if not candidates:
            raise ValueError(words)
    except ValueError as error:
        raise BoardError(f"{NETWORK_VARIABLE} must be a network of /23 or wider, not {words!r}") from error
    taken = _networks_in_use()
    for candidate in candidates:
        if not any(candidate.overlaps(network) for network in taken):
            return candidate
    raise BoardError(
        f"every network in {whole} is in use on this machine",
        hint=f"Name another, e.g. {NETWORK_VARIABLE}=172.30.0.0/16",
    )


def _networks_in_use() -> list[IPv4Network]:
    """Return where this machine's routes lead, the default route aside."""
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]) or "[]")
    destinations = {route["dst"] for route in routes} - {"default"}
    networks = (ip_network(destination, strict=False) for destination in destinations)
    return [network for network in networks if isinstance(network, IPv4Network)]
