"""What is said of boards that do not tell all about their blocks."""

from dataclasses import replace

import compare_makers as make
import numpy as np
from block_makers import COOL, QUIET, block

from deltann.compare.uncounted import uncounted_findings
from deltann.core.block import TimingEnd, TimingEndKind
from deltann.core.comparison import FindingKind, Severity
from deltann.core.timing import Timing

END = TimingEnd("local", Timing(), TimingEndKind.PRECISION, 0.01, 6, 2.0, 0.0)
COUNTED = replace(QUIET, cpu_stalled_ns=0, memory_stalled_ns=0, stolen_ns=0)


def texts(**changes):
    trial = make.result("t", make.measured(np.eye(4, dtype=np.float32)))
    blocks = tuple(block("t", lap, **changes) for lap in range(3))
    found = list(uncounted_findings(replace(make.run_data(trial), blocks=blocks, timings=(END,))))
    assert all(one.kind is FindingKind.SENSOR and one.severity is Severity.NOTE for one in found)
    assert all(one.trials == ("t",) for one in found)
    return [one.text for one in found]


def test_a_board_that_tells_all_is_not_spoken_of():
    assert texts(strain=COUNTED) == []
    assert texts(strain=None) == []


def test_throttling_that_cannot_be_read_is_said_once_and_why():
    why = (("throttled", "nobody tells"),)
    silent = replace(COOL, throttled=None, throttle_reasons=None, unavailable=why)
    assert texts(strain=COUNTED, reading=silent) == [
        "Whether local was throttled could not be read (nobody tells): no block is held to be invalid for it."
    ]


def test_what_a_kernel_does_not_count_is_said_once():
    assert texts() == [
        "The kernel of local does not count how long processes waited for a core, how long they waited for "
        "memory and what a host beneath took; how often threads lost their core stands in for the first."
    ]
    assert texts(strain=replace(COUNTED, stolen_ns=None)) == [
        "The kernel of local does not count what a host beneath took."
    ]
