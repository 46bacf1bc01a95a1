"""Torch's files: exported programs read without torch, pickles never run unless trusted."""

import json
import pickle
import subprocess
import sys
import zipfile

import pytest
from model_kit import NCHW, NHWC, refusal

from deltann.core.hashing import digest_file
from deltann.core.model import ModelKind
from deltann.core.request import ModelRequest
from deltann.models.header import Port
from deltann.models.source import open_model, read_header


def test_what_an_exported_program_declares(torch_files):
    header = read_header(torch_files / "net.pt2")
    assert (header.kind, header.framework, header.own_code) == (ModelKind.EXPORTED_PROGRAM, "torch", "")
    assert header.inputs == (Port("input", (1, 3, 8, 8), "float32"),)
    assert [port.dims for port in header.outputs] == [(1, 5)]
    source = open_model(ModelRequest(str(torch_files / "net.pt2"), NCHW))
    assert json.loads(source.loader)["kind"] == "exported_program"


def test_an_open_batch_needs_the_input_shape(torch_files):
    path = torch_files / "open.pt2"
    words = refusal(path, recipe=NCHW)
    assert "leaves dimension 0 (s" in words
    assert "open. Fix it in the study, for this recipe by input_shape: [1, 3, 8, 8]." in words
    assert open_model(ModelRequest(str(path), NCHW, input_shape=(1, 3, 8, 8))).recipe == NCHW


def test_one_of_several_outputs_is_named(torch_files):
    assert "the model has 2 outputs: " in refusal(torch_files / "two-outputs.pt2", recipe=NCHW)


def test_a_recipe_of_the_other_layout(torch_files):
    assert "Set the recipe's layout to NCHW." in refusal(torch_files / "net.pt2", recipe=NHWC)


def test_a_program_that_is_cut_short(torch_files, tmp_path):
    data = (torch_files / "net.pt2").read_bytes()
    path = tmp_path / "net.pt2"
    path.write_bytes(data[: len(data) // 2])
    assert "is not an exported program of torch but a zip archive, damaged" in refusal(path, recipe=NCHW)


def test_pickled_parts_of_a_program_are_code(torch_files, tmp_path):
    path = tmp_path / "net.pt2"
    with zipfile.ZipFile(torch_files / "net.pt2") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("weights_config.json"):
                data = data.replace(b'"use_pickle": false', b'"use_pickle": true', 1)
            new.writestr(name, data)
    assert "holds code of its own, pickles of 0.weight: loading it would run that" in refusal(
        path, recipe=NCHW
    )


@pytest.mark.parametrize("name", ["weights.pth", "wrapped.pth", "weights-old.pth"])
def test_weights_alone_are_no_network(torch_files, name):
    words = refusal(torch_files / name, recipe=NCHW)
    assert "holds weights alone, no network. Name the network, an entry of the zoo" in words


@pytest.mark.parametrize("name", ["whole.pt", "whole-old.pt"])
def test_a_pickled_module_is_refused_unless_trusted(torch_files, name):
    path = torch_files / name
    words = refusal(path, recipe=NCHW)
    assert f"{path} holds code of its own, a pickle of torch.nn.modules.container.Sequential" in words
    assert "loading it would run that. If you know where it comes from, say trust: true under model." in words


def test_a_pickle_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "was-run"), "w"))

    path = tmp_path / "net.pt"
    path.write_bytes(pickle.dumps(Evil()))
    assert "holds code of its own, a pickle of io.open" in refusal(path, recipe=NCHW).replace("_io", "io")
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("data", [b"\x80\x04]", b"\x80\x02\x8a\x0al\xfc\x9c"])
def test_a_pickle_that_is_cut_short(tmp_path, data):
    path = tmp_path / "net.pt"
    path.write_bytes(data)
    assert f"{path} is damaged: the pickle in it is not whole" in refusal(path, recipe=NCHW)


def test_torchscript_is_told(torch_files):
    words = refusal(torch_files / "script.pt", recipe=NCHW)
    assert "is TorchScript, which deltann does not read. Save the module with torch.export.save" in words


def test_a_trusted_pickle_is_loaded_and_tried(torch_files):
    path = torch_files / "whole.pt"
    source = open_model(ModelRequest(str(path), NCHW, trusted_code=torch_files))
    assert (source.name, source.kind) == ("whole", ModelKind.TORCH_PICKLE)
    assert len(source.digest) == 64
    assert "cannot be chosen" in refusal(path, recipe=NCHW, trusted_code=torch_files, output="scores")


def test_a_trusted_pickle_whose_classes_are_elsewhere(torch_files, tmp_path):
    words = refusal(torch_files / "own.pt", recipe=NCHW, trusted_code=tmp_path)
    assert "needs code that cannot be imported: ModuleNotFoundError: No module named 'nets'" in words


def test_a_module_is_refused_unless_trusted(torch_files):
    words = refusal("nets:net", module="nets:net", recipe=NCHW)
    assert "the module nets:net is code, and making it would run that" in words
    assert "trust: true" in words


def test_a_module_by_import_path(torch_files):
    source = open_model(ModelRequest("nets:net", NCHW, module="nets:net", trusted_code=torch_files))
    assert (source.name, source.kind, source.module) == ("net", ModelKind.TORCH_MODULE, "nets:net")
    assert len(source.digest) == 64


FUNCTIONS = ("net", "unseeded", "number", "broken", "Twins", "Map", "gone", "narrow")


@pytest.fixture(scope="module")
def tried(torch_files):
    """What a trial load says of each function: in one process, as torch takes seconds to import."""
    code = f"""
import json
from deltann.models.load_task import work

folder, said = {str(torch_files)!r}, {{}}
for name in {FUNCTIONS}:
    module = "nets:net" if name == "narrow" else f"nets:{{name}}"
    record = {{"zoo": None, "kind": "module", "path": "", "weights": "", "module": module, "code": folder}}
    request = {{"loader": json.dumps(record), "framework": "torch", "code": folder, "dtype": "float32"}}
    side = 2 if name == "narrow" else 8
    said[name] = work({{**request, "shape": (1, 3, side, side), "again": True}})
print(json.dumps(said))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_a_trial_load_tells_what_the_module_is_made_of(tried, torch_files):
    assert tried["net"]["dims"] == [1, 5]
    assert tried["net"]["code"] == {"nets.py": digest_file(torch_files / "nets.py")}
    assert len(tried["net"]["state"]) == 64
    assert tried["Map"]["dims"] == [1, 8, 8]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("unseeded", "the module has other weights each time it is made"),
        ("number", "what nets:number returns is no torch.nn.Module but of the class int"),
        ("broken", "nets:broken does not return a network: it raises RuntimeError: no weights here"),
        ("Twins", "the module returns a tuple of Tensor and Tensor, not one tensor"),
        ("gone", "nets:gone cannot be imported: AttributeError: module 'nets' has no attribute 'gone'"),
        ("narrow", "the module does not take (1, 3, 2, 2) float32: Calculated padded input size"),
    ],
)
def test_what_no_module_can_be(tried, function, words):
    assert words in tried[function]["refused"]["what"]
    assert tried[function]["refused"]["hint"]


def test_an_import_path_has_a_function(tmp_path):
    assert "'nets.net' is no import path of a function. Write package.module:function" in refusal(
        "nets.net", module="nets.net", recipe=NCHW, trusted_code=tmp_path
    )


def test_code_needs_a_recipe(tmp_path):
    assert "nets:net says nothing about how images become its input" in refusal(
        "nets:net", module="nets:net", trusted_code=tmp_path
    )
