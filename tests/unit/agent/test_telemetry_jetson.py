import pytest
import trees

from deltann_agent.telemetry import Telemetry, accelerators, jetson
from deltann_agent.telemetry.gpu import GpuState
from deltann_proto.v1 import agent_pb2 as pb


def read(tree: trees.Tree, phase=pb.Reading.DURING, ask=lambda *command: None) -> pb.Reading:
    return Telemetry(root=tree.root, ask=ask).read(phase, 5)


def rails_of(reading: pb.Reading) -> dict[str, float]:
    return {rail.name: rail.power_mw for rail in reading.rails}


@pytest.mark.parametrize("jetpack", [5, 6])
def test_an_orin(tmp_path, jetpack):
    reading = read(trees.jetson_orin(tmp_path, jetpack))
    assert reading.temp_c == pytest.approx(50.125)
    assert reading.gpu_temp_c == pytest.approx(48.593)
    assert reading.gpu_freq_mhz == 624.75
    assert reading.gpu_load_percent == 73.4
    assert reading.power_mode == "MAXN_SUPER"
    assert rails_of(reading) == {
        "VDD_IN": pytest.approx(4.984 * 1856),
        "VDD_CPU_GPU_CV": pytest.approx(4.984 * 640),
        "VDD_SOC": pytest.approx(4.976 * 320),
    }
    assert reading.throttled is False
    assert list(reading.unavailable) == ["gpu_memory_used_bytes"]


def test_a_nano_with_the_files_of_jetpack_4(tmp_path):
    reading = read(trees.jetson_nano(tmp_path))
    assert (reading.temp_c, reading.gpu_temp_c) == (36.5, 34)
    assert (reading.gpu_freq_mhz, reading.gpu_load_percent) == (921.6, 31.8)
    assert rails_of(reading) == {"POM_5V_IN": 2875, "POM_5V_GPU": 120, "POM_5V_CPU": 640}
    assert reading.power_mode == "5W"
    assert reading.throttled is False


def test_a_xavier_whose_gpu_sleeps(tmp_path):
    reading = read(trees.jetson_xavier(tmp_path))
    assert not reading.HasField("gpu_temp_c")
    assert "gpu_temp_c" in reading.unavailable
    assert reading.HasField("gpu_load_percent")
    assert reading.gpu_load_percent == 0  # read, and idle
    assert rails_of(reading) == {"GPU": 380, "CPU": 1140}  # a channel that is not connected is no rail
    assert reading.power_mode == "MODE_30W_ALL"


@pytest.mark.parametrize(
    "device", ["cpufreq-cpu0", "cpu-throttle-alert", "gpu-throttle-alert", "devfreq-17000000.gp"]
)
def test_a_cooling_device_at_work_is_named(tmp_path, device):
    tree = trees.jetson_orin(tmp_path)
    tree.cooler(9, device, 1)
    reading = read(tree)
    assert reading.throttled is True
    assert list(reading.throttle_reasons) == [f"cooling device {device}"]


def test_power_is_that_of_the_rails_even_where_the_gpu_tells_its_own(tmp_path):
    class Gpu:
        def read(self):
            return GpuState(power_mw=1)

    telemetry = Telemetry(root=trees.jetson_nano(tmp_path).root, find_gpu=lambda root: Gpu())
    assert "POM_5V_IN" in rails_of(telemetry.read(pb.Reading.DURING))


def test_an_over_current_event_within_the_trial_is_throttling(tmp_path):
    tree = trees.jetson_orin(tmp_path)
    telemetry = Telemetry(root=tree.root)
    assert telemetry.read(pb.Reading.BEFORE).throttled is False
    tree.write("sys/devices/platform/soctherm-oc-event/hwmon/hwmon2/oc3_event_cnt", 38)
    assert list(telemetry.read(pb.Reading.DURING).throttle_reasons) == ["instantaneous over-current"]


def test_without_its_file_the_power_mode_is_asked_for_but_never_while_measuring(tmp_path):
    tree = trees.jetson_orin(tmp_path)
    (tree.root / "var/lib/nvpmodel/status").unlink()
    asked = []

    def ask(*command):
        asked.append(command)
        return "NV Fan Mode:quiet\nNV Power Mode: 15W\n0\n"

    assert read(tree, pb.Reading.BEFORE, ask).power_mode == "15W"
    during = read(tree, pb.Reading.DURING, ask)
    assert asked == [("nvpmodel", "-q")]
    assert not during.HasField("power_mode")
    assert "before and after" in during.unavailable["power_mode"]
    assert "neither nvpmodel" in read(tree, pb.Reading.AFTER).unavailable["power_mode"]


def test_a_power_mode_without_a_name_has_its_number(tmp_path):
    tree = trees.jetson_orin(tmp_path)
    tree.write("var/lib/nvpmodel/status", "pmode:0007")
    assert jetson.power_mode(tree.root) == "mode 7"


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("NV Power Mode: MAXN\n0\n", "MAXN"),
        ("NVPM WARN: power mode is not set!\nNV Power Mode: MODE_15W_6CORE\n2\n", "MODE_15W_6CORE"),
        ("NVPM ERROR: Error opening /etc/nvpmodel.conf", None),
        ("", None),
        (None, None),
    ],
)
def test_what_nvpmodel_prints(text, mode):
    assert jetson.parse_nvpmodel(text) == mode


@pytest.mark.parametrize(
    ("board", "name", "arch", "driver"),
    [
        (trees.jetson_nano, "NVIDIA Tegra X1", "sm_53", "L4T 32.7.1"),
        (trees.jetson_xavier, "Xavier", "sm_72", "L4T 35.4.1"),
        (trees.jetson_orin, "Orin", "sm_87", "L4T 36.4.3"),
    ],
)
def test_the_gpu_is_known_by_the_chip(tmp_path, board, name, arch, driver):
    (found,) = accelerators(board(tmp_path).root)
    assert (found.kind, found.name, found.arch, found.driver) == ("cuda", name, arch, driver)
    assert not found.HasField("memory_bytes")  # it has none of its own


def test_other_boards_are_no_jetson(tmp_path):
    tree = trees.raspberry_pi_4(tmp_path)
    assert jetson.soc(tree.root) is None
    assert jetson.accelerator(tree.root) is None
    assert jetson.JetsonGpu.find(tree.root) is None
