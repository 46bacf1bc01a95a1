"""Boards by name, and by what they say of themselves."""

import pytest

from deltann.core.cpu_features import linux_flags, mask_features
from deltann.core.errors import BoardError
from deltann.core.known_boards import KNOWN_BOARDS, known_board
from deltann.core.propose import propose

PI4_FLAGS = ("fp", "asimd", "evtstrm", "crc32", "cpuid")
PI5_FLAGS = (*PI4_FLAGS, "aes", "pmull", "sha2", "atomics", "fphp", "asimdhp", "asimdrdm", "asimddp")
V2 = ("popcnt", "sse3", "sse4.1", "sse4.2", "ssse3")
V3 = (*V2, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe")


def test_names_are_given_once():
    names = [board.name for board in KNOWN_BOARDS]
    assert len(names) == len(set(names))


def test_a_wrong_name_is_told_the_nearest():
    with pytest.raises(BoardError, match=r"no kind of board is called 'rpi44'.*rpi4"):
        known_board("rpi44")


@pytest.mark.parametrize(
    ("architecture", "model", "kind"),
    [
        ("aarch64", "Raspberry Pi 4 Model B Rev 1.4", "rpi4"),
        ("aarch64", "Raspberry Pi 5 Model B Rev 1.0", "rpi5"),
        ("aarch64", "Raspberry Pi Zero 2 W Rev 1.0", "rpi-zero2"),
        ("armv6l", "Raspberry Pi Zero W Rev 1.1", "rpi-zero"),
        ("armv7l", "Raspberry Pi 3 Model B Plus Rev 1.3", "rpi3-32bit"),
        ("aarch64", "Raspberry Pi Compute Module 4 Rev 1.0", "rpi4"),
        ("aarch64", "NVIDIA Jetson Orin Nano Developer Kit", "jetson-orin-nano"),
        ("aarch64", "NVIDIA Jetson AGX Orin Developer Kit", "jetson-orin"),
        ("aarch64", "NVIDIA Jetson Xavier NX Developer Kit", "jetson-xavier"),
        ("aarch64", "NVIDIA Jetson Nano Developer Kit", "jetson-nano"),
    ],
)
def test_the_device_tree_names_the_board(architecture, model, kind):
    proposal = propose(architecture, None, (), model)
    assert (proposal.kind, proposal.cpu) == (kind, known_board(kind).cpu)
    assert model in proposal.reason


def test_a_model_of_another_architecture_is_not_believed():
    # A 64-bit board name under a 32-bit system that has no entry of its own.
    assert (
        propose("armv7l", None, (), "Raspberry Pi 5 Model B Rev 1.0").cpu.triple == "armv7l-linux-gnueabihf"
    )


def test_an_arm_core_is_named_by_its_part_and_cut_to_its_flags():
    a72 = propose("aarch64", "0x41:0xd08", PI4_FLAGS, None)
    assert (a72.cpu.mcpu, a72.cpu.mattr) == ("cortex-a72", ("-aes", "-sha2"))
    a76 = propose("aarch64", "0x41:0xd0b", PI5_FLAGS, None)
    assert (a76.cpu.mcpu, a76.cpu.mattr) == ("cortex-a76", ())
    assert propose("aarch64", "0x4e:0x004", PI5_FLAGS[:-1], None).cpu.mattr == ()


@pytest.mark.parametrize(
    ("features", "mcpu"),
    [((), "x86-64"), (V2, "x86-64-v2"), (V3, "x86-64-v3")],
)
def test_x86_gets_the_highest_level_that_its_flags_satisfy(features, mcpu):
    assert propose("x86_64", None, linux_flags("x86_64", features), None).cpu.mcpu == mcpu


def test_what_is_not_known_gets_what_its_architecture_has():
    assert propose("riscv64", None, (), None).kind == "riscv64"
    assert propose("aarch64", "0x00:0x000", (), None).kind == "aarch64"
    assert propose("sparc", None, (), None).cpu is None


def test_an_arm_core_that_nobody_named_gets_what_its_flags_show():
    flags = {"fp", "asimd", "asimddp", "asimdhp", "fphp"}
    assert propose("aarch64", "0x99:0x001", flags, None).kind == "aarch64-dotprod"
    assert propose("aarch64", "0x99:0x001", flags - {"asimddp"}, None).kind == "aarch64"


def test_features_by_the_names_of_the_kernel():
    assert linux_flags("aarch64", ("neon", "dotprod", "v8.2a")) == ("asimd", "asimddp")
    assert linux_flags("armv7l", ("neon", "vfp3")) == ("neon", "vfpv3")
    assert linux_flags("riscv64", ("m", "a")) == ()
    assert mask_features("aarch64", ("neon", "dotprod"), {"asimd"}) == ("-dotprod",)
    assert mask_features("aarch64", ("neon", "dotprod"), set()) == ()


def test_a_level_of_x86_needs_all_that_is_below_it():
    odd = (*V2, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
    assert propose("x86_64", None, linux_flags("x86_64", odd), None).cpu.mcpu == "x86-64-v2"


def test_a_server_core_is_cut_to_its_flags_too():
    n2 = propose("aarch64", "0x41:0xd49", PI5_FLAGS, None)
    assert {"-i8mm", "-bf16", "-sve"} <= set(n2.cpu.mattr)
