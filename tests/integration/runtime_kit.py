"""A library run as on a board: by TVM's small runtime alone, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DEADLINE_S = 300.0

# No package of TVM: what a board has.
RUNNER = """
import ctypes, importlib.util, json, sys
from pathlib import Path
sys.modules["torch"] = None
import numpy as np
import tvm_ffi
folder = Path(importlib.util.find_spec("tvm").submodule_search_locations[0])
sys.modules["tvm"] = None
(library,) = folder.rglob("libtvm_runtime.so")
ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
machine = tvm_ffi.load_module(sys.argv[1])["vm_load_executable"]()
machine["vm_initialization"](1, 0, 2)
images, outputs = np.load(sys.argv[2]), []
# Kernels load whole vectors: TVM allows itself to expect inputs at multiples of 64 bytes.
buffer = np.empty(images[0].nbytes + 64, np.uint8)
place = -buffer.ctypes.data % 64
taken = buffer[place : place + images[0].nbytes].view(images.dtype).reshape(images[0].shape)
for image in images:
    taken[...] = image
    outputs.append(np.from_dlpack(machine["main"](tvm_ffi.from_dlpack(taken))).copy())
np.save(sys.argv[3], np.stack(outputs))
loaded = [name for name in sys.modules if name.startswith(("tvm.", "onnx"))]
print(json.dumps({"modules": loaded, "compiler": "libtvm_compiler" in Path("/proc/self/maps").read_text()}))
"""


def run_library(library: Path, images: NDArray[np.generic], folder: Path) -> NDArray[np.generic]:
    """Return the outputs of a library for each of the images; `folder` is for files in passing."""
    np.save(folder / "images.npy", images)
    files = [str(library), str(folder / "images.npy"), str(folder / "outputs.npy")]
    ended = subprocess.run(
        [sys.executable, "-c", RUNNER, *files],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {"modules": [], "compiler": False}
    return np.load(folder / "outputs.npy")
