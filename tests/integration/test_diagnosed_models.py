"""Real models on real photographs: the sentinel finds the recipe that each was trained with."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deltann.convert.hop import Limits
from deltann.convert.packages import versions_of
from deltann.convert.warm import warm_children
from deltann.core.diagnosis import Verdict
from deltann.core.hypotheses import Misreading, study_words, swap_colours
from deltann.core.recipes import NAMED_RECIPES
from deltann.core.request import DataRequest, ModelRequest
from deltann.models.images import find_images
from deltann.paths import cache_folder
from deltann.run.sentinel import DiagnosisRequest, diagnose, suspect_pair
from deltann.run.source_form import find_source, open_form
from deltann.zoo import ENTRIES, package_folder

LITE0 = ENTRIES["efficientnet_lite0"]
MISSING = (*LITE0.missing_packages(), *(name for name in ("foolbox",) if package_folder(name) is None))
needs_lite0 = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

DATA = Path(os.environ.get("DELTANN_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
PHOTOGRAPHS = DATA / "imagenet-sample"
MOBILENETS = {  # right answers of 250 as measured with the recipe of Coral's models, and as many outputs
    "mobilenet_v1_0.25_128_quant": 128,
    "mobilenet_v1_0.75_192_quant": 205,
}
LIMITS = Limits(deadline_s=300)


def quiet(_text):
    pass


def told(model, images="foolbox", **words):
    return diagnose(DiagnosisRequest(str(model), str(images), limits=LIMITS, **words), quiet)


@pytest.fixture(scope="module", autouse=True)
def one_import_of_each_framework():
    with warm_children():
        yield


@pytest.fixture(scope="module")
def lite0(tmp_path_factory):
    """EfficientNet-Lite0 as ONNX."""
    import torch

    from deltann.zoo import load_torch_module

    path = tmp_path_factory.mktemp("lite0") / "lite0.onnx"
    names = {"input_names": ["image"], "output_names": ["scores"]}
    module = load_torch_module(LITE0.name)
    torch.onnx.export(module, torch.zeros(1, 3, 224, 224), path, dynamo=False, opset_version=17, **names)
    return path


def rewired(path: Path, name: str, *, head=None, tail=None, outputs: int = 1000) -> Path:
    """Save a model with a node before its first, and one after its last: a fault that somebody built in."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    graph = model.graph
    if head is not None:
        for node in graph.node:
            node.input[:] = ["seen" if given == "image" else given for given in node.input]
        graph.node.insert(0, head)
    if tail is not None:
        for node in graph.node:
            node.output[:] = ["own" if taken == "scores" else taken for taken in node.output]
        graph.node.append(tail)
        graph.output[0].type.tensor_type.shape.dim[1].dim_value = outputs
    constants = {
        "reverse": np.array([2, 1, 0]),
        "roll": np.array([999, *range(999)]),
        "pads": np.array([0, 1, 0, 0]),
        "low": np.array(-50, np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in constants.items())
    made = path.with_name(f"{name}.onnx")
    onnx.save(model, made)
    return made


def node(kind, given, taken, **options):
    from onnx import helper

    return helper.make_node(kind, given, [taken], **options)


@needs_lite0
def test_the_declared_recipe_of_lite0_is_found_best():
    found = told(LITE0.name)
    assert found.verdict is Verdict.DECLARED, found.text
    assert found.images == 20
    assert found.declared is not None
    assert found.declared.right >= 17
    assert found.best.right - found.declared.right <= 1
    assert not found.softmax
    assert not any(item.better for item in found.explanations)


@needs_lite0
@pytest.mark.parametrize("declared", ["torchvision", "raw"])
def test_a_wrong_normalisation_is_named_and_the_right_one_suggested(declared):
    found = told(LITE0.name, recipe=NAMED_RECIPES[declared])
    assert found.verdict is Verdict.ANOTHER, found.text
    assert found.suggested is not None
    recipe = found.suggested.hypothesis.recipe
    assert recipe.colour == "rgb"
    assert np.allclose((*recipe.mean, *recipe.std), (*[127] * 3, *[128] * 3), atol=0.5), found.text


@needs_lite0
def test_swapped_colours_are_named():
    found = told(LITE0.name, recipe=swap_colours(LITE0.recipe))
    assert found.verdict in {Verdict.ANOTHER, Verdict.UNSURE}, found.text  # 20 photographs are few
    assert found.suggested is not None
    assert found.suggested.hypothesis.recipe == LITE0.recipe
    assert "with RGB, " in found.text


@needs_lite0
def test_a_file_of_which_nothing_is_declared(lite0):
    found = told(lite0)
    assert found.verdict is Verdict.UNDECLARED
    assert found.suggested is not None
    assert study_words(found.suggested.hypothesis.recipe) == {"name": "efficientnet_lite"}


@needs_lite0
@pytest.mark.parametrize(
    ("name", "tail", "outputs"),
    [
        ("background", ("Pad", ["own", "pads", "low"]), 1001),
        ("rolled", ("Gather", ["own", "roll"]), 1000),
    ],
)
def test_a_class_shift_is_named(lite0, name, tail, outputs):
    kind, given = tail
    options = {"axis": 1} if kind == "Gather" else {}
    shifted = rewired(lite0, name, tail=node(kind, given, "scores", **options), outputs=outputs)
    found = told(shifted, recipe=LITE0.recipe)
    assert found.verdict is Verdict.ANOTHER, found.text
    assert found.suggested is not None
    assert (found.suggested.hypothesis.recipe, found.suggested.offset) == (LITE0.recipe, 1)
    assert found.suggested.right >= 17
    assert found.declared is not None
    assert found.declared.right <= 1
    assert told(shifted, recipe=LITE0.recipe, offset=1).verdict is Verdict.DECLARED


@needs_lite0
def test_a_model_that_misreads_the_layout_is_named(lite0):
    from onnx import helper, load, numpy_helper, save

    # The bytes it gets are those of NHWC: it puts them where they belong. Fed rightly, it sees nonsense.
    model = load(lite0)
    for item in model.graph.node:
        item.input[:] = ["seen" if given == "image" else given for given in item.input]
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 224, 224, 3]), "nhwc"))
    model.graph.node.insert(0, helper.make_node("Transpose", ["as_nhwc"], ["seen"], perm=[0, 3, 1, 2]))
    model.graph.node.insert(0, helper.make_node("Reshape", ["image", "nhwc"], ["as_nhwc"]))
    made = lite0.with_name("misread.onnx")
    save(model, made)
    found = told(made, recipe=LITE0.recipe)
    assert found.verdict is Verdict.ANOTHER, found.text
    assert found.suggested is not None
    assert found.suggested.hypothesis.misreading is Misreading.LAYOUT
    assert "No recipe mends that" in found.text


