from dataclasses import replace

import report_runs

from deltann.core.format import MISSING
from deltann.report.telemetry import summarise_telemetry


def test_phases_stand_side_by_side_and_the_unreadable_has_its_reason():
    telemetry = summarise_telemetry(report_runs.agreeing_run())
    assert telemetry.columns[0] == "CPU clock, MHz"
    assert telemetry.rows[0].cells[0] == "2900 / 2874 / 2893"
    assert telemetry.rows[0].cells[-1] == "performance"
    assert ("local", "Temperature, °C", "this machine has no sensor") in telemetry.unreadable
    assert "Temperature, °C" not in telemetry.columns


def test_what_one_trial_lacks_is_said_in_its_cell():
    data = report_runs.agreeing_run()
    hot = replace(
        data.trials[0],
        readings=tuple(replace(reading, temp_c=61.5, throttled=False) for reading in data.trials[0].readings),
    )
    telemetry = summarise_telemetry(replace(data, trials=(hot, data.trials[1])))
    column = telemetry.columns.index("Temperature, °C")
    assert telemetry.rows[0].cells[column] == "62 / 62 / 62"
    assert telemetry.rows[1].cells[column] == "not readable: this machine has no sensor"
    assert telemetry.rows[0].cells[telemetry.columns.index("Throttled")] == "no"


def test_several_readings_of_a_phase_are_collapsed():
    data = report_runs.agreeing_run(("O3",))
    before, during, after = data.trials[0].readings
    faster = replace(during, cpu_freq_mhz=during.cpu_freq_mhz + 20)
    trial = replace(data.trials[0], readings=(before, during, faster, after))
    telemetry = summarise_telemetry(replace(data, trials=(trial,)))
    assert telemetry.rows[0].cells[0] == "2900 / 2884 / 2893"


def test_no_readings_no_rows():
    data = report_runs.run_of([report_runs.failed_trial()])
    assert summarise_telemetry(data).rows == ()


def with_readings(trial, **changes):
    return replace(trial, readings=tuple(replace(reading, **changes) for reading in trial.readings))


def test_what_held_a_board_back_is_named():
    data = report_runs.agreeing_run(("O3",))
    before, during, after = data.trials[0].readings
    readings = (
        replace(before, throttled=False, throttle_reasons=()),
        replace(during, throttled=True, throttle_reasons=("under-voltage",)),
        replace(after, throttled=True, throttle_reasons=("under-voltage", "frequency capped")),
    )
    telemetry = summarise_telemetry(replace(data, trials=(replace(data.trials[0], readings=readings),)))
    cell = telemetry.rows[0].cells[telemetry.columns.index("Throttled")]
    assert cell == "yes: under-voltage, frequency capped"


def test_throttling_of_an_older_run_has_no_reason():
    data = report_runs.agreeing_run(("O3",))
    telemetry = summarise_telemetry(replace(data, trials=(with_readings(data.trials[0], throttled=True),)))
    assert telemetry.rows[0].cells[telemetry.columns.index("Throttled")] == "yes"


def test_power_mode_and_gpu_have_columns_where_a_board_has_them():
    data = report_runs.agreeing_run(("O0", "O3"))
    board = with_readings(
        data.trials[0],
        power_mode="MAXN",
        gpu_freq_mhz=624.75,
        gpu_temp_c=0.0,
        gpu_load_percent=73.4,
        gpu_memory_used_bytes=3 << 30,
    )
    telemetry = summarise_telemetry(replace(data, trials=(board, replace(data.trials[1], board="other"))))
    row = dict(zip(telemetry.columns, telemetry.rows[0].cells, strict=True))
    assert row["Power mode"] == "MAXN"
    assert row["GPU clock, MHz"] == "625 / 625 / 625"
    assert row["GPU temperature, °C"] == "0 / 0 / 0"
    assert row["GPU load, %"] == "73 / 73 / 73"
    assert row["GPU memory in use"] == "3.00 GB / 3.00 GB / 3.00 GB"
    assert ("other", "Power mode", "no reason given") in telemetry.unreadable


def test_what_only_few_boards_have_is_not_missed_where_none_has_it():
    telemetry = summarise_telemetry(report_runs.agreeing_run())
    assert {field for _, field, _ in telemetry.unreadable} == {"Temperature, °C", "Throttled"}


def test_the_strongest_rails_stand_in_watts_and_are_not_added_up():
    data = report_runs.agreeing_run(("O3",))
    before, during, after = data.trials[0].readings
    weak = tuple((f"weak {index}", float(index)) for index in range(3))
    readings = (
        replace(before, rails=(("VDD_SOC", 1500.0), ("VDD_IN", 5000.0), *weak)),
        replace(during, rails=None),
        replace(after, rails=(("VDD_SOC", 1600.0), ("VDD_IN", 9260.0), *weak)),
    )
    telemetry = summarise_telemetry(replace(data, trials=(replace(data.trials[0], readings=readings),)))
    cell = telemetry.rows[0].cells[telemetry.columns.index("Power, W")]
    parts = cell.split("; ")
    assert parts[:2] == [f"VDD_IN 5.0 / {MISSING} / 9.3", f"VDD_SOC 1.5 / {MISSING} / 1.6"]
    assert len(parts) == 5
    assert parts[-1] == "1 more"
