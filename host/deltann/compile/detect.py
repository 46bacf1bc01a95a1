"""Child process that asks LLVM for the CPU of this machine."""

import platform
import sys
from typing import Any

from deltann.child import serve


def detect(_request: None) -> dict[str, Any]:
    """Return LLVM's name of the CPU, the triple, and the features that the name implies."""
    sys.modules["torch"] = None  # type: ignore[assignment]  # TVM would load it, for nothing
    import tvm
    from tvm.target import codegen

    mcpu = str(codegen.llvm_get_system_cpu())
    # LLVM's own triple names the vendor it was built by; only Linux has boards.
    linux = platform.system() == "Linux"
    triple = f"{platform.machine()}-linux-gnu" if linux else str(codegen.llvm_get_system_triple())
    target = tvm.target.Target({"kind": "llvm", "mtriple": triple, "mcpu": mcpu})
    features = sorted(str(name) for name in codegen.llvm_get_cpu_features(target))
    return {"mcpu": mcpu, "triple": triple, "features": features}


if __name__ == "__main__":
    serve(detect)
