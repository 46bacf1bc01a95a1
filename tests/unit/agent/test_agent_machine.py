import pytest

from deltann_agent import machine
from deltann_agent.machine import Platform

X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model name\t: AMD EPYC 9R14
flags\t\t: sse avx2 fma
"""
ARM = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd crc32
CPU implementer\t: 0x41
Hardware\t: BCM2835
"""


@pytest.fixture
def tree(tmp_path):
    def make(files: dict[str, str]):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


def test_an_x86_board(tree):
    root = tree(
        {
            "proc/cpuinfo": X86,
            "proc/meminfo": "MemTotal:       16000 kB\nMemAvailable:  8000 kB\n",
            "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12"\n',
            **{
                f"sys/devices/system/cpu/cpu{cpu}/topology/{name}": value
                for cpu, core in enumerate("0011")
                for name, value in (("core_id", core), ("physical_package_id", "0"))
            },
        }
    )
    seen = machine.describe(Platform("box", "x86_64", "6.1"), root)
    assert seen.cpu_model == "AMD EPYC 9R14"
    assert list(seen.cpu_flags) == ["avx2", "fma", "sse"]
    assert seen.physical_cores == 2
    assert seen.memory_bytes == 16000 * 1024
    assert seen.os == "Debian GNU/Linux 12"
    assert not seen.emulated
    assert dict(seen.unavailable) == {}


def test_an_arm_board_is_named_by_its_device_tree(tree):
    root = tree({"proc/cpuinfo": ARM, "proc/device-tree/model": "Raspberry Pi 4 Model B\0"})
    assert machine.cpu_model(root) == "Raspberry Pi 4 Model B"
    assert machine.cpu_flags(root) == ("asimd", "crc32", "fp")
    assert machine.emulation("aarch64", root) is None


def test_what_cannot_be_read_is_left_out_with_a_reason(tmp_path):
    seen = machine.describe(Platform("box", "x86_64", "6.1"), tmp_path)
    assert not seen.HasField("cpu_model")
    assert not seen.HasField("physical_cores")
    assert set(seen.unavailable) == {"cpu_model", "cpu_flags", "physical_cores", "memory_bytes", "os"}
    assert all(seen.unavailable.values())


@pytest.mark.parametrize(
    ("architecture", "cpuinfo", "words"),
    [
        ("aarch64", X86, "uname says aarch64, but /proc/cpuinfo shows an x86 processor"),
        ("riscv64", X86, "qemu-user"),
        ("x86_64", ARM, "shows another kind of processor"),
        ("x86_64", X86.replace("AMD EPYC 9R14", "QEMU TCG CPU version 2.5+"), "QEMU TCG"),
    ],
)
def test_emulation_gives_itself_away(tree, architecture, cpuinfo, words):
    root = tree({"proc/cpuinfo": cpuinfo})
    assert words in machine.emulation(architecture, root)
    seen = machine.describe(Platform("board", architecture, "6.1"), root)
    assert seen.emulated
    assert words in seen.emulated_reason


def test_an_emulator_that_shows_a_processor_of_its_own_gives_itself_away(tree):
    root = tree({"proc/cpuinfo": ARM})
    (root / "proc/thread-self").mkdir()
    (root / "proc/thread-self/exe").symlink_to("/usr/bin/qemu-aarch64-static")
    assert "the kernel executes qemu-aarch64-static" in machine.emulation("aarch64", root)


def test_a_program_that_runs_by_itself_is_not_emulated(tree):
    root = tree({"proc/cpuinfo": ARM})
    (root / "proc/thread-self").mkdir()
    (root / "proc/thread-self/exe").symlink_to("/usr/bin/python3.11")
    assert machine.emulation("aarch64", root) is None


def test_the_processor_beneath_an_emulated_board_is_not_shown(tree):
    seen = machine.describe(Platform("board", "aarch64", "6.1"), tree({"proc/cpuinfo": X86}))
    assert not seen.HasField("cpu_model")
    assert list(seen.cpu_flags) == []
    assert "qemu-user" in seen.unavailable["cpu_model"]
