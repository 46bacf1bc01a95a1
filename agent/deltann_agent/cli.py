"""The command `deltann-agent`."""

import argparse
import json
import logging
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltann_agent.runtimes import LIBRARY_VARIABLE, find_library

if TYPE_CHECKING:
    from deltann_agent.network import Network

DEFAULT_QUOTA_BYTES = 4 * 2**30
CONFIGURABLE = frozenset(
    {
        "socket",
        "address",
        "ca",
        "certificate",
        "key",
        "revoked",
        "store",
        "quota",
        "runtime_library",
        "engines",
    }
)
ENGINES_VARIABLE = "DELTANN_ENGINES"
QUOTA_VARIABLE = "DELTANN_QUOTA_BYTES"
EXIT_BOARD = 6
EXIT_INCOMPLETE = 10
EXIT_INTERRUPTED = 130

_EPILOG = """\
examples:
  deltann-agent serve --socket /run/user/1000/deltann.sock --store ~/.cache/deltann/agent
  deltann-agent serve --config /etc/deltann/agent.json
  deltann-agent exec study.bundle --output study.result

A network address needs --ca, --certificate and --key. A configuration file is JSON with the options' names as
keys, runtime_library for --runtime-library; options beside it count more.

exit status: 0 ended as told, 2 wrong options, 6 a socket, address, store, file or bundle cannot be used,
10 some trials of a bundle failed: their causes are in the result, 130 exec was interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _read_options(arguments)
    logging.basicConfig(format="deltann-agent: %(message)s", level=logging.INFO, stream=sys.stderr)
    # asyncio would load OpenSSL for sockets of its own, which the agent has none of: gRPC brings its TLS.
    sys.modules["ssl"] = None  # type: ignore[assignment]
    from deltann_agent.errors import BundleError, StartError

    try:
        return _execute(options) if options.command == "exec" else _serve(options)
    except (BundleError, StartError) as error:
        logging.getLogger(__name__).error("%s", error)
        return EXIT_BOARD


def _serve(options: argparse.Namespace) -> int:
    import asyncio

    from deltann_agent.server import Settings, serve

    settings = Settings(
        socket=options.socket and options.socket.absolute(),
        network=_network(options),
        store=options.store.absolute(),
        quota_bytes=options.quota,
        library=find_library(options.runtime_library),
        end_with_parent=options.end_with_parent,
        engines=dict(options.engines),
    )
    asyncio.run(serve(settings))
    return 0


def _execute(options: argparse.Namespace) -> int:
    import asyncio
    import shutil

    from deltann_agent.bundle import execute, unpack
    from deltann_agent.engines import find_engines
    from deltann_agent.errors import BundleError
    from deltann_agent.machine import Platform
    from deltann_agent.prepare import Here

    log = logging.getLogger(__name__)
    output = (options.output or options.bundle.with_suffix(".result")).absolute()
    if output == options.bundle.absolute():
        raise BundleError(f"{output} is the bundle itself. Name another --output.")
    try:
        bundle = unpack(options.bundle, output)
        engines = find_engines(dict(options.engines))
        here = Here(Platform.of_this_process(), find_library(options.runtime_library), engines)
        failed = asyncio.run(execute(bundle, output, here))
    except OSError as error:
        what = error.strerror or error
        raise BundleError(f"{output} cannot be written: {what}. Name another --output.") from error
    except KeyboardInterrupt:
        log.info("interrupted; what is finished is kept beside %s, the same command goes on", output)
        return EXIT_INTERRUPTED
    log.info("the result is %s: take it to the host and run deltann import %s", output, output.name)
    shutil.rmtree(bundle.folder)  # last of all, since this agent may itself have come in the bundle
    return EXIT_INCOMPLETE if failed else 0


def _network(options: argparse.Namespace) -> "Network | None":
    from deltann_agent.network import Network

    if options.address is None:
        return None
    return Network(options.address, options.ca, options.certificate, options.key, options.revoked)


def _read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser, serve = _parsers()
    options = parser.parse_args(arguments)
    if options.command == "exec":
        return options
    if options.config is not None:
        serve.set_defaults(**_read_config(options.config, serve))
        options = parser.parse_args(arguments)
    _check(options, serve)
    return options


def _read_config(path: Path, parser: argparse.ArgumentParser) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        parser.error(f"{path} is no configuration: {error}")
    if not isinstance(values, dict):
        parser.error(f"{path} is no configuration: it is no JSON object")
    known = {action.dest: action for action in parser._actions if action.dest in CONFIGURABLE}  # noqa: SLF001
    for key, value in values.items():
        if key not in known:
            names = ", ".join(sorted(known))
            parser.error(f"{path}: unknown key {key!r}; known are {names}{_nearest(key, known)}")
        if key == "engines":
            values[key] = _engines_of(path, value, parser)
            continue
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            parser.error(f"{path}: {key} must be text or a number, not {json.dumps(value)}")
        convert = known[key].type
        if callable(convert):
            try:
                values[key] = convert(str(value))
            except (ValueError, argparse.ArgumentTypeError) as error:
                parser.error(f"{path}: {key}: {error}")
    return values


def _engines_of(path: Path, value: object, parser: argparse.ArgumentParser) -> list[tuple[str, Path]]:
    if not isinstance(value, dict):
        parser.error(f"{path}: engines must be an object of names and Python interpreters")
    try:
        return [_engine(f"{name}={python}") for name, python in value.items()]
    except argparse.ArgumentTypeError as error:
        parser.error(f"{path}: engines: {error}")


def _nearest(key: str, known: Iterable[str]) -> str:
    import difflib  # only for a mistake

    near = difflib.get_close_matches(key, known, 1)
    return f". Did you mean {near[0]!r}?" if near else ""


def _check(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    if options.store is None:
        parser.error("--store is needed: a folder for artifacts and input sets")
    if options.socket is None and options.address is None:
        parser.error("say where to serve: --socket PATH, or --address HOST:PORT with certificates")
    files = {name: getattr(options, name) for name in ("ca", "certificate", "key")}
    if options.address is not None:
        missing = [f"--{name}" for name, path in files.items() if path is None]
        if missing:
            parser.error(f"a network address is served only with certificates: {', '.join(missing)} missing")
        if not options.address.rpartition(":")[2].isdecimal():
            parser.error(f"--address must be HOST:PORT, not {options.address!r}")


def _parsers() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    parser = argparse.ArgumentParser(
        prog="deltann-agent",
        description="Runs on a board: takes artifacts and input sets over gRPC, runs timed inference.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    serve = commands.add_parser("serve", help="serve until ended by SIGTERM or Ctrl-C")
    serve.add_argument("--config", type=Path, metavar="FILE", help="JSON file with any of the other options")
    serve.add_argument("--socket", type=Path, help="Unix socket to serve on, for its owner alone")
    serve.add_argument("--address", metavar="HOST:PORT", help="network address to serve on, with mutual TLS")
    for name, meaning in (
        ("ca", "certificate of the authority whose controllers may ask"),
        ("certificate", "certificate of this board"),
        ("key", "its key, readable by its owner alone"),
        ("revoked", "list of fingerprints of certificates that are refused; read again when it changes"),
    ):
        serve.add_argument(f"--{name}", type=Path, metavar="FILE", help=meaning)
    serve.add_argument("--store", type=Path, help="folder for artifacts and input sets")
    serve.add_argument(
        "--quota",
        type=_positive,
        default=os.environ.get(QUOTA_VARIABLE) or DEFAULT_QUOTA_BYTES,
        metavar="BYTES",
        help="of the store; the least recently used goes first "
        f"(default: {QUOTA_VARIABLE}, else {DEFAULT_QUOTA_BYTES})",
    )
    execute = commands.add_parser("exec", help="run the trials of a bundle, without any network")
    execute.add_argument("bundle", type=Path, help="file made by `deltann bundle`")
    execute.add_argument(
        "--output", type=Path, metavar="FILE", help="the result (default: the bundle's name with .result)"
    )
    for command in (serve, execute):
        command.add_argument(
            "--runtime-library",
            type=Path,
            metavar="PATH",
            help=f"libtvm_runtime.so (default: {LIBRARY_VARIABLE}, else that of an installed tvm)",
        )
        command.add_argument(
            "--engine",
            action="append",
            dest="engines",
            type=_engine,
            metavar="NAME=PYTHON",
            default=[_engine(word) for word in os.environ.get(ENGINES_VARIABLE, "").split(",") if word],
            help="another Python environment with runtimes of its own; may be given several times "
            f"(default: those in {ENGINES_VARIABLE}, with commas between)",
        )
    serve.add_argument(
        "--end-with-parent", action="store_true", help="end when the process that started this does"
    )
    return parser, serve


def _engine(text: str) -> tuple[str, Path]:
    name, given, python = text.partition("=")
    if not (given and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name) and Path(python).is_absolute()):
        raise argparse.ArgumentTypeError(f"must be NAME=/path/to/python, not {text!r}")
    return name, Path(python)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of 1 or more, not {text!r}")
    return int(text)
