"""The import of torchvision, which fails beside a PyTorch that its compiled operators were not built for.

A wheel of torchvision built for CUDA has operators that do not load beside a CPU build of PyTorch. It goes on
without them, and then fails at registering fakes for operators that nobody has defined; no classifier needs
them. Whatever imports torchvision (timm and onnx2torch do so too) must come here first.
"""

import contextlib
import sys
from types import ModuleType
from typing import Any

from deltann.zoo import packages

_FAKED = ("nms", "qnms")
_kept: list[Any] = []
"""The definitions: they are gone as soon as nobody refers to them."""


def import_torchvision() -> ModuleType:
    """Return torchvision, imported. Its detection operators are declared, not usable, where they do not load.

    Raises
    ------
    ImportError
        If torch or torchvision is not installed.
    """
    if "torchvision" not in sys.modules and not _kept and not _operators_load():
        _declare_operators()
    import torchvision

    module: ModuleType = torchvision
    return module


def _operators_load() -> bool:
    """Return whether torchvision's own operators can be loaded; then they are, as its import would do."""
    import torch

    folder = packages.package_folder("torchvision")
    for library in sorted(folder.glob("_C.*")) if folder else ():
        with contextlib.suppress(OSError):
            torch.ops.load_library(library)
            return True
    return False


def _declare_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for operator in _FAKED:
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(library)
