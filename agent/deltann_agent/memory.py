"""The memory of this process: given back, its peak, and how errors tell that there is no more."""

import contextlib
import ctypes
import gc
import re
from pathlib import Path

_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3  # of mallopt, in malloc.h
_LARGE_BYTES = 128 * 1024
# In the words of C++, Python and NumPy, of the runtimes, of CUDA and OpenCL, and of the C library, whose
# loader says the last also of something else.
_SHORTAGE = re.compile(
    r"\bbad_alloc\b|\bMemoryError\b|(failed|unable) to allocate|\bOOM when allocating|can't allocate memory"
    r"|out[ _]of[ _](host[ _])?memory|mem_object_allocation_failure"
    r"|cannot allocate memory(?! in static TLS)",
    re.IGNORECASE,
)


def give_back() -> None:
    """Return what has been freed to the system: glibc would keep it, and it counts as resident."""
    gc.collect()
    with contextlib.suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def tells_of_shortage(text: str) -> bool:
    """Return whether the text of an error says that memory could not be had."""
    return _SHORTAGE.search(text) is not None


def forget_peak() -> None:
    """Let the peak begin anew at the present size, where the kernel allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Return the largest resident size since the start or since `forget_peak`.

    Not getrusage's: that includes the program that this process was before it was replaced by exec.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def keep_heap_small() -> None:
    """Let all threads share one heap, and keep large blocks out of it: what is freed there stays resident.

    glibc by itself moves large blocks into the heap once the first was freed, so that an upload's chunks
    leave holes behind.
    """
    with contextlib.suppress(AttributeError):  # another C library
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, 1)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
