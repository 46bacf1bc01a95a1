"""`scripts/bench`: run the benchmarks, print their table, say by the exit code whether every bound is met."""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.row import Row, table
from benchmarks.setting import Setting, machine_facts, say
from deltann.paths import cache_folder

BENCHMARKS = {
    "kernel": "latency of EfficientNet-Lite0 at O3 against ONNX Runtime, same threads",
    "networks": "five networks at O3 against ONNX Runtime, and the geometric mean",
    "study": "what a study of 250 images costs besides running the model, and how fast a second run starts",
    "rpc": "the same images through TVM's RPC, one call after the other",
    "upload": "sending an artifact, against TVM's RPC",
    "fleet": "host CPU, memory and events for 1 to 64 boards",
    "length": "memory of the host against the length of a study, and the report of the longest",
    "tls": "mutual TLS on loopback, against the plain Unix socket",
    "memory": "resident memory of the idle agent, and of a worker with EfficientNet-Lite0",
    "conversions": "all twenty pairs of frameworks for MobileNetV2, cold and warm",
    "runtimes": "the frameworks' own runtimes through the agent, against a script",
    "alarms": "A/A: how often the same variant under two names is said to differ",
    "detection": "A/B: how often a real extra computation of a few percent is found",
    "estimate": "error of a ratio against a long reference: ours, and that of others' ways to time",
    "verdict": "what telemetry, counters and statistics cost of the time that is measured",
    "board": "an emulated board: kit, agent and worker, and the time until its first prediction",
}
EXIT_NOT_MET = 1
_EPILOG = """\
examples:
  scripts/bench
  scripts/bench kernel rpc --quick --json figures.json

exit status: 0 every bound is met, 1 one is not or a benchmark broke, 2 wrong words
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        for name, doc in BENCHMARKS.items():
            print(f"{name:11} {doc}")
        return 0
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; known are {', '.join(BENCHMARKS)}")
    for option, folder in (("--images", options.images), ("--json", options.json and options.json.parent)):
        if folder is not None and not folder.is_dir():
            parser.error(f"{option}: there is no folder {folder}")
    rows, broken = _run(
        options.names or list(BENCHMARKS), Setting(quick=options.quick, images=options.images)
    )
    print(table(rows))
    if options.json is not None:
        facts = {**machine_facts(), "quick": options.quick, "rows": [row.to_json() for row in rows]}
        options.json.write_text(json.dumps(facts, indent=2) + "\n")
    return EXIT_NOT_MET if broken or not all(row.met for row in rows) else 0


def _run(names: Sequence[str], setting: Setting) -> tuple[list[Row], list[str]]:
    """Return the rows of the benchmarks, and the names of those that broke."""
    # Also for what is started: conversions, builds and stores apart from the user's own, kept between runs.
    os.environ["DELTANN_CACHE"] = str(cache_folder("bench"))
    rows: list[Row] = []
    broken: list[str] = []
    for name in names:
        say(f"{name}: {BENCHMARKS[name]}")
        try:
            rows += importlib.import_module(f"benchmarks.{name}").run(setting)
        except Exception as error:  # the others' minutes are not to be lost with it
            say(f"{name} broke: {error}")
            broken.append(name)
    return rows, broken


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Ratios of speed and size, measured side by side in one run, each with its bound.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run (default: all)")
    parser.add_argument("--list", action="store_true", help="say which benchmarks there are, and end")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: wider intervals")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there as JSON, too")
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        default=os.environ.get("DELTANN_BENCH_IMAGES"),
        help="photographs to use, 250 or more (default: the folder that DELTANN_BENCH_IMAGES names, "
        "else crops of the zoo's own)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
