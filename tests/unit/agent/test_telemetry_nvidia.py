import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys

import pytest
import trees

from deltann_agent.telemetry import Telemetry, accelerators, nvidia
from deltann_agent.telemetry.accelerators import first_gpu
from deltann_agent.telemetry.gpu import GpuState, NoGpuError
from deltann_agent.telemetry.nvidia import Nvml, decode_reasons
from deltann_proto.v1 import agent_pb2 as pb

NOT_SUPPORTED, DRIVER_NOT_LOADED = 3, 9
WHOLE = GpuState(1980, 64, 99, 3 << 30, 310_500, ("GPU: power cap", "GPU: thermal limit of the driver"))

# The same answers as those of FakeLibrary, behind the real calling convention.
C_LIBRARY = r"""
char *strncpy(char *, const char *, unsigned long);
typedef void *device_t;
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int gpu, memory; } utilization_t;
#define DEVICE ((device_t)0x7fff12345678)
#define CHECK(device) if ((device) != DEVICE) return 2
static int started = 0;
int nvmlInit_v2(void) { started = 1; return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 1; return started ? 0 : 1; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, device_t *device) {
    *device = DEVICE; return index == 0 ? 0 : 2; }
int nvmlSystemGetDriverVersion(char *text, unsigned int size) { strncpy(text, "550.54.15", size); return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 13010; return 0; }
int nvmlDeviceGetName(device_t device, char *text, unsigned int size) {
    CHECK(device); if (size < 96) return 7; strncpy(text, "NVIDIA H100 PCIe", size); return 0; }
int nvmlDeviceGetCudaComputeCapability(device_t device, int *major, int *minor) {
    CHECK(device); *major = 9; *minor = 0; return 0; }
int nvmlDeviceGetMemoryInfo(device_t device, memory_t *memory) {
    CHECK(device);
    memory->total = 80ull << 30; memory->free = 77ull << 30; memory->used = 3ull << 30; return 0; }
int nvmlDeviceGetUtilizationRates(device_t device, utilization_t *load) {
    CHECK(device); load->gpu = 99; load->memory = 41; return 0; }
int nvmlDeviceGetClockInfo(device_t device, unsigned int kind, unsigned int *mhz) {
    CHECK(device); *mhz = kind == 1 ? 1980 : 1; return 0; }
int nvmlDeviceGetTemperature(device_t device, unsigned int sensor, unsigned int *celsius) {
    CHECK(device); *celsius = sensor == 0 ? 64 : 1; return 0; }
int nvmlDeviceGetPowerUsage(device_t device, unsigned int *milliwatts) {
    CHECK(device); *milliwatts = 310500; return 0; }
int nvmlDeviceGetCurrentClocksEventReasons(device_t device, unsigned long long *bits) {
    CHECK(device); *bits = 0x25; return 0; }
"""


class FakeLibrary:
    """The library as ctypes shows it, with the answers of one GPU.

    Parameters
    ----------
    missing
        Functions that this driver does not have.
    refused
        Functions that this GPU does not support.
    """

    def __init__(self, *, missing=(), refused=(), gpus=1, init=0, reasons=0x25):
        self.calls = []
        answers = {
            "nvmlInit_v2": lambda: init,
            "nvmlDeviceGetCount_v2": lambda out: put(out, gpus),
            "nvmlDeviceGetHandleByIndex_v2": lambda index, out: put(out, 1000 + index.value),
            "nvmlSystemGetDriverVersion": lambda out, size: write(out, size, b"550.54.15"),
            "nvmlSystemGetCudaDriverVersion_v2": lambda out: put(out, 12_040),
            "nvmlDeviceGetName": lambda gpu, out, size: write(out, size, b"NVIDIA H100 PCIe"),
            "nvmlDeviceGetCudaComputeCapability": lambda gpu, major, minor: put(major, 9) or put(minor, 0),
            "nvmlDeviceGetMemoryInfo": lambda gpu, out: fields(
                out, total=80 << 30, free=77 << 30, used=3 << 30
            ),
            "nvmlDeviceGetUtilizationRates": lambda gpu, out: fields(out, gpu=99, memory=41),
            "nvmlDeviceGetClockInfo": lambda gpu, kind, out: put(out, {1: 1980}[kind.value]),
            "nvmlDeviceGetTemperature": lambda gpu, sensor, out: put(out, {0: 64}[sensor.value]),
            "nvmlDeviceGetPowerUsage": lambda gpu, out: put(out, 310_500),
            "nvmlDeviceGetCurrentClocksEventReasons": lambda gpu, out: put(out, reasons),
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda gpu, out: put(out, reasons),
        }
        for name, answer in answers.items():
            if name not in missing:
                setattr(self, name, self.counted(name, refuse if name in refused else answer))

    def counted(self, name, answer):
        def function(*arguments):
            self.calls.append(name)
            return answer(*arguments)

        return function


def put(out, value):
    out._obj.value = value
    return 0


def fields(out, **values):
    for name, value in values.items():
        setattr(out._obj, name, value)
    return 0


def write(out, size, text):
    assert size.value == len(out)
    out.value = text
    return 0


def refuse(*arguments):
    return NOT_SUPPORTED


def gpu_of(**options):
    (gpu,) = Nvml(FakeLibrary(**options)).gpus()
    return gpu


def test_a_gpu_tells_its_state():
    assert gpu_of().read() == WHOLE


