"""`scripts/board`: emulated boards up and down, what there is of them, and the agent onto them."""

import argparse
import contextlib
import json
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType

from boards import access, inventory, machine
from boards.kinds import KINDS, Kind, kind_named
from boards.provision import PKI_VARIABLE, find_ansible, pki_folder, provision, supplies_for
from boards.requirements import check
from boards.rootfs import system_for
from boards.speech import say
from boards.state import EmulatedBoard, all_boards, home, new_board, only_one
from deltann.core.errors import BoardError, DeltannError
from deltann.core.words import suggest

EXIT_INTERRUPTED = 130
MOST_AT_ONCE = 16
_EPILOG = """\
examples:
  scripts/board up rpi4        a Raspberry Pi 4 under qemu, with the agent on it (minutes)
  scripts/board up x86 --count 2
  scripts/board up x86 --bare  without the agent
  scripts/board provision      certificates, kit and agent onto every board that is up
  scripts/board down --all

exit status: 0 done, 2 wrong words, 6 this machine cannot or a board failed, 8 Ansible is missing,
130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    for number in _ENDING:
        signal.signal(number, _interrupt)
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "down" and bool(options.names) == options.all:
        parser.error("down: name boards, or say --all")
    try:
        if options.command == "check":
            check(kind_named(options.kind))
            say(f"This machine can emulate {options.kind}.")
        elif options.command == "list":
            _list(options)
        else:
            with only_one(home() / "lock", what="bringing boards up or down"):
                _COMMANDS[options.command](options)
    except DeltannError as error:
        say(f"Error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("Interrupted.")
        return EXIT_INTERRUPTED
    return 0


def _up(options: argparse.Namespace) -> None:
    kind = kind_named(options.kind)
    check(kind)
    if not options.bare:
        find_ansible()
    system = system_for(kind)
    supplies = None if options.bare else supplies_for([kind])
    inventory.show(machine.remove_crashed(all_boards()))
    with _all_or_nothing() as made:
        for _ in range(options.count):
            made.append(new_board(kind))
            made[-1] = machine.make(made[-1], system)
        inventory.show(all_boards())
        _boot(kind, made)
        if supplies is not None:
            provision(made, supplies)
    for board in made:
        print(f"{board.name} {board.address}")
    _tell_exports(with_agent=supplies is not None)


@contextlib.contextmanager
def _all_or_nothing() -> Iterator[list[EmulatedBoard]]:
    """Give a list for boards that are being made; if not all goes well, they are removed again."""
    made: list[EmulatedBoard] = []
    try:
        yield made
    except BaseException:
        for number in (signal.SIGINT, *_ENDING):
            signal.signal(number, signal.SIG_IGN)
        say("Removing what was begun.")
        for board in made:
            machine.remove(board)
        inventory.show(all_boards())
        raise


def _boot(kind: Kind, boards: Sequence[EmulatedBoard]) -> None:
    names = ", ".join(board.name for board in boards)
    say(f"Booting {names} ({'some 5 s each under qemu' if kind.foreign else 'a second or two each'}).")
    began = time.monotonic()
    started = [machine.boot(board) for board in boards]
    for board, process in zip(boards, started, strict=True):
        state = machine.wait_until_up(board, process)
        say(f"{board.name} is up after {time.monotonic() - began:.1f} s, its systemd is {state}.")


def _down(options: argparse.Namespace) -> None:
    boards = _chosen(options)
    if not boards:
        say("There are no emulated boards.")
        return
    began = time.monotonic()
    say(f"Powering off {', '.join(board.name for board in boards)} (some 3 s, {_BOUND:g} s at most).")
    machine.power_off(boards)
    for board in boards:
        machine.remove(board)
    inventory.show(all_boards())
    say(f"Removed with all they had, in {time.monotonic() - began:.1f} s.")


def _provision(options: argparse.Namespace) -> None:
    boards = _chosen(options)
    if not boards:
        raise BoardError("there are no emulated boards", hint="Run: scripts/board up rpi4")
    for board in boards:
        if not machine.processes(board):
            raise BoardError(
                "this board no longer runs", where=board.name, hint="Run: scripts/board down --all"
            )
    provision(boards, supplies_for(board.kind for board in boards))
    _tell_exports(with_agent=True)


def _tell_exports(*, with_agent: bool) -> None:
    """Tell what a shell must export so that deltann, and with certificates the agents, know each other."""
    if with_agent:
        say(f"export {PKI_VARIABLE}={shlex.quote(str(pki_folder()))}")
    say(f"export DELTANN_INVENTORY={shlex.quote(str(inventory.inventory_path()))}")


def _list(options: argparse.Namespace) -> None:
    rows = [_row(board) for board in all_boards()]
    if options.format == "json":
        print(json.dumps({"boards": rows, "inventory": str(inventory.inventory_path())}))
        return
    if not rows:
        say("There are no emulated boards.")
    for row in rows:
        print(f"{row['name']:10} {row['state']:7} {row['address'] or '-':15} {row['ssh'] or '-'}")


def _row(board: EmulatedBoard) -> dict[str, str | None]:
    reachable = board.network is not None
    return {
        "name": board.name,
        "kind": board.kind_name,
        "state": "up" if machine.processes(board) else "not up",
        "address": str(board.address) if reachable else None,
        "label": board.label,
        "ssh": shlex.join(access.ssh_command(board)) if reachable else None,
    }


def _chosen(options: argparse.Namespace) -> list[EmulatedBoard]:
    boards = all_boards()
    if options.all or not options.names:
        return boards
    known = {board.name: board for board in boards}
    for name in options.names:
        if name not in known:
            raise BoardError(
                f"there is no emulated board {name!r}", hint=suggest(name, known) if known else None
            )
    return [known[name] for name in dict.fromkeys(options.names)]


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/board",
        description="Emulated boards on this machine: Debian with systemd, a network of its own, and ssh.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    kinds = [kind.name for kind in KINDS]
    titles = ", ".join(f"{kind.name}: {kind.title}" for kind in KINDS)
    up = commands.add_parser(
        "up", help="build (once), boot, enrol and provision boards, besides those that are up"
    )
    up.add_argument("kind", choices=kinds, help=titles)
    up.add_argument("--count", type=int, choices=range(1, MOST_AT_ONCE + 1), default=1, metavar="N")
    up.add_argument("--bare", action="store_true", help="without certificate, kit and agent")
    down = commands.add_parser("down", help="end boards and remove all they had, crashed ones too")
    down.add_argument("names", nargs="*", metavar="NAME")
    down.add_argument("--all", action="store_true", help="every board")
    listing = commands.add_parser("list", help="the boards there are")
    listing.add_argument("--format", choices=("text", "json"), default="text")
    agent = commands.add_parser(
        "provision", help="certificates, kit and agent onto boards that are up: bare ones, or anew"
    )
    agent.add_argument("names", nargs="*", metavar="NAME", help="default: every board")
    agent.add_argument("--all", action="store_true", help=argparse.SUPPRESS)
    able = commands.add_parser("check", help="whether this machine can emulate a kind of board")
    able.add_argument("kind", choices=kinds)
    return parser


_ENDING = (signal.SIGTERM, signal.SIGHUP)
_BOUND = machine.POWER_OFF_TIMEOUT_S + machine.KILL_TIMEOUT_S
_COMMANDS = {"up": _up, "down": _down, "provision": _provision}

if __name__ == "__main__":
    sys.exit(main())
