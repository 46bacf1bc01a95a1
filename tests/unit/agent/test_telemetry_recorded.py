"""Every probe over what real machines showed: the numbers that a person would read off."""

import pytest
import recordings

from deltann_agent import machine
from deltann_agent.telemetry import Telemetry, cpu, jetson, raspberry
from deltann_agent.telemetry.accelerators import first_gpu
from deltann_agent.telemetry.gpu import GpuState, NoGpuError
from deltann_agent.telemetry.nvidia import Nvml
from deltann_proto.v1 import agent_pb2 as pb

NOT_SUPPORTED = 3


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    with recordings.refusing_files(monkeypatch) as refuse:
        yield lambda name: recordings.load(name, tmp_path, refuse)


def no_nvml():
    raise NoGpuError("no library here")


def telemetry_of(board: recordings.Recording) -> Telemetry:
    return Telemetry(root=board.root, ask=board.ask, find_gpu=lambda root: first_gpu(root, no_nvml))


def read(board: recordings.Recording) -> pb.Reading:
    return telemetry_of(board).read(pb.Reading.BEFORE)


def rails_of(reading: pb.Reading) -> dict[str, float]:
    return {rail.name: rail.power_mw for rail in reading.rails}


def told(reading: pb.Reading, *names: str) -> tuple:
    return tuple(getattr(reading, name) if reading.HasField(name) else None for name in names)


CPU = ("cpu_freq_mhz", "governor", "temp_c")
GPU = ("gpu_freq_mhz", "gpu_temp_c", "gpu_load_percent")


@pytest.mark.parametrize("name", recordings.NAMES)
def test_each_field_is_told_or_has_a_reason(recorded, name):
    reading = read(recorded(name))
    fields = {*CPU, *GPU, "load_1min", "memory_available_bytes", "throttled", "power_mode"}
    for field in fields:
        assert reading.HasField(field) is (field not in reading.unavailable), field
    assert bool(reading.rails) is ("rails" not in reading.unavailable)
    assert all(reading.unavailable.values())


def test_jetson_nano(recorded):
    reading = read(recorded("jetson-nano-r32"))
    assert told(reading, *CPU) == (1479, None, 44)  # the always-on part has 47.5, the power chip always 100
    assert told(reading, *GPU) == (pytest.approx(921.6), 42.5, 86)
    assert rails_of(reading) == {"POM_5V_IN": 4531, "POM_5V_GPU": 1113, "POM_5V_CPU": 539}


def test_jetson_tx2_nx_names_its_zones_after_its_two_kinds_of_processors(recorded):
    reading = read(recorded("jetson-tx2-nx-r32"))
    assert told(reading, *CPU) == (pytest.approx(345.6), None, 50.5)
    assert "rails" in reading.unavailable


def test_jetson_agx_xavier(recorded):
    reading = read(recorded("jetson-agx-xavier-r32"))
    assert told(reading, *CPU) == (pytest.approx(1190.4), None, 31.5)
    assert told(reading, "gpu_load_percent") == (0,)
    rails = {"GPU": 463, "CPU": 618, "SOC": 2936, "CV": 0, "VDDRQ": 309, "SYS5V": 3306}
    assert rails_of(reading) == rails  # 0 mW were measured: the rail is there


def test_jetson_agx_orin(recorded):
    reading = read(recorded("jetson-agx-orin-r34"))
    assert told(reading, "cpu_freq_mhz", "temp_c") == (pytest.approx(2201.6), 71.5)
    assert reading.load_1min == pytest.approx(1.03)
    assert rails_of(reading) == {
        "VDDQ_VDD2_1V8AO": pytest.approx(708.4),
        "VDD_GPU_SOC": pytest.approx(4795.2),
        "VDD_CPU_CV": pytest.approx(1598.4),
        "VIN_SYS_5V0": pytest.approx(3744.4),
    }