def test_a_gpu_is_described():
    (found,) = accelerators(start=lambda: Nvml(FakeLibrary()))
    assert (found.kind, found.name, found.arch) == ("cuda", "NVIDIA H100 PCIe", "sm_90")
    assert (found.driver, found.memory_bytes) == ("550.54.15", 80 << 30)
    assert found.cuda_version == "12.4"


def test_a_driver_before_the_functions_new_name_tells_the_reasons_too():
    assert gpu_of(missing=["nvmlDeviceGetCurrentClocksEventReasons"]).read() == WHOLE


@pytest.mark.parametrize("how", ["missing", "refused"])
def test_what_a_gpu_does_not_tell_is_left_out_and_the_rest_is_kept(how):
    silent = ["nvmlDeviceGetPowerUsage", "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo"]
    gpu = gpu_of(**{how: silent})
    assert gpu.read() == GpuState(1980, 64, None, None, None, WHOLE.throttle_reasons)
    assert not gpu.describe().HasField("memory_bytes")
    unknown = gpu_of(**{how: ["nvmlSystemGetCudaDriverVersion_v2"]}).describe()
    assert unknown.cuda_version == ""


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0x0, ()),
        (0x1 | 0x2 | 0x100, ()),  # idle, set clocks: nothing is held back
        (0x8 | 0x40, ("hardware slowdown", "thermal limit of the hardware")),
        (0x80, ("power brake",)),
        (0x10, ("clock kept level with other GPUs",)),
        (0x1 | 0x1000, ("unknown reason 0x1000",)),
    ],
)
def test_reasons_in_words(bits, words):
    assert decode_reasons(bits) == words


def test_a_library_without_a_driver_is_no_gpu():
    with pytest.raises(NoGpuError, match="NVML error 9"):
        Nvml(FakeLibrary(init=DRIVER_NOT_LOADED))


@pytest.mark.parametrize("options", [{"gpus": 0}, {"refused": ["nvmlDeviceGetHandleByIndex_v2"]}])
def test_a_driver_without_a_gpu_is_no_gpu(tmp_path, options):
    def start():
        return Nvml(FakeLibrary(**options))

    assert accelerators(tmp_path, start) == []
    with pytest.raises(NoGpuError, match="knows no GPU"):
        first_gpu(tmp_path, start)


def test_a_missing_library_is_a_reason_and_is_looked_for_again(tmp_path, monkeypatch):
    monkeypatch.setattr(nvidia, "LIBRARY", str(tmp_path / "libnvidia-ml.so.1"))
    nvidia.shared_nvml.cache_clear()
    with pytest.raises(NoGpuError, match="not installed"):
        nvidia.shared_nvml()
    reading = Telemetry(root=tmp_path).read(pb.Reading.BEFORE)
    assert "not installed" in reading.unavailable["gpu_freq_mhz"]
    assert accelerators(tmp_path) == []
    monkeypatch.setattr(ctypes, "CDLL", lambda name: FakeLibrary())
    try:
        assert nvidia.shared_nvml() is nvidia.shared_nvml()
        assert Telemetry(root=tmp_path).read(pb.Reading.BEFORE).gpu_freq_mhz == 1980
    finally:
        nvidia.shared_nvml.cache_clear()


def test_while_a_trial_measures_nothing_is_searched_for(tmp_path):
    library = FakeLibrary()
    nvml = Nvml(library)
    telemetry = Telemetry(root=tmp_path, find_gpu=lambda root: first_gpu(root, lambda: nvml))
    library.calls.clear()
    reading = telemetry.read(pb.Reading.DURING)
    assert not [name for name in library.calls if "Init" in name or "Count" in name or "Handle" in name]
    assert len(library.calls) == 6
    assert reading.gpu_memory_used_bytes == 3 << 30
    assert list(reading.throttle_reasons) == list(WHOLE.throttle_reasons)
    assert [(rail.name, rail.power_mw) for rail in reading.rails] == [("GPU", 310_500)]


def test_the_gpu_of_a_jetson_is_not_looked_for_on_a_bus(tmp_path):
    def never():
        raise AssertionError

    tree = trees.jetson_orin(tmp_path)
    assert [found.name for found in accelerators(tree.root, never)] == ["Orin"]
    assert first_gpu(tree.root, never).read().load_percent == 73.4


@pytest.fixture(scope="module")
def compiled_library(tmp_path_factory):
    if shutil.which("cc"):
        compiler = ["cc"]
    elif importlib.util.find_spec("ziglang"):
        compiler = [sys.executable, "-m", "ziglang", "cc"]
    else:
        pytest.skip("neither a C compiler nor ziglang is installed")
    folder = tmp_path_factory.mktemp("nvml")
    (folder / "nvml.c").write_text(C_LIBRARY)
    # Without the C library: the process that loads this one has it, and ziglang would first compile it.
    options = [
        "-shared",
        "-fPIC",
        "-O1",
        "-fno-sanitize=all",
        "-nostdlib",
        "-o",
        "libnvidia-ml.so.1",
        "nvml.c",
    ]
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(folder / "cache")}
    subprocess.run([*compiler, *options], cwd=folder, env=environment, check=True)
    return folder / "libnvidia-ml.so.1"


def test_calls_fit_a_library_of_machine_code(compiled_library):
    (gpu,) = Nvml(ctypes.CDLL(str(compiled_library))).gpus()
    assert gpu.read() == WHOLE
    described = gpu.describe()
    assert (described.name, described.arch) == ("NVIDIA H100 PCIe", "sm_90")
    assert (described.driver, described.memory_bytes) == ("550.54.15", 80 << 30)
    assert described.cuda_version == "13.1"
