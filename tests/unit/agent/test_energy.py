"""The counters in which a processor keeps its energy."""

import os
from dataclasses import replace

import pytest

from deltann_agent.energy import package_counters, why_no_power
from deltann_agent.telemetry import reading
from deltann_agent.worker import strain
from deltann_agent.worker.strain import counters, energy_uj
from deltann_proto.v1 import agent_pb2 as pb


@pytest.fixture
def two_packages(tmp_path):
    """A machine of two packages, with all the zones that Linux has beside them."""
    for zone, name, energy in (
        ("intel-rapl", None, None),
        ("intel-rapl:0", "package-0", 1_000),
        ("intel-rapl:0:0", "core", 400),
        ("intel-rapl:0:1", "dram", 300),
        ("intel-rapl:1", "package-1", 20_000),
        ("intel-rapl:2", "psys", 500_000),
        ("intel-rapl-mmio:0", "package-0", 1_000),
    ):
        folder = tmp_path / "sys/class/powercap" / zone
        folder.mkdir(parents=True)
        if name:
            (folder / "name").write_text(f"{name}\n")
            (folder / "energy_uj").write_text(f"{energy}\n")
    return tmp_path


def counter(root, package):
    return root / f"sys/class/powercap/intel-rapl:{package}/energy_uj"


def test_only_whole_packages_are_added_up(two_packages):
    assert package_counters(two_packages) == (counter(two_packages, 0), counter(two_packages, 1))
    assert energy_uj(package_counters(two_packages)) == 21_000


def test_a_machine_of_which_one_package_is_silent_has_no_energy(two_packages, tmp_path):
    found = package_counters(two_packages)
    counter(two_packages, 1).write_text("")
    assert energy_uj(found) is None
    counter(two_packages, 1).unlink()
    assert energy_uj(found) is None
    assert package_counters(tmp_path / "elsewhere") == ()
    assert energy_uj(()) is None


def test_a_block_has_what_was_used_meanwhile(two_packages, monkeypatch):
    monkeypatch.setattr(strain, "package_counters", lambda: package_counters(two_packages))
    before = counters()
    counter(two_packages, 0).write_text("1700\n")
    assert counters().since(before).energy_uj == 700


def test_a_counter_that_began_anew_tells_nothing():
    before = replace(counters(), energy_uj=262_143_000_000)
    assert replace(counters(), energy_uj=5_000).since(before).energy_uj is None
    assert replace(counters(), energy_uj=None).since(before).energy_uj is None


def test_why_a_board_tells_no_power(two_packages, tmp_path, monkeypatch):
    assert why_no_power(tmp_path / "elsewhere") == "no power sensor that the agent knows"
    assert "read where variants take turns" in why_no_power(two_packages)
    # Whoever runs the tests may be root, who may read everything.
    monkeypatch.setattr(os, "access", lambda path, mode: path != counter(two_packages, 1))
    assert "the agent may not read" in why_no_power(two_packages)
    telemetry = reading.Telemetry(root=two_packages, ask=lambda *words: None)
    assert "the agent may not read" in telemetry.read(pb.Reading.BEFORE).unavailable["rails"]