def test_jetson_agx_orin_whose_gpu_is_off_refuses_its_temperature_and_tells_the_rest(recorded):
    reading = read(recorded("jetson-agx-orin-r35"))
    assert told(reading, *CPU) == (pytest.approx(729.6), "schedutil", pytest.approx(42.593))
    assert told(reading, *GPU) == (306, None, 0)
    assert "gpu_temp_c" in reading.unavailable
    assert reading.power_mode == "MAXN"


def test_jetson_orin_nano(recorded):
    board = recorded("jetson-orin-nano-r36")
    reading = read(board)
    assert told(reading, *CPU) == (1728, "schedutil", None)
    assert told(reading, "gpu_freq_mhz") == (1020,)
    assert told(reading, "throttled", "power_mode") == (False, "MAXN_SUPER")
    assert machine.memory_bytes(board.root) == 7_976_910_848


def test_a_processor_that_only_says_arm_is_named_by_its_board(recorded):
    root = recorded("jetson-agx-orin-r34").root
    assert machine.cpu_model(root) == "NVIDIA Orin Jetson-Small Developer Kit"
    assert "asimddp" in machine.cpu_flags(root)


def test_raspberry_pi_zero_2(recorded):
    reading = read(recorded("raspberry-pi-zero-2"))
    assert told(reading, "cpu_freq_mhz", "temp_c") == (1200, pytest.approx(60.1))
    assert "vcgencmd" in reading.unavailable["throttled"]


def test_raspberry_pi_3b_plus_reaches_its_soft_limit(recorded):
    board = recorded("raspberry-pi-3b-plus")
    telemetry = telemetry_of(board)
    assert telemetry.read(pb.Reading.BEFORE).throttled is False  # it did so earlier, since the start
    (board.root / "sys/devices/platform/soc/soc:firmware/get_throttled").write_text("80008\n")
    assert list(telemetry.read(pb.Reading.DURING).throttle_reasons) == ["soft temperature limit"]


def test_raspberry_pi_4_is_at_its_soft_limit(recorded):
    board = recorded("raspberry-pi-4")
    assert list(read(board).throttle_reasons) == ["soft temperature limit"]
    assert machine.cpu_model(board.root) == "Raspberry Pi 4 Model B Rev 1.5"


@pytest.mark.parametrize(
    ("printed", "flags"),
    [
        # Of a Pi 3 with a weak power supply, raspberrypi/firmware issue 615.
        ("throttled=0x50000\n", 0x50000),
        ("throttled=0x50005\n", 0x50005),
        # OctoPrint-NavbarTemp issue 75, raspiblitz issue 4008.
        ("throttled=0x20002\n", 0x20002),
        ("throttled=0x80000\n", 0x80000),
    ],
)
def test_flags_that_vcgencmd_printed(printed, flags):
    assert raspberry.parse_throttled(printed) == flags


def test_raspberry_pi_5(recorded):
    reading = read(recorded("raspberry-pi-5"))
    assert told(reading, "temp_c") == (pytest.approx(45.8),)  # its I/O chip has 50.2
    rails = rails_of(reading)
    assert len(rails) == 12  # the 5 V input and the battery have a voltage only
    assert rails["VDD_CORE"] == pytest.approx(5.03652 * 0.8936988 * 1000)
    assert rails["3V3_DAC"] == pytest.approx(0.00006105 * 3.299447 * 1000)
    assert sum(rails.values()) == pytest.approx(5921.6, abs=0.1)


def test_intel_tablet_whose_counters_say_nothing(recorded):
    reading = read(recorded("x86-intel-tablet"))
    assert told(reading, *CPU) == (pytest.approx(598.7275), "ondemand", None)
    assert reading.throttled is False  # only its clock, a quarter of its best, gives it away


def test_intel_laptop_whose_power_clamp_is_off(recorded):
    assert read(recorded("x86-intel-laptop")).throttled is False


def test_amd_mini_pc(recorded):
    reading = read(recorded("x86-amd-mini-pc"))
    assert told(reading, "temp_c", "load_1min") == (pytest.approx(40.2), pytest.approx(0.24))


