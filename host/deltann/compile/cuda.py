"""CUDA: from the source that TVM generates to PTX, on a machine that needs neither a GPU nor a toolkit.

Left to itself, TVM stores the source, and the board would have to compile it. NVIDIA's run-time compiler
comes as a package, and compiles for every GPU; the driver of the board makes machine code of its PTX.
"""

import ctypes
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deltann.core.errors import CompileError
from deltann.core.gpu import NVRTC_LIBRARY

_OK = 0
_BUILTINS = "libnvrtc-builtins.so.*"


def to_ptx(source: str, arch: str, *, fast_math: bool) -> str:
    """Return the PTX of a CUDA source, for GPUs of this architecture and later ones.

    Parameters
    ----------
    arch
        As TVM names it, e.g. `sm_87`.
    fast_math
        Whether division, square root and the elementary functions may be approximated, multiplications
        and additions joined being always allowed, and small numbers be flushed to zero.

    Raises
    ------
    CompileError
        If the compiler refuses the source or the architecture, with its words.
    ImportError
        If the compiler is not installed.
    """
    folder = _toolkit()
    options = [
        f"--gpu-architecture=compute_{arch.removeprefix('sm_')}",
        "--std=c++17",
        *(("--use_fast_math",) if fast_math else ()),
        *(f"--include-path={path}" for path in (folder / "include", folder / "include" / "cccl")),
    ]
    return _Compiler(folder / "lib" / NVRTC_LIBRARY).compile(source, options)


def make_tvm_store_ptx(arch: str, *, fast_math: bool) -> None:
    """Have TVM store PTX in what it builds in this process, instead of source; see `to_ptx`."""
    import tvm_ffi

    def compile_kernels(source: str, _target: Any) -> str:
        return to_ptx(source, arch, fast_math=fast_math)

    tvm_ffi.register_global_func("tvm_callback_cuda_postproc", compile_kernels, override=True)


def _toolkit() -> Path:
    """Return the folder in which NVIDIA's packages put headers and libraries."""
    found = importlib.util.find_spec("nvidia")
    for folder in found.submodule_search_locations or () if found else ():
        if (Path(folder) / "cu13" / "lib" / NVRTC_LIBRARY).is_file():
            return Path(folder) / "cu13"
    raise ModuleNotFoundError("no compiler for CUDA. Run: pip install 'deltann[cuda]'")


class _Compiler:
    """NVRTC, through its C interface."""

    def __init__(self, library: Path) -> None:
        # Asked for by name while compiling, and found only if it is there already.
        for builtins in library.parent.glob(_BUILTINS):
            ctypes.CDLL(str(builtins))
        self._library = ctypes.CDLL(str(library))
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p

    def compile(self, source: str, options: Sequence[str]) -> str:
        program = ctypes.c_void_p()
        self._call("nvrtcCreateProgram", ctypes.byref(program), source.encode(), b"model.cu", 0, None, None)
        try:
            words = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
            code = self._library.nvrtcCompileProgram(program, len(options), words)
            if code != _OK:
                raise CompileError(f"CUDA's compiler refuses it: {self._complaint(program, code)}")
            return self._text(program, "PTX")
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))

    def _complaint(self, program: ctypes.c_void_p, code: int) -> str:
        log = self._text(program, "ProgramLog")
        first = re.search(r"^.*\berror\b.*$", log, re.MULTILINE)
        return first[0].strip() if first else self._words(code)

    def _text(self, program: ctypes.c_void_p, what: str) -> str:
        size = ctypes.c_size_t()
        self._call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self._call(f"nvrtcGet{what}", program, buffer)
        return buffer.value.decode(errors="replace")

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code != _OK:
            raise CompileError(f"CUDA's compiler fails in {name}: {self._words(code)}")

    def _words(self, code: int) -> str:
        return str(self._library.nvrtcGetErrorString(code).decode())
