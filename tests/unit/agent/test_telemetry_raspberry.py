import pytest
import trees

from deltann_agent.telemetry import Telemetry, accelerators, raspberry
from deltann_agent.telemetry.gpu import NoGpuError
from deltann_proto.v1 import agent_pb2 as pb

PMIC = """\
 3V7_WL_SW_A current(0)=0.09368929A
   3V3_SYS_A current(1)=0.10000000A
  VDD_CORE_A current(7)=6.00000000A
   3V3_ADC_A current(18)=0.00036630A
 3V7_WL_SW_V volt(8)=3.69977600V
   3V3_SYS_V volt(9)=3.30000000V
  VDD_CORE_V volt(15)=0.85000000V
     EXT5V_V volt(24)=5.09066000V
      BATT_V volt(25)=0.00000000V
"""


class Firmware:
    """vcgencmd, with the flags it shall tell."""

    def __init__(self, flags: str = "0x0") -> None:
        self.flags = flags
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, *command: str) -> str | None:
        self.asked.append(command)
        return {
            ("vcgencmd", "get_throttled"): f"throttled={self.flags}\n",
            ("vcgencmd", "pmic_read_adc"): PMIC,
        }.get(command)


def no_gpu(root):
    raise NoGpuError("no GPU here")


def telemetry_of(tree: trees.Tree, ask=None) -> Telemetry:
    return Telemetry(root=tree.root, ask=ask or Firmware(), find_gpu=no_gpu)


def test_a_pi_4_is_read_from_files_alone(tmp_path):
    firmware = Firmware()
    reading = telemetry_of(trees.raspberry_pi_4(tmp_path, "50000"), firmware).read(pb.Reading.BEFORE, 5)
    assert reading.cpu_freq_mhz == 1500
    assert reading.governor == "ondemand"
    assert reading.temp_c == pytest.approx(61.234)
    assert reading.HasField("throttled")
    assert reading.throttled is False  # bits 16 and 18: since boot, but before this trial
    assert firmware.asked == []
    assert reading.unavailable["rails"] == "no power sensor that the agent knows"
    assert not {"throttled", "temp_c", "governor", "cpu_freq_mhz"} & set(reading.unavailable)


@pytest.mark.parametrize(
    ("flags", "reasons"),
    [
        ("0", []),
        ("1", ["under-voltage"]),
        ("0xe", ["frequency capped", "throttled", "soft temperature limit"]),
        ("50005", ["under-voltage", "throttled"]),
        ("f0000", []),
    ],
)
def test_the_flags_of_now_are_the_reasons(tmp_path, flags, reasons):
    reading = telemetry_of(trees.raspberry_pi_4(tmp_path, flags)).read(pb.Reading.BEFORE)
    assert list(reading.throttle_reasons) == reasons
    assert reading.throttled is bool(reasons)


def test_a_flag_that_was_set_within_the_trial_counts_although_it_is_over(tmp_path):
    tree = trees.raspberry_pi_4(tmp_path, "40000")
    telemetry = telemetry_of(tree)
    assert telemetry.read(pb.Reading.BEFORE).throttled is False
    tree.write("sys/devices/platform/soc/soc:firmware/get_throttled", "50000")
    reading = telemetry.read(pb.Reading.AFTER)
    assert reading.throttled is True
    assert list(reading.throttle_reasons) == ["under-voltage earlier in the trial"]


def test_a_flag_that_was_cleared_and_came_back_is_new(tmp_path):
    tree = trees.raspberry_pi_4(tmp_path)
    telemetry = telemetry_of(tree)
    throttled = []
    for flags in ("80000", "0", "80000", "0"):
        tree.write("sys/devices/platform/soc/soc:firmware/get_throttled", flags)
        throttled.append(telemetry.read(pb.Reading.DURING).throttled)
    assert throttled == [False, False, True, True]


def test_a_flag_that_was_set_between_two_looks_and_is_over_shows_in_the_second_alone(tmp_path):
    tree = trees.raspberry_pi_4(tmp_path, "40000")
    telemetry = telemetry_of(tree)
    throttled = []
    for flags in ("40000", "50000", "50000"):
        tree.write("sys/devices/platform/soc/soc:firmware/get_throttled", flags)
        throttled.append(telemetry.read(pb.Reading.DURING).throttled)
        telemetry.begin_anew()
    assert throttled == [False, True, False]


