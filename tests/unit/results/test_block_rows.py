from dataclasses import replace

import pytest
import results_records as records
from results_records import TRIALS

from deltann.core.block import (
    Block,
    Launch,
    Phase,
    Place,
    SoakEnd,
    SoakEndKind,
    Strain,
    TimingEnd,
    TimingEndKind,
    Verdict,
)
from deltann.core.record import Reading
from deltann.core.timing import Timing, TimingState, WarmUp
from deltann.core.trial import Cause
from deltann.results.folder import RunFolder
from deltann.results.query import connect
from deltann.results.schema import arrow_schema

PLACE = Place("local", TRIALS[0], twin=False, lap=3, turn=1, launch=2, phase=Phase.MEASURE)
FULL = Block(
    place=PLACE,
    started_unix_ns=17,
    latency_ns=(11, 12),
    launch=Launch(1, 2, 3, 4, 5, steady=True),
    strain=Strain(100, 90, 8, 7, 6, 5, None, 3, 2),
    reading=Reading(
        "during", 5, 2000.0, "performance", 61.0, 0.5, 2**33, 2**27, True, (("rails", "no sensor"),), ("hot",)
    ),
    peak_rss_bytes=2**30,
    verdict=Verdict.SUSPECT,
    reasons=("the clock was 5 MHz, after 9",),
    batch=8,
)
BARE = Block(
    place=Place("local", TRIALS[1], twin=True, lap=0, turn=0, launch=0, phase=Phase.SOAK),
    started_unix_ns=18,
    latency_ns=(),
    cause=Cause.TIMEOUT,
    message="too long",
    verdict=Verdict.INVALID,
    reasons=("it failed: too long",),
)
END = TimingEnd(
    board="local",
    timing=Timing(TimingState.SOAKED, every_input=True, seed=7, warm_up=WarmUp(1.0, 0.1, 5.0)),
    kind=TimingEndKind.BUDGET,
    precision=None,
    laps=4,
    spent_s=12.5,
    deciding_s=0.25,
    soak=SoakEnd(SoakEndKind.TIME, 600.5, 41.0, 72.5),
)


def test_blocks_are_read_back_as_they_were_written_and_in_their_order(make_folder):
    folder = make_folder(4)
    folder.write_blocks("local", [FULL, BARE])
    folder.write_blocks("local", [BARE])
    folder.write_timing(END)
    reopened = RunFolder.open(folder.path)
    assert reopened.blocks("local") == (FULL, BARE, BARE)
    assert reopened.timings() == (END,)
    data = reopened.load()
    assert (data.blocks, data.timings) == ((FULL, BARE, BARE), (END,))


def make_older(folder, table, version):
    """Make the only file of a table one that a deltann of this schema wrote."""
    import pyarrow.parquet as pq

    (file,) = folder.path.glob(f"tables/{table}/*.parquet")
    known = arrow_schema(table, version)
    pq.write_table(pq.read_table(file).select(known.names).cast(known), file)


@pytest.mark.parametrize(
    ("version", "changes"), [(7, {}), (5, {"batch": 1})], ids=["no energy", "and one image a run"]
)
def test_what_blocks_of_older_runs_do_not_say(make_folder, version, changes):
    folder = make_folder(4)
    folder.write_blocks("local", [FULL])
    make_older(folder, "blocks", version)
    older = replace(FULL, strain=replace(FULL.strain, energy_uj=None), **changes)
    assert folder.blocks("local") == (older,)
    folder.write_blocks("local", [FULL])
    assert folder.blocks("local") == (older, FULL), "a run that goes on has files of both"


def test_how_soaking_ended_is_not_known_of_older_runs_nor_where_there_was_none(make_folder):
    folder = make_folder(4)
    folder.write_timing(replace(END, soak=None))
    assert folder.timings() == (replace(END, soak=None),)
    folder.write_timing(END)
    assert folder.timings() == (END,)
    make_older(folder, "timings", 6)
    assert folder.timings() == (replace(END, soak=None),)


def test_a_soaking_without_a_thermometer_has_no_temperatures(make_folder):
    end = replace(END, soak=SoakEnd(SoakEndKind.NO_THERMOMETER, 600.0))
    folder = make_folder(4)
    folder.write_timing(end)
    assert folder.timings() == (end,)


def test_a_board_whose_name_begins_like_another_has_its_own_blocks(make_folder):
    folder = make_folder(4)
    folder.write_blocks("local", [FULL])
    folder.write_blocks("local-1", [BARE, BARE])
    assert folder.blocks("local") == (FULL,)
    assert len(folder.blocks("local-1")) == 2


def test_a_run_without_turns_has_none(make_folder):
    data = make_folder(4).load()
    assert (data.blocks, data.timings) == ((), ())


def test_blocks_can_be_asked_in_sql(make_folder):
    folder = make_folder(4)
    folder.write_attempt(records.failure())
    folder.write_blocks("local", [FULL, BARE])
    sql = "select verdict, list_median(latency_ns), temp_c from blocks order by verdict desc"
    assert connect(folder).sql(sql).fetchall() == [("suspect", 11.5, 61.0), ("invalid", None, None)]
