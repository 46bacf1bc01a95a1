"""Code for other boards: compiled and linked here, its header read as their loader would."""

import importlib.util
import struct
from dataclasses import asdict

import pytest

from deltann.child import run_child
from deltann.compile.target import needed_features, tvm_target
from deltann.core.cpu_features import linux_flags
from deltann.core.factors import Importer
from deltann.core.known_boards import KNOWN_BOARDS, known_board
from deltann.core.passes import resolve_passes
from deltann.core.variant import PassEdits, TvmOptions
from tiny import TINY_SIDE, save_classifier

# Of the ELF header, by the System V ABI and its supplements for each processor.
MACHINES = {"x86_64": 62, "aarch64": 183, "armv7l": 40, "armv6l": 40, "riscv64": 243}
RISCV_FLOAT_ABI, RISCV_DOUBLE = 0x6, 0x4
ARM_HARD_FLOAT = 0x400
NOT_BUILT = {
    "rpi2",
    "rpi3-32bit",
    "rpi3",
    "rpi-zero2",
    "jetson-nano",
    "jetson-tx2",
    "jetson-orin-nano",
    "aarch64",
}


@pytest.mark.parametrize("kind", [board.name for board in KNOWN_BOARDS])
def test_llvm_knows_every_known_board(kind):
    assert needed_features(tvm_target(known_board(kind).cpu)) is not None


def test_what_code_for_a_board_needs():
    def flags(kind: str) -> set[str]:
        cpu = known_board(kind).cpu
        return set(linux_flags(cpu.triple.partition("-")[0], needed_features(tvm_target(cpu))))

    assert flags("rpi4") == {"asimd", "crc32"}
    assert flags("rpi5") >= {"asimddp", "asimdhp", "atomics"}
    assert "asimddp" not in flags("jetson-xavier")
    assert flags("armv7") >= {"neon", "vfpv3"}
    assert flags("rpi-zero") == {"vfp"}
    assert "avx2" in flags("x86-64-v3")
    assert "avx2" not in flags("x86-64-v2")


def compile_for(kind: str, folder) -> bytes:
    options = TvmOptions("O3")
    tensor = {"name": "image", "shape": (1, 3, TINY_SIDE, TINY_SIDE), "dtype": "float32"}
    request = {
        "importer": Importer.ONNX.value,
        "model": str(save_classifier(folder / "net.onnx", TINY_SIDE)),
        "options": asdict(options),
        "passes": resolve_passes("O3", PassEdits()),
        "cpu": asdict(known_board(kind).cpu),
        "gpu": None,
        "input": tensor,
        "library": str(folder / "model.so"),
    }
    outcome = run_child("deltann.compile.task", request, deadline_s=300)
    assert outcome.cause is None, outcome.message
    return (folder / "model.so").read_bytes()


@pytest.mark.parametrize("kind", [board.name for board in KNOWN_BOARDS if board.name not in NOT_BUILT])
def test_a_library_for_a_board_is_of_its_machine(kind, tmp_path):
    if not importlib.util.find_spec("ziglang"):
        pytest.skip("ziglang is not installed")
    library = compile_for(kind, tmp_path)
    architecture = known_board(kind).cpu.triple.partition("-")[0]
    wide = library[4] == 2
    (kind_of_file, machine) = struct.unpack_from("<HH", library, 16)
    (flags,) = struct.unpack_from("<I", library, 48 if wide else 36)
    assert library[:4] == b"\x7fELF"
    assert kind_of_file == 3  # a shared library
    assert machine == MACHINES[architecture]
    assert wide == (architecture not in ("armv7l", "armv6l"))
    if architecture == "riscv64":
        assert flags & RISCV_FLOAT_ABI == RISCV_DOUBLE
    if machine == MACHINES["armv7l"]:
        assert flags & ARM_HARD_FLOAT
    assert b"__tvm_ffi" in library