def test_between_blocks_a_pi_5_may_be_asked_and_tells_of_all_the_time_since_it_was(tmp_path):
    firmware = Firmware()
    telemetry = telemetry_of(trees.raspberry_pi_5(tmp_path), firmware)
    told = []
    for flags, may_ask in (("0x0", True), ("0x20000", False), ("0x20000", True), ("0x20000", True)):
        firmware.flags = flags
        reading = telemetry.read(pb.Reading.DURING, ask_programs=may_ask)
        told.append(reading.throttled if reading.HasField("throttled") else None)
        telemetry.begin_anew()
    assert told == [False, None, True, False]
    assert firmware.asked.count(("vcgencmd", "get_throttled")) == 3


@pytest.mark.parametrize("text", ["", "what", "0x", "-1"])
def test_flags_that_are_no_number_are_not_told(tmp_path, text):
    assert raspberry.flags_in_files(trees.raspberry_pi_4(tmp_path, text).root) is None


def test_a_pi_5_is_asked_before_and_after_but_never_while_it_measures(tmp_path):
    firmware = Firmware()
    telemetry = telemetry_of(trees.raspberry_pi_5(tmp_path), firmware)
    before = telemetry.read(pb.Reading.BEFORE)
    assert firmware.asked == [("vcgencmd", "get_throttled"), ("vcgencmd", "pmic_read_adc")]

    during = telemetry.read(pb.Reading.DURING)
    assert len(firmware.asked) == 2
    assert not during.HasField("throttled")
    assert not during.rails
    assert "before and after" in during.unavailable["throttled"]
    assert "before and after" in during.unavailable["rails"]

    firmware.flags = "0x20000"
    after = telemetry.read(pb.Reading.AFTER)
    assert (before.throttled, after.throttled) == (False, True)
    assert list(after.throttle_reasons) == ["frequency capped earlier in the trial"]
    assert len(firmware.asked) == 4


def test_the_rails_of_a_pi_5_are_those_with_voltage_and_current(tmp_path):
    reading = telemetry_of(trees.raspberry_pi_5(tmp_path)).read(pb.Reading.AFTER)
    rails = {rail.name: rail.power_mw for rail in reading.rails}
    assert rails == {
        "3V7_WL_SW": pytest.approx(0.09368929 * 3.699776 * 1000),
        "3V3_SYS": pytest.approx(330),
        "VDD_CORE": pytest.approx(5100),
    }


def test_a_firmware_that_does_not_answer_is_a_reason_and_no_promise(tmp_path):
    reading = telemetry_of(trees.raspberry_pi_5(tmp_path), lambda *command: None).read(pb.Reading.BEFORE)
    assert not reading.HasField("throttled")
    assert "vcgencmd" in reading.unavailable["throttled"]
    assert "vcgencmd" in reading.unavailable["rails"]


def test_the_kernels_voltage_alarm_tells_while_the_firmware_may_not_be_asked(tmp_path):
    reading = telemetry_of(trees.raspberry_pi_5(tmp_path, alarm=1)).read(pb.Reading.DURING)
    assert reading.throttled is True
    assert list(reading.throttle_reasons) == ["under-voltage"]


@pytest.mark.parametrize(
    ("model", "measures"),
    [
        ("Raspberry Pi 5 Model B Rev 1.0", True),
        ("Raspberry Pi 500 Rev 1.0", True),
        ("Raspberry Pi Compute Module 5 Rev 1.0", True),
        ("Raspberry Pi 4 Model B Rev 1.5", False),
        ("Raspberry Pi Compute Module 4 Rev 1.1", False),
        ("Raspberry Pi 3 Model B Plus Rev 1.3", False),
        ("Radxa ROCK 5B", False),
    ],
)
def test_which_boards_measure_their_power(tmp_path, model, measures):
    trees.Tree(tmp_path).device_tree(model)
    assert raspberry.has_pmic(tmp_path) is measures


@pytest.mark.parametrize(
    "text", [None, "", 'error=1 error_msg="Command not registered"', "VCHI initialization failed"]
)
def test_words_of_a_failing_vcgencmd_are_no_values(text):
    assert raspberry.parse_throttled(text) is None
    assert raspberry.parse_pmic(text) is None


def test_a_pi_has_no_accelerator(tmp_path):
    assert accelerators(trees.raspberry_pi_4(tmp_path).root, lambda: no_gpu(None)) == []
