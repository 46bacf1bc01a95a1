"""SavedModels and frozen graphs: read without TensorFlow."""

import shutil
import zipfile

import pytest
from model_kit import NHWC, refusal

from deltann.core.model import ModelKind
from deltann.core.request import ModelRequest
from deltann.models.header import Port
from deltann.models.messages import parse_graph
from deltann.models.source import open_model, read_header


def test_what_a_saved_model_declares(tensorflow_files):
    header = read_header(tensorflow_files / "saved")
    assert (header.kind, header.framework, header.signature) == ("saved_model", "tf", "serving_default")
    assert header.inputs == (Port("image", ("", 8, 8, 3), "float32"),)
    assert header.outputs == (Port("output_0", ("", 5), "float32"),)


def test_the_source_says_what_is_to_be_run(tensorflow_files):
    source = open_model(ModelRequest(str(tensorflow_files / "saved"), NHWC))
    assert (source.name, source.kind, source.input, source.output, source.signature, source.loader) == (
        "saved",
        ModelKind.SAVED_MODEL,
        "image",
        None,
        "serving_default",
        "",
    )


def test_a_zipped_saved_model_is_the_same_model(tensorflow_files, tmp_path):
    folder = tensorflow_files / "saved"
    path = tmp_path / "net.savedmodel.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder))
    zipped, plain = (open_model(ModelRequest(str(each), NHWC)) for each in (path, folder))
    assert (zipped.name, zipped.digest, zipped.kind) == ("net", plain.digest, plain.kind)


def test_weights_are_part_of_the_identity(tensorflow_files, tmp_path):
    folder = shutil.copytree(tensorflow_files / "saved", tmp_path / "net")
    before = read_header(folder).digest
    (folder / "fingerprint.pb").unlink()
    assert read_header(folder).digest == before
    (weights,) = (folder / "variables").glob("*.data*")
    weights.write_bytes(weights.read_bytes() + b"\0")
    assert read_header(folder).digest != before


def test_a_saved_model_without_signature(tensorflow_files):
    words = refusal(tensorflow_files / "no-signature", recipe=NHWC)
    assert "has no signature, so nothing says what its inputs and outputs are. Export it with one" in words


def test_the_output_chooses_among_signatures(tensorflow_files):
    path = tensorflow_files / "signatures"
    words = "has the signatures classify and embed, none is serving_default. Name under model an output"
    for output in (None, "shared"):
        assert words in refusal(path, recipe=NHWC, output=output)
    assert "the model has no output 'score'. Did you mean 'scores'?" in refusal(
        path, recipe=NHWC, output="score"
    )
    source = open_model(ModelRequest(str(path), NHWC, output="features"))
    assert (source.signature, source.output) == ("embed", "features")


def test_one_of_several_outputs_is_named(tensorflow_files):
    path = tensorflow_files / "saved-two-outputs"
    assert "the model has 2 outputs: output_0 and output_1. Name the one" in refusal(path, recipe=NHWC)
    assert open_model(ModelRequest(str(path), NHWC, output="output_1")).output == "output_1"


def test_several_inputs_are_refused(tensorflow_files):
    words = refusal(tensorflow_files / "saved-two-inputs", recipe=NHWC)
    assert "has 2 inputs: left and right. deltann feeds one image to one input" in words


def test_a_damaged_saved_model(tensorflow_files, tmp_path):
    folder = shutil.copytree(tensorflow_files / "saved", tmp_path / "net")
    graph = folder / "saved_model.pb"
    data = graph.read_bytes()
    graph.write_bytes(data[: len(data) // 2])
    assert "is damaged: its saved_model.pb cannot be read" in refusal(folder, recipe=NHWC)
    graph.write_bytes(data)
    shutil.rmtree(folder / "variables")
    assert "lacks its weights: there is no variables/variables.index" in refusal(folder, recipe=NHWC)
    assert f"is a part of a SavedModel. Give its folder: {folder}" in refusal(graph, recipe=NHWC)


def test_a_frozen_graph_with_several_of_them_needs_both_names(tensorflow_files, tmp_path):
    path = tensorflow_files / "frozen.pb"
    assert open_model(ModelRequest(str(path), recipe=NHWC)).output == "Identity", "there is one choice"
    graph = parse_graph(path.read_bytes())
    graph.node.add(name="other", op="Placeholder")
    graph.node.add(name="more", op="Relu", input=["x"])
    twofold = tmp_path / "twofold.pb"
    twofold.write_bytes(graph.SerializeToString())
    words = refusal(twofold, recipe=NHWC)
    assert f"the frozen graph {twofold} does not say what its input and output is" in words
    assert "its placeholders are x and other, its ends Identity and more" in words
    assert "does not say what its output is" in refusal(twofold, recipe=NHWC, input="x")
    for names in (("x", "Identity"), ("x:0", "Identity:0")):
        source = open_model(ModelRequest(str(path), NHWC, input=names[0], output=names[1]))
        assert (source.kind, source.input, source.output) == (ModelKind.FROZEN_GRAPH, *names)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("y", "Identity"), "has no 'y'. Known: x"),
        (("x", "Identty"), "has no 'Identty'. Did you mean 'Identity'?"),
    ],
)
def test_names_that_the_graph_has_not(tensorflow_files, names, words):
    assert words in refusal(tensorflow_files / "frozen.pb", recipe=NHWC, input=names[0], output=names[1])


def test_a_named_output_may_leave_other_inputs_unused(tensorflow_files):
    path = tensorflow_files / "placeholders.pb"
    assert "needs the inputs factor besides image. deltann feeds one image" in refusal(
        path, recipe=NHWC, input="image", output="joined"
    )
    # The placeholder has no shape, which only then matters.
    assert "has no declared number of dimensions" in refusal(path, recipe=NHWC, input="image", output="alone")


def test_a_graph_with_live_variables(tensorflow_files):
    words = refusal(tensorflow_files / "live.pb", recipe=NHWC, input="x", output="Identity")
    assert "is a graph whose weights are not frozen into it. Freeze it" in words


def test_a_truncated_frozen_graph(tensorflow_files, tmp_path):
    path = tmp_path / "frozen.pb"
    path.write_bytes((tensorflow_files / "frozen.pb").read_bytes()[:-50])
    assert "is not a frozen graph of TensorFlow but damaged, or of an unknown format" in refusal(
        path, recipe=NHWC
    )
