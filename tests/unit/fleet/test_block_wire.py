"""What else a board did while a block was timed, as it comes over the wire."""

import pytest

from deltann.core.block import Phase, Place, Strain
from deltann.fleet.block_wire import BlockEvents
from deltann_proto.v1 import agent_pb2 as pb

PLACE = Place("local", "t", twin=False, lap=0, turn=0, launch=0, phase=Phase.MEASURE)
COUNTED = {
    "wall_ns": 9,
    "cpu_ns": 8,
    "voluntary_switches": 7,
    "involuntary_switches": 6,
    "major_faults": 5,
    "cpu_stalled_ns": 4,
    "memory_stalled_ns": 3,
    "stolen_ns": 2,
    "energy_uj": 1,
}


def strain_of(**counted):
    events = BlockEvents(PLACE, 1, cold=False)
    events.add(pb.TrialEvent(strain=pb.Strain(**counted)))
    return events.block().strain


def test_every_counter_comes_through():
    assert strain_of(**COUNTED) == Strain(**COUNTED)


@pytest.mark.parametrize("name", ["cpu_stalled_ns", "memory_stalled_ns", "stolen_ns", "energy_uj"])
def test_what_is_not_counted_is_not_nought(name):
    assert strain_of(**{**COUNTED, name: None}) == Strain(**{**COUNTED, name: None})
    assert strain_of(**{**COUNTED, name: 0}) == Strain(**{**COUNTED, name: 0})
