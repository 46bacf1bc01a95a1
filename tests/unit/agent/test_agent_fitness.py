"""What an artifact needs against what a board has."""

import pytest

from deltann_agent.fitness import misfit
from deltann_agent.machine import _userland, board_model, cpu_part
from deltann_agent.runtimes import find_runtimes
from deltann_proto.v1 import agent_pb2 as pb

PI4 = pb.Machine(
    architecture="aarch64", board_model="Raspberry Pi 4 Model B", cpu_flags=["asimd", "crc32", "fp"]
)
GIB = 2**30


def test_what_needs_nothing_fits_everywhere():
    assert misfit(pb.Needs(), PI4, "", None) is None


def test_what_the_board_has_fits():
    needs = pb.Needs(
        architecture="aarch64", cpu_flags=["asimd"], runtime_version="0.27.0.post1", memory_bytes=GIB
    )
    assert misfit(needs, PI4, "0.27.0.post1", 2 * GIB) is None


def test_code_for_the_older_32_bit_arm_runs_on_the_newer_and_not_the_other_way_round():
    old, new = pb.Machine(architecture="armv6l"), pb.Machine(architecture="armv7l")
    assert misfit(pb.Needs(architecture="armv6l"), new, "", None) is None
    assert "is for armv7l" in misfit(pb.Needs(architecture="armv7l"), old, "", None)


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        (pb.Needs(architecture="x86_64"), ["is for x86_64", "Raspberry Pi 4 Model B) is aarch64"]),
        (
            pb.Needs(cpu_flags=["asimd", "asimddp", "asimdhp"]),
            ["CPU features asimddp, asimdhp", "Raspberry Pi 4 Model B) lacks"],
        ),
        (pb.Needs(runtime_version="0.28.0"), ["version 0.28.0", "has version 0.27.0.post1"]),
        (pb.Needs(memory_bytes=4 * GIB), ["needs 4096 MiB", "2048 MiB are free"]),
    ],
)
def test_each_lack_is_named_exactly(needs, words):
    said = misfit(needs, PI4, "0.27.0.post1", 2 * GIB)
    assert all(word in said for word in words), said


def test_what_is_not_known_is_not_held_against_a_board():
    needs = pb.Needs(cpu_flags=["asimddp"], runtime_version="0.28.0", memory_bytes=GIB)
    silent = pb.Machine(architecture="aarch64")
    assert misfit(needs, silent, "", None) is None


def test_an_emulated_board_shows_the_flags_of_the_machine_beneath():
    emulated = pb.Machine(architecture="aarch64", cpu_flags=["avx2"], emulated=True)
    assert misfit(pb.Needs(cpu_flags=["asimd"]), emulated, "", None) is None


def with_gpu(**memory) -> pb.Machine:
    orin = pb.Accelerator(
        kind="cuda", name="Orin", arch="sm_87", driver="540.4", cuda_version="13.0", **memory
    )
    return pb.Machine(architecture="aarch64", accelerators=[orin])


def test_an_artifact_larger_than_the_memory_of_the_gpu_does_not_fit():
    needs = pb.Needs(gpu_arch="sm_75", memory_bytes=4 * GIB)
    said = misfit(needs, with_gpu(memory_bytes=2 * GIB), "", 8 * GIB)
    assert said == "the artifact needs 4096 MiB of the GPU's memory, the Orin of this board has 2048 MiB"
    assert misfit(needs, with_gpu(memory_bytes=4 * GIB), "", 8 * GIB) is None


def test_memory_of_a_gpu_counts_only_where_both_sides_are_known_and_the_artifact_is_for_it():
    assert misfit(pb.Needs(gpu_arch="sm_75", memory_bytes=4 * GIB), with_gpu(), "", 8 * GIB) is None
    assert misfit(pb.Needs(gpu_arch="sm_75"), with_gpu(memory_bytes=2 * GIB), "", 8 * GIB) is None
    assert misfit(pb.Needs(memory_bytes=4 * GIB), with_gpu(memory_bytes=2 * GIB), "", 8 * GIB) is None


BIG_LITTLE = """processor\t: 0
CPU implementer\t: 0x41
CPU part\t: 0xd05

processor\t: 4
CPU implementer\t: 0x41
CPU part\t: 0xd0b
"""


def test_an_arm_board_names_itself_and_its_fastest_core(tmp_path):
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/model").write_text("Raspberry Pi 4 Model B Rev 1.4\0")
    (tmp_path / "proc/cpuinfo").write_text(BIG_LITTLE)
    assert board_model(tmp_path) == "Raspberry Pi 4 Model B Rev 1.4"
    assert cpu_part(tmp_path) == "0x41:0xd0b"


def test_another_machine_has_neither(tmp_path):
    assert board_model(tmp_path) is None
    assert cpu_part(tmp_path) is None


def test_a_kit_says_the_version_of_its_library_beside_it(tmp_path):
    library = tmp_path / "libtvm_runtime.so"
    library.touch()
    library.with_suffix(".version").write_text("0.99.0\n")
    info = find_runtimes(library)["tvm"]
    assert info.compiler_version == "0.99.0"
    assert info.version.startswith("0.99.0 (ffi ")


@pytest.mark.parametrize(
    ("machine", "largest", "architecture"),
    [
        ("aarch64", 2**63 - 1, "aarch64"),
        ("aarch64", 2**31 - 1, "armv7l"),
        ("armv8l", 2**31 - 1, "armv7l"),
        ("x86_64", 2**63 - 1, "x86_64"),
    ],
)
def test_a_32_bit_system_on_a_64_bit_kernel_runs_32_bit_code(machine, largest, architecture):
    assert _userland(machine, largest) == architecture
