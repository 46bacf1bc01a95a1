"""Writes small models of torch into a folder: `python torch_files.py FOLDER`."""

import sys
from pathlib import Path

import torch

NETS = """
import torch

def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 5)
    )

def unseeded():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 5))

def number():
    return 3

def broken():
    raise RuntimeError("no weights here")

class Twins(torch.nn.Module):
    def forward(self, image):
        return image.mean((2, 3)), image

class Map(torch.nn.Module):
    def forward(self, image):
        return image[:, 0]
"""


def main(folder: Path) -> None:
    (folder / "nets.py").write_text(NETS)
    sys.path.insert(0, str(folder))
    import nets

    net = nets.net().eval()
    image = torch.zeros(1, 3, 8, 8)
    torch.save(net, folder / "whole.pt")
    torch.save(nets.Twins(), folder / "own.pt")
    torch.save(net, folder / "whole-old.pt", _use_new_zipfile_serialization=False)
    torch.save(net.state_dict(), folder / "weights.pth")
    torch.save({"state_dict": net.state_dict(), "epoch": 3}, folder / "wrapped.pth")
    torch.save(net.state_dict(), folder / "weights-old.pth", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.trace(net, image), folder / "script.pt")
    torch.export.save(torch.export.export(net, (image,)), folder / "net.pt2")
    batch = torch.export.Dim("batch", min=1, max=16)
    program = torch.export.export(net, (torch.zeros(2, 3, 8, 8),), dynamic_shapes=({0: batch},))
    torch.export.save(program, folder / "open.pt2")
    torch.export.save(torch.export.export(nets.Twins(), (image,)), folder / "two-outputs.pt2")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
