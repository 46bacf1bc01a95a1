import stat

import pytest
import trees

from deltann_agent.telemetry import Telemetry, cpu
from deltann_agent.telemetry.command import command_output
from deltann_agent.telemetry.gpu import GpuState, NoGpuError
from deltann_proto.v1 import agent_pb2 as pb

BOARD_FIELDS = {"cpu_freq_mhz", "governor", "temp_c", "throttled", "rails", "power_mode"}
GPU_FIELDS = {"gpu_freq_mhz", "gpu_temp_c", "gpu_load_percent", "gpu_memory_used_bytes"}
ALL_FIELDS = BOARD_FIELDS | GPU_FIELDS | {"load_1min", "memory_available_bytes", "worker_rss_bytes"}


def no_gpu(root):
    raise NoGpuError("no GPU here")


def no_answer(*command):
    return None


def read(tree: trees.Tree, phase=pb.Reading.BEFORE, **options) -> pb.Reading:
    return Telemetry(root=tree.root, **{"find_gpu": no_gpu, "ask": no_answer} | options).read(phase, 5)


def test_an_intel_processor(tmp_path):
    reading = read(trees.x86_intel(tmp_path), pb.Reading.DURING)
    assert reading.phase == pb.Reading.DURING
    assert reading.cpu_freq_mhz == 2100
    assert reading.governor == "powersave"
    assert reading.temp_c == 47
    assert reading.load_1min == 0.42
    assert reading.memory_available_bytes == 16_000 * 1024
    assert reading.worker_rss_bytes == 5
    assert reading.HasField("throttled")
    assert reading.throttled is False
    assert list(reading.throttle_reasons) == []
    assert set(reading.unavailable) == GPU_FIELDS | {"rails", "power_mode"}
    assert reading.unavailable["gpu_temp_c"] == "no GPU here"


def test_an_amd_processor_without_cpufreq(tmp_path):
    reading = read(trees.x86_amd(tmp_path))
    assert reading.cpu_freq_mhz == 2500
    assert reading.temp_c == 51.25
    assert {"governor", "throttled"} <= set(reading.unavailable)


def test_each_processor_counts_once_where_clusters_differ(tmp_path):
    tree = trees.jetson_orin(tmp_path)
    assert cpu.cpu_freq_mhz(tree.root) == pytest.approx((4 * 1510.4 + 2 * 729.6) / 6)


def test_processors_that_are_off_have_no_frequency(tmp_path):
    assert cpu.cpu_freq_mhz(trees.jetson_xavier(tmp_path).root) == pytest.approx((1190.4 + 2265.6) / 2)


def test_governors_that_differ_are_all_named(tmp_path):
    assert cpu.governor(trees.jetson_xavier(tmp_path).root) == "performance,schedutil"


def test_a_chip_without_a_sensor_for_the_processor_alone(tmp_path):
    tree = trees.Tree(tmp_path)
    tree.zone(0, "soc-thermal", 52_500)
    tree.zone(1, "gpu-thermal", 70_000)
    assert cpu.temp_c(tmp_path) == 52.5
    tree.zone(2, "cpu-thermal", 51_000)
    assert cpu.temp_c(tmp_path) == 51


def test_of_several_zones_the_hottest_counts(tmp_path):
    tree = trees.Tree(tmp_path)
    for index, (kind, millidegrees) in enumerate(
        (("bigcore0-thermal", 61_000), ("littlecore-thermal", 48_000), ("gpu-thermal", 70_000))
    ):
        tree.zone(index, kind, millidegrees)
    assert cpu.temp_c(tmp_path) == 61


@pytest.mark.parametrize(("state", "reasons"), [(0, []), (2, ["cooling device Processor"])])
def test_a_cooling_device_at_work_is_throttling(tmp_path, state, reasons):
    tree = trees.Tree(tmp_path)
    tree.cooler(0, "Processor", state)
    tree.cooler(1, "Processor", state)
    reading = read(tree)
    assert reading.throttled is bool(reasons)
    assert list(reading.throttle_reasons) == reasons


