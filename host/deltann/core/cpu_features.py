"""CPU features that can make generated code unfit for a board: LLVM's names, and Linux's in /proc/cpuinfo."""

from collections.abc import Iterable, Mapping

_X86: dict[str, str] = {
    **{name: name for name in ("sse", "sse2", "ssse3", "sse4a", "avx", "avx2", "fma", "fma4", "xop", "f16c")},
    **{name: name for name in ("bmi2", "popcnt", "movbe", "gfni")},
    **{name: name for name in ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512ifma")},
    "sse3": "pni",
    "sse4.1": "sse4_1",
    "sse4.2": "sse4_2",
    "bmi": "bmi1",
    "lzcnt": "abm",
    "avx512vbmi": "avx512vbmi",
    "avx512vbmi2": "avx512_vbmi2",
    "avx512vnni": "avx512_vnni",
    "avx512bitalg": "avx512_bitalg",
    "avx512vpopcntdq": "avx512_vpopcntdq",
    "avx512bf16": "avx512_bf16",
    "avx512fp16": "avx512_fp16",
    "avxvnni": "avx_vnni",
}
_ARM64: dict[str, str] = {
    **{name: name for name in ("aes", "sha2", "i8mm", "bf16", "sve", "sve2")},
    "neon": "asimd",
    "fullfp16": "asimdhp",
    "dotprod": "asimddp",
    "lse": "atomics",
    "rdm": "asimdrdm",
    "crc": "crc32",
}
_ARM32: dict[str, str] = {
    "neon": "neon",
    "vfp2": "vfp",
    "vfp3": "vfpv3",
    "vfp4": "vfpv4",
    "hwdiv-arm": "idiva",
}
# RISC-V's `isa` line is one word of letters, no list of features to compare with.
_BY_ARCHITECTURE: dict[str, dict[str, str]] = {
    "x86_64": _X86,
    "aarch64": _ARM64,
    "armv7l": _ARM32,
    "armv6l": _ARM32,
}


def architecture_of(triple: str) -> str:
    """Return the part of a triple that uname also says: `x86_64`, `aarch64`, `armv7l`, `riscv64`."""
    return triple.partition("-")[0]


def linux_names(architecture: str) -> Mapping[str, str]:
    """Return Linux's name for each feature that boards of an architecture can tell of, by LLVM's name."""
    return _BY_ARCHITECTURE.get(architecture, {})


def linux_flags(architecture: str, features: Iterable[str]) -> tuple[str, ...]:
    """Return what /proc/cpuinfo must list for code with these features, sorted, as far as it can."""
    names = linux_names(architecture)
    return tuple(sorted(names[feature] for feature in features if feature in names))


def mask_features(architecture: str, implied: Iterable[str], flags: set[str]) -> tuple[str, ...]:
    """Return what a board's flags change about the features that the name of its CPU implies.

    Parameters
    ----------
    implied
        Features that LLVM expects of a CPU of that name.
    flags
        What Linux lists; empty where it lists nothing, which changes nothing.
    """
    if not flags:
        return ()
    expected = set(implied)
    return tuple(
        f"-{name}"
        for name, linux in sorted(linux_names(architecture).items())
        if name in expected and linux not in flags
    )
