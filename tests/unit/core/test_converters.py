from itertools import pairwise, permutations

import pytest

from deltann.convert import packages as packages_module
from deltann.convert.hop import check_packages
from deltann.convert.packages import versions_of
from deltann.core.converters import CONVERTERS, HUB_OPSET, find_route, routes
from deltann.core.errors import MissingPackageError, StudyError
from deltann.core.framework import Framework

PAIRS = list(permutations(Framework, 2))
DIRECT = {
    ("torch", "onnx"): "torch-trace",
    ("torch", "tflite"): "litert-torch",
    ("onnx", "torch"): "onnx2torch",
    ("onnx", "keras"): "onnx2keras",
    ("onnx", "tf"): "onnx2keras",
    ("onnx", "tflite"): "onnx2keras",
    ("keras", "tf"): "keras-export",
    ("keras", "tflite"): "from-keras-model",
    ("keras", "onnx"): "tf2onnx",
    ("keras", "torch"): "keras-torch",
    ("tf", "keras"): "tfsm",
    ("tf", "tflite"): "from-saved-model",
    ("tf", "onnx"): "tf2onnx",
    ("tflite", "onnx"): "tf2onnx",
}


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_pair_has_a_route_of_at_most_two_hops(source, target):
    found = routes(source, target)
    assert found
    assert len(found[0].converters) == (1 if (source, target) in DIRECT else 2)
    for route in found:
        assert (route.source, route.target) == (source, target)
        assert all(a.target is b.source for a, b in pairwise(route.converters))
        visited = [source, *(converter.target for converter in route.converters)]
        assert len(set(visited)) == len(visited)


@pytest.mark.parametrize(("pair", "name"), DIRECT.items())
def test_direct_pairs_take_the_best_kept_converter(pair, name):
    (converter,) = routes(*map(Framework, pair))[0].converters
    assert converter.name == name


def test_routes_are_ordered_and_the_same_every_time():
    found = routes(Framework.TORCH, Framework.TFLITE)
    assert [str(route) for route in found] == [
        "torch -litert-torch-> tflite",
        "torch -torch-trace-> onnx -onnx2keras-> tflite",
        "torch -torch-dynamo-> onnx -onnx2keras-> tflite",
    ]
    assert routes(Framework.TORCH, Framework.TFLITE) == found
    assert len(routes(Framework.TORCH, Framework.TFLITE, 1)) == 1


def test_a_route_without_a_missing_converter_goes_round():
    (litert,) = (converter for converter in CONVERTERS if converter.name == "litert-torch")
    assert str(routes(Framework.TORCH, Framework.TFLITE, without=[litert])[0]) == (
        "torch -torch-trace-> onnx -onnx2keras-> tflite"
    )


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_no_route_takes_a_converter_at_fault_or_reads_layers_that_are_not_there(source, target):
    for route in routes(source, target, 99):
        assert not any(converter.fault for converter in route.converters)
        assert not any(a.serves and b.needs_layers for a, b in pairwise(route.converters))


def test_one_pair_has_one_converter_of_a_name():
    keys = [(converter.source, converter.target, converter.name) for converter in CONVERTERS]
    assert len(set(keys)) == len(keys)
    assert not {converter.name for converter in CONVERTERS} & set(Framework)


def test_every_sound_converter_to_onnx_but_one_writes_the_hub():
    opsets = {
        converter.name: dict(converter.options)["opset"]
        for converter in CONVERTERS
        if converter.target is Framework.ONNX and not converter.fault
    }
    assert opsets == {"torch-trace": HUB_OPSET, "tf2onnx": HUB_OPSET, "torch-dynamo": 20}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["keras", "onnx", "torch"], "keras -tf2onnx-> onnx -onnx2torch-> torch"),
        (["keras", "tf2onnx", "onnx", "onnx2torch", "torch"], "keras -tf2onnx-> onnx -onnx2torch-> torch"),
        (["torch", "torch-dynamo", "onnx", "tf"], "torch -torch-dynamo-> onnx -onnx2keras-> tf"),
        (["keras", "from-concrete-functions", "tflite"], "keras -from-concrete-functions-> tflite"),
        (["torch", "onnx", "torch"], "torch -torch-trace-> onnx -onnx2torch-> torch"),
    ],
)
def test_words_spell_a_route(words, text):
    assert str(find_route(words)) == text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the route is empty"),
        (["keras"], "does not begin and end with a framework"),
        (["tf2onnx", "onnx"], "does not begin and end with a framework"),
        (["kears", "onnx"], "'kears' in the route is neither.*Did you mean 'keras'"),
        (["keras", "tf2onx", "onnx"], "'tf2onx' in the route is neither.*Did you mean 'tf2onnx'"),
        (["torch", "keras"], "no converter goes from torch to keras in one hop. Go by torch,onnx,keras"),
        (["onnx", "onnx"], "no converter goes from onnx to onnx"),
        (["keras", "onnx2torch", "onnx"], "onnx2torch does not go from keras to onnx. .*tf2onnx"),
        (["keras", "tf2onnx", "tfsm", "onnx"], "names tf2onnx and tfsm between keras and onnx"),
    ],
)
def test_bad_words_are_told(words, message):
    with pytest.raises(StudyError, match=message):
        find_route(words)


def test_a_missing_package_is_told_with_the_commands(monkeypatch):
    monkeypatch.setattr(packages_module, "_version", lambda name: None if "keras" in name else "1")
    (converter,) = routes(Framework.ONNX, Framework.TF, 1)[0].converters
    with pytest.raises(MissingPackageError) as raised:
        check_packages(converter)
    assert str(raised.value) == (
        "the converter onnx2keras needs onnx2keras and keras. Run: pip install 'deltann[tensorflow]' && "
        "pip install --no-deps onnx2keras==0.0.25."
    )


def test_either_package_of_tensorflow_will_do(monkeypatch):
    monkeypatch.setattr(packages_module, "_version", {"tensorflow-cpu": "2.21.0", "keras": None}.get)
    assert versions_of(["tensorflow", "keras"]) == {"tensorflow": "2.21.0", "keras": None}


def test_another_python_that_is_none_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("DELTANN_PYTHON_LITERT", str(tmp_path / "python"))
    with pytest.raises(MissingPackageError, match=r"DELTANN_PYTHON_LITERT names .*python, which is no file"):
        versions_of(["litert-torch"], "litert")
    (tmp_path / "python").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(MissingPackageError, match="does not answer as a Python interpreter"):
        versions_of(["litert-torch"], "litert")
