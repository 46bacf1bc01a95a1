"""Networks of torch packages: made, given a checkpoint, given seeded weights."""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltann.core.errors import ModelError
from deltann.core.model import Recipe
from deltann.core.words import enumerate_words
from deltann.zoo.torchvision_shim import import_torchvision

if TYPE_CHECKING:
    import torch

    from deltann.zoo.seeding import Dice

_WRAPPINGS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts keep the weights among other things."""
_PREFIX = "module."
_AUXILIARY = "AuxLogits."
_SHOWN = 3


def efficientnet_lite(number: int) -> "torch.nn.Module":
    """Return EfficientNet-Lite of a size, 0 to 4."""
    from efficientnet_lite_pytorch import EfficientNet

    # Not `from_pretrained`: that prints, and unpickles more than tensors.
    module: torch.nn.Module = EfficientNet.from_name(f"efficientnet-lite{number}")
    return module


def torchvision_network(name: str) -> "torch.nn.Module":
    """Return a classifier of torchvision, without what only training uses."""
    options: dict[str, Any] = {}
    if name == "inception_v3":
        # Its published weights were trained with Inception's own normalisation, which it then applies itself.
        options = {"transform_input": True, "aux_logits": False, "init_weights": False}
    module: torch.nn.Module = import_torchvision().models.get_model(name, weights=None, **options)
    return module


def timm_network(name: str) -> "torch.nn.Module":
    """Return a classifier of timm."""
    import_torchvision()
    import timm

    module: torch.nn.Module = timm.create_model(name, pretrained=False)
    return module


def load_checkpoint(module: "torch.nn.Module", path: Path) -> None:
    """Give a network the weights of a file, in place. Nothing but tensors is unpickled.

    Raises
    ------
    ModelError
        If the file holds no weights, or those of another network.
    """
    given = {key.removeprefix(_PREFIX): value for key, value in _read_state(path).items()}
    wanted = module.state_dict()
    if not any(key.startswith(_AUXILIARY) for key in wanted):
        given = {key: value for key, value in given.items() if not key.startswith(_AUXILIARY)}
    # Checkpoints of old versions do not count the batches, which nothing at inference uses.
    lacking = [key for key in wanted if key not in given and not key.endswith(".num_batches_tracked")]
    _refuse(path, "lacks", lacking)
    _refuse(path, "has more than the network:", [key for key in given if key not in wanted])
    _refuse(
        path,
        "has another shape of",
        [key for key, value in wanted.items() if key in given and given[key].shape != value.shape],
    )
    module.load_state_dict(given, strict=False)


def seed_weights(module: "torch.nn.Module", recipe: Recipe, seed: int) -> None:
    """Give a network random weights with settled batch-norm statistics, in place."""
    import torch

    from deltann.zoo.seeding import Dice, centred, settled

    dice = Dice(seed)
    module.double().eval()
    norms, classifier = _draw(module, dice)
    images = torch.from_numpy(dice.images(recipe))
    taken: list[Any] = []
    watch = classifier.register_forward_pre_hook(lambda _module, inputs: taken.append(inputs[0]))
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    with torch.inference_mode(), shifted_sums():
        module(images)
    watch.remove()
    module.float().eval()
    for norm in norms:
        norm.running_mean.copy_(torch.from_numpy(settled(norm.running_mean)))
        norm.running_var.copy_(torch.from_numpy(settled(norm.running_var)))
    kernel, bias = centred(taken[0].numpy(), classifier.weight.detach().double().numpy().T)
    with torch.no_grad():
        classifier.weight.copy_(torch.from_numpy(settled(kernel.T)))
        classifier.bias.copy_(torch.from_numpy(settled(bias)))


def _draw(module: "torch.nn.Module", dice: "Dice") -> tuple[list[Any], Any]:
    """Draw every parameter; return the batch normalisations and the last linear layer."""
    import torch

    norms: list[Any] = []
    classifier: Any = None
    with torch.no_grad():
        for part in module.modules():
            own = dict(part.named_parameters(recurse=False))
            if isinstance(part, torch.nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 the common base
                norms.append(part)
                draw = {"weight": dice.gamma, "bias": dice.bias}
                for name, tensor in own.items():
                    tensor.copy_(torch.from_numpy(draw[name](tensor.shape)))
                continue
            classifier = part if isinstance(part, torch.nn.Linear) else classifier
            for tensor in own.values():
                drawn = (
                    dice.kernel(tensor.shape, math.prod(tensor.shape[1:]))
                    if tensor.dim() > 1
                    else dice.bias(tensor.shape)
                )
                tensor.copy_(torch.from_numpy(drawn))
    return norms, classifier


def shifted_sums() -> "AbstractContextManager[Any]":
    """Have depthwise convolutions summed shift by shift: torch's own for float64 take ten times as long."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Mode(TorchFunctionMode):  # type: ignore[misc] # torch is not read by mypy
        def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function is torch.nn.functional.conv2d:
                return _convolve(function, *args, **(kwargs or {}))
            return function(*args, **(kwargs or {}))

    return Mode()


def _convolve(
    usual: Callable[..., Any],
    images: Any,
    kernel: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    from torch.nn.functional import pad

    depthwise = groups == images.shape[1] == kernel.shape[0] and kernel.shape[1] == 1
    pairs = [(value, value) if isinstance(value, int) else value for value in (stride, padding, dilation)]
    if not depthwise or bias is not None or pairs[2] != (1, 1) or isinstance(padding, str):
        return usual(images, kernel, bias, stride, padding, dilation, groups)
    (down, right), (top, left), _ = pairs
    framed = pad(images, (left, left, top, top))
    rows, columns = (
        (size - side) // step + 1
        for size, side, step in zip(framed.shape[2:], kernel.shape[2:], (down, right), strict=True)
    )
    total = images.new_zeros((*images.shape[:2], rows, columns))
    for row in range(kernel.shape[2]):
        for column in range(kernel.shape[3]):
            shifted = framed[:, :, row::down, column::right][:, :, :rows, :columns]
            total.addcmul_(shifted, kernel[:, 0, row, column].view(1, -1, 1, 1))
    return total


def _read_state(path: Path) -> Mapping[str, Any]:
    import pickle

    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        first = str(error).strip().splitlines()[0].rstrip(".")
        raise ModelError(
            f"the checkpoint {path} cannot be read as tensors: {first}",
            hint="Save it again with torch.save(module.state_dict(), path)",
        ) from error
    for key in _WRAPPINGS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ModelError(
            f"the checkpoint {path} holds no state dict",
            hint="Save it again with torch.save(module.state_dict(), path)",
        )
    return found


def _refuse(path: Path, how: str, keys: list[str]) -> None:
    if not keys:
        return
    shown = keys[:_SHOWN] + ([f"{len(keys) - _SHOWN} more"] if len(keys) > _SHOWN else [])
    raise ModelError(
        f"the checkpoint {path} is not of this network: it {how} {enumerate_words(shown)}",
        hint="Name the entry of the zoo that it was trained as",
    )