def test_virtual_machine(recorded):
    board = recorded("x86-virtual-machine")
    reading = read(board)
    assert told(reading, *CPU) == (pytest.approx(2445.404), None, None)
    assert told(reading, "load_1min", "memory_available_bytes") == (pytest.approx(4.04), 23_370_580 * 1024)
    assert {"throttled", "rails", "power_mode", *GPU} <= set(reading.unavailable)
    seen = machine.describe(machine.Platform("vm", "x86_64", "6.18"), board.root)
    assert (seen.cpu_model, seen.physical_cores, seen.emulated) == ("AMD EPYC", 2, False)
    assert seen.os == "Debian GNU/Linux 12 (bookworm)"


@pytest.mark.parametrize(
    ("printed", "mode"),
    [
        ("NV Power Mode: MAXN\n0\n", "MAXN"),  # AGX Thor, JetPack 7: anduril/jetpack-nixos pull request 460
        (  # Nano, not as root: NVIDIA-AI-IOT/jetbot issue 49
            "NV Power Mode: 5W\n1\nNVPM ERROR: Error opening /sys/kernel/nvpmodel_emc_cap/emc_iso_cap: 13\n",
            "5W",
        ),
    ],
)
def test_power_modes_that_nvpmodel_printed(printed, mode):
    assert jetson.parse_nvpmodel(printed) == mode


class RecordedCard:
    """NVIDIA's library, with what `nvidia-smi -q -x` printed of one card; N/A stands for a refusal."""

    def __init__(self, printed):
        self.printed = {"nvmlDeviceGetCount_v2": 1, "nvmlDeviceGetHandleByIndex_v2": 1} | printed

    def nvmlInit_v2(self):  # noqa: N802 - the library's name
        return 0

    def __getattr__(self, name):
        answer = self.printed.get(name)

        def function(*arguments):
            if answer is None:
                return NOT_SUPPORTED
            fields = answer if isinstance(answer, dict) else {"value": answer}
            for field, value in fields.items():
                setattr(arguments[-1]._obj, field, value)
            return 0

        return function


@pytest.mark.parametrize(
    ("printed", "state"),
    [
        pytest.param(
            {
                "nvmlDeviceGetClockInfo": 1265,
                "nvmlDeviceGetTemperature": 36,
                "nvmlDeviceGetUtilizationRates": {"gpu": 0, "memory": 3},
                "nvmlDeviceGetMemoryInfo": {"total": 1998 << 20, "used": 875 << 20, "free": 1123 << 20},
                "nvmlDeviceGetCurrentClocksThrottleReasons": 0x1,  # idle
            },
            GpuState(1265, 36, 0, 875 << 20, None),
            id="gt-1030, driver 470.74: tells no power (telegraf, nvidia_smi/testdata/gt-1030.xml)",
        ),
        pytest.param(
            {
                "nvmlDeviceGetClockInfo": 1275,
                "nvmlDeviceGetTemperature": 27,
                "nvmlDeviceGetMemoryInfo": {"total": 81920 << 20, "used": 919 << 20, "free": 80999 << 20},
                "nvmlDeviceGetPowerUsage": 67_030,
                "nvmlDeviceGetCurrentClocksEventReasons": 0x0,
            },
            GpuState(1275, 27, None, 919 << 20, 67_030),
            id="a100, driver 535.54.03: in slices, tells no load (telegraf, testdata/a100-sxm4-v12.xml)",
        ),
    ],
)
def test_nvidias_cards(printed, state):
    (gpu,) = Nvml(RecordedCard(printed)).gpus()
    assert gpu.read() == state


def test_no_probe_of_one_platform_answers_on_another(recorded):
    root = recorded("x86-virtual-machine").root
    assert cpu.active_brakes(root) is None
    assert jetson.rails(root) is None
    assert not raspberry.is_raspberry(root)