@needs_lite0
def test_random_weights_explain_nothing():
    absent = ENTRIES["torchvision/mobilenet_v2"].missing_packages()
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")
    found = told("torchvision/mobilenet_v2", weights="seeded")
    assert found.verdict is Verdict.NOTHING, found.text


@needs_lite0
def test_a_pair_whose_one_side_swaps_colours_is_suspected(lite0):
    from deltann.convert.runners import run_form
    from deltann.run.hypotheses import Hypothesis, Prepared, fit_form

    swapped = rewired(lite0, "swapped", head=node("Gather", ["image", "reverse"], "seen", axis=1))
    images = find_images(DataRequest("foolbox"))
    forms = [
        open_form(find_source(ModelRequest(str(path))).model, cache_folder("forms"), LIMITS).form
        for path in (lite0, swapped)
    ]
    start = fit_form(LITE0.recipe, forms[0])
    tensors = Prepared(images, start).tensors(Hypothesis(start), slice(None))[np.newaxis]
    right, wrong = (run_form(form, tensors, cache_folder("form-runs"), LIMITS).outputs[0] for form in forms)
    found = suspect_pair(forms[1], images, LITE0.recipe, right, wrong, LIMITS, quiet)
    assert found is not None
    assert (found.hypothesis.recipe.colour, found.exact, found.left) == ("bgr", True, 0)
    assert found.differing >= 3
    assert "BGR" in str(found)
    assert suspect_pair(forms[0], images, LITE0.recipe, right, right, LIMITS, quiet) is None


@pytest.mark.parametrize("name", MOBILENETS)
def test_quantised_mobilenets_take_bytes_and_have_a_background_class(name):
    model = DATA / "models" / f"{name}.tflite"
    if not (model.is_file() and PHOTOGRAPHS.is_dir()):
        pytest.skip("no photographs and models to measure with; DELTANN_TEST_DATA names their folder")
    absent = [package for package, version in versions_of(("ai-edge-litert",)).items() if version is None]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")
    declared = NAMED_RECIPES["raw_uint8"]
    found = told(model, PHOTOGRAPHS, recipe=declared, offset=1)
    assert found.verdict is Verdict.DECLARED, found.text
    assert found.softmax
    assert found.declared is not None
    assert abs(found.declared.right - MOBILENETS[name]) <= 5
    found = told(model, PHOTOGRAPHS, recipe=replace(declared, colour="bgr"))
    assert found.verdict is Verdict.ANOTHER
    assert found.suggested is not None
    assert (found.suggested.hypothesis.recipe.colour, found.suggested.offset) == ("rgb", 1)
    assert "with RGB; class 0 at output 1, " in found.text