@pytest.mark.parametrize("fan", ["pwm-fan", "Fan", "cpu-fan"])
def test_a_fan_is_not(tmp_path, fan):
    tree = trees.Tree(tmp_path)
    tree.cooler(0, fan, 3)
    assert "throttled" in read(tree).unavailable


def test_a_counter_that_grows_is_throttling(tmp_path):
    tree = trees.x86_intel(tmp_path, throttled=7)
    telemetry = Telemetry(root=tree.root, find_gpu=no_gpu)
    assert telemetry.read(pb.Reading.BEFORE).throttled is False
    tree.write(f"{trees.CPU}/cpu0/thermal_throttle/core_throttle_count", 8)
    reading = telemetry.read(pb.Reading.AFTER)
    assert reading.throttled is True
    assert list(reading.throttle_reasons) == ["processor too hot"]


def test_a_gpu_is_read_with_its_power_and_what_holds_it_back(tmp_path):
    class Gpu:
        def read(self):
            return GpuState(1980, 64, 99, 2**30, 310_500, ("GPU: power cap",))

    reading = read(trees.x86_intel(tmp_path), find_gpu=lambda root: Gpu())
    assert (reading.gpu_freq_mhz, reading.gpu_temp_c) == (1980, 64)
    assert (reading.gpu_load_percent, reading.gpu_memory_used_bytes) == (99, 2**30)
    assert [(rail.name, rail.power_mw) for rail in reading.rails] == [("GPU", 310_500)]
    assert reading.throttled is True
    assert list(reading.throttle_reasons) == ["GPU: power cap"]
    assert set(reading.unavailable) == {"power_mode"}


def test_a_gpu_in_order_does_not_speak_for_the_processor(tmp_path):
    class Gpu:
        def read(self):
            return GpuState(temp_c=0)

    reading = read(trees.x86_amd(tmp_path), find_gpu=lambda root: Gpu())
    assert not reading.HasField("throttled")
    assert reading.HasField("gpu_temp_c")
    assert "driver" in reading.unavailable["gpu_load_percent"]


def test_what_cannot_be_read_is_absent_with_a_reason_never_zero(tmp_path):
    reading = Telemetry(root=tmp_path, find_gpu=no_gpu, ask=no_answer).read(pb.Reading.BEFORE)
    assert set(reading.unavailable) == ALL_FIELDS
    assert not any(reading.HasField(name) for name in ALL_FIELDS - {"rails"})
    assert not reading.rails
    assert all(reading.unavailable.values())


@pytest.mark.parametrize("board", [trees.raspberry_pi_4, trees.jetson_orin])
def test_under_an_emulator_the_board_below_is_not_read(tmp_path, board):
    tree = board(tmp_path)

    def never(*arguments):
        raise AssertionError(arguments)

    reading = Telemetry("qemu-user", tree.root, ask=never, find_gpu=never).read(pb.Reading.BEFORE)
    for name in BOARD_FIELDS | GPU_FIELDS:
        assert reading.unavailable[name] == "qemu-user"
    assert not reading.HasField("cpu_freq_mhz")
    assert not reading.rails
    assert reading.HasField("memory_available_bytes")


def program(folder, name: str, body: str):
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def test_a_program_is_asked_for_its_output(tmp_path, monkeypatch):
    program(tmp_path, "tells", 'echo "throttled=0x$1"')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert command_output("tells", "50000") == "throttled=0x50000\n"


def test_a_program_that_is_missing_fails_or_hangs_tells_nothing(tmp_path, monkeypatch):
    program(tmp_path, "fails", "echo 0x0; exit 1")
    program(tmp_path, "hangs", "exec sleep 60")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("deltann_agent.telemetry.command.TIMEOUT_S", 0.05)
    assert [command_output(name) for name in ("fails", "hangs", "is-missing")] == [None, None, None]
