from dataclasses import replace
from itertools import product
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltann.core.comparison import Thresholds
from deltann.core.errors import ModelError, StudyError
from deltann.core.factors import (
    TVM_IMPORTERS,
    Binding,
    Device,
    Importer,
    OrtGraph,
    Quantisation,
    Runtime,
    TfliteKernels,
    TorchMode,
)
from deltann.core.model import LabelSpace
from deltann.core.passes import LEVELS, PASSES
from deltann.core.recipes import NAMED_RECIPES
from deltann.core.request import DataRequest, ModelRequest, RouteRequest
from deltann.core.trial import TimingProtocol
from deltann.core.variant import PassEdits
from deltann.study.study import BuildLimits, FactorValues, Study, load_study, study_from_options, why_unfit
from deltann.study.text import to_yaml

LEAST = "schema: 1\nmodel: efficientnet_lite0\ndata: foolbox\n"

FULL = """
schema: 1
name: everything
model:
  path: net.onnx
  recipe: {name: torchvision, size: 299}
  labels: {offset: 1, names: names.txt}
  input_shape: [1, 3, 299, 299]
  output: logits
data: {images: photos, labels: truth.csv, limit: 100}
factors:
  runtime: [tvm, onnxruntime]
  importer: onnx
  level: [O1, O3]
  passes: [{}, {drop: [FuseTIR, FuseOps]}]
  llvm_opt: [2, 3]
  mcpu: [detected, x86-64-v3]
  mattr: [[], [-fma]]
  fast_math: [false, true]
  batch: [1, 8]
  threads: 2
  binding: [none, cores]
boards: [local]
protocol: {warmup_runs: 3, rounds: 2, deadline: 10 min, memory_limit: 2 GiB, kernels: true}
attempts: 3
build: {deadline: 90 s, memory_limit: 4 GiB}
compare: {near_tie_factor: 3, significance: 1 %, min_effect: 5 %}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "my study.yaml"
    path.write_text(dedent(text))
    return path


def failure(folder: Path, text: str) -> StudyError:
    with pytest.raises(StudyError) as caught:
        load_study(write(folder, text))
    return caught.value


def test_defaults(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, LEAST))
    assert study.name == "my-study"
    assert study.model == ModelRequest("efficientnet_lite0", where=f"{study.path}:2")
    assert study.data == DataRequest("foolbox", where=f"{study.path}:3")
    assert study.factors == FactorValues(
        runtime=(Runtime.TVM, Runtime.ONNXRUNTIME),
        importer=(Importer.ONNX,),
        route=(RouteRequest(("usual",)),),
        quantisation=(Quantisation.NONE,),
        engine=("own",),
        device=(Device.CPU,),
        level=("O3",),
        passes=(PassEdits(),),
        llvm_opt=(3,),
        mcpu=("detected",),
        mattr=((),),
        fast_math=(False,),
        ort_graph=(OrtGraph.ALL,),
        tflite_kernels=(TfliteKernels.DEFAULT,),
        torch_mode=(TorchMode.EXPORTED,),
        batch=(1,),
        threads=None,
        binding=(Binding.NONE,),
    )
    assert study.boards == ("local",)
    assert study.protocol == TimingProtocol()
    assert study.max_attempts == 2
    assert study.build == BuildLimits()
    assert study.thresholds == Thresholds()
    assert study.text == LEAST


def test_everything(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("tench\ngoldfish\n")
    (tmp_path / "photos").mkdir()
    study = load_study(write(tmp_path, FULL))
    assert study.name == "everything"
    assert study.model == ModelRequest(
        str(tmp_path / "net.onnx"),
        replace(NAMED_RECIPES["torchvision"], size=299),
        LabelSpace(1, ("tench", "goldfish")),
        (1, 3, 299, 299),
        "logits",
        f"{study.path}:5",
    )
    assert study.data == DataRequest(
        str(tmp_path / "photos"), tmp_path / "truth.csv", 100, f"{study.path}:10"
    )
    assert study.factors.passes == (PassEdits(), PassEdits(("FuseOps", "FuseTIR")))
    assert study.factors.mattr == ((), ("-fma",))
    assert study.factors.batch == (1, 8)
    assert study.factors.threads == (2,)
    assert study.factors.binding == (Binding.NONE, Binding.CORES)
    assert study.protocol == TimingProtocol(3, 2, 600.0, 2**31, kernels=True)
    assert study.build == BuildLimits(90.0, 2**32)
    assert study.thresholds == Thresholds(3.0, 0.01, 0.05)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("-fma", (("-fma",),)),
        ("[-fma, +avx2]", (("-fma", "+avx2"),)),
        ("[[], [-fma]]", ((), ("-fma",))),
        ("[[], -fma]", ((), ("-fma",))),
    ],
)
def test_flags_of_one_value_need_no_second_list(
    tmp_path: Path, written: str, expected: tuple[tuple[str, ...], ...]
) -> None:
    study = load_study(write(tmp_path, LEAST + f"factors: {{mattr: {written}}}"))
    assert study.factors.mattr == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("usual", [("usual",)]),
        ("[usual, all]", [("usual",), ("all",)]),
        ("[keras, onnx, torch]", [("keras", "onnx", "torch")]),
        ("[usual, [keras, tf2onnx, onnx]]", [("usual",), ("keras", "tf2onnx", "onnx")]),
        ("[[keras, onnx], [keras, tf]]", [("keras", "onnx"), ("keras", "tf")]),
    ],
)
def test_one_route_needs_no_second_list(
    tmp_path: Path, written: str, expected: list[tuple[str, ...]]
) -> None:
    study = load_study(write(tmp_path, LEAST + f"factors: {{route: {written}}}"))
    assert [route.words for route in study.factors.route] == expected


def test_word_for_a_model_is_a_path_where_there_is_such_a_file(tmp_path: Path) -> None:
    (tmp_path / "net").touch()
    text = "schema: 1\ndata: foolbox\nmodel: {}\n"
    for word, expected in [
        ("net", str(tmp_path / "net")),
        ("lite", "lite"),
        ("./lite", str(tmp_path / "lite")),
        ("other.onnx", str(tmp_path / "other.onnx")),
    ]:
        assert load_study(write(tmp_path, text.format(word))).model.name_or_path == expected


@pytest.mark.parametrize(
    ("text", "line", "what", "hint"),
    [
        (LEAST + "factor: {}", 4, "unknown key 'factor'", "'factors'"),
        (LEAST + "factors:\n  levels: [O1]", 5, "unknown factor 'levels'", "'level'"),
        (LEAST + "factors:\n  level:\n    - O1\n    - O33", 7, "unknown level 'O33'", "'O3'"),
        (LEAST + "factors:\n  runtime: TVN", 5, "unknown runtime 'TVN'", "Did you mean 'tvm'?"),
        (LEAST + "factors:\n  runtime: [tvm,\n    onnx]", 6, "unknown runtime 'onnx'", "onnxruntime"),
        (LEAST + "factors:\n  importer: onx", 5, "unknown importer 'onx'", "'onnx'"),
        (LEAST + "factors:\n  importer: tf", 5, "unknown importer 'tf'", "'tflite'"),
        (LEAST + "factors:\n  route: [keras, onyx]", 5, "'onyx' in the route is neither", "'onnx'"),
        (
            LEAST + "factors:\n  route:\n  - usual\n  - [torch, keras]",
            7,
            "no converter goes from torch",
            "torch,onnx",
        ),
        (LEAST + "factors:\n  route: [[usual, torch]]", 5, "'usual' in the route is neither", "torch"),
        (LEAST + "factors:\n  route: []", 5, "the list is empty", "at least one"),
        (LEAST + "factors:\n  route: 7", 5, "7 is not right for 'route'", "string"),
        (LEAST + "factors:\n  torch_mode: jit", 5, "unknown mode 'jit'", "exported"),
        (LEAST + "factors:\n  quantisation: int8", 5, "unknown quantisation 'int8'", "'int8_tensor'"),
        (LEAST + "factors:\n  engine: ../x", 5, "'../x' names no engine", "'own'"),
        (LEAST + "factors:\n  binding: core", 5, "unknown binding 'core'", "'cores'"),
        (LEAST + "factors:\n  passes:\n  - drop: [FuseOp]", 6, "unknown pass 'FuseOp'", "'FuseOps'"),
        (LEAST + "factors:\n  passes: [{drops: FuseOps}]", 5, "unknown key 'drops'", "'drop'"),
        (LEAST + "factors:\n  level: [O1, O3, O1]", 5, "'O1' is given twice", "Keep one"),
        (LEAST + "factors:\n  passes: [{},\n    {}]", 6, "this value is given twice", "Keep one"),
        (LEAST + "factors:\n  mattr: [[-fma], [-fma]]", 5, "this value is given twice", "Keep one"),
        (LEAST + "factors:\n  level: []", 5, "the list is empty", "at least one"),
        (LEAST + "factors:\n  mattr: []", 5, "the list is empty", "at least one"),
        (LEAST + "factors:\n  level:", 5, "'level' has no value", "remove the key"),
        (LEAST + "factors:\n", 4, "'factors' has no value", "remove the key"),
        (LEAST + "factors: [O1]", 4, "'factors' is no mapping", "keys and values"),
        (LEAST + "factors:\n  level: O0\n  passes: {drop: FuseOps}", 6, "fit none of the levels O0", ""),
        (LEAST + "factors: {llvm_opt: 4}", 4, "4 is not right for 'llvm_opt'", "less than or equal to 3"),
        (LEAST + "factors: {batch: 0}", 4, "0 is not right for 'batch'", "greater than or equal to 1"),
        (
            LEAST + "factors: {batch: [1, 1025]}",
            4,
            "1025 is not right for 'batch'",
            "less than or equal to 1024",
        ),
        (LEAST + "factors: {batch: 1.5}", 4, "1.5 is not right for 'batch'", "integer"),
        (LEAST + "factors: {batch: [4, 4]}", 4, "'4' is given twice", "Keep one"),
        (LEAST + "factors: {threads: 0}", 4, "0 is not right for 'threads'", "greater than or equal to 1"),
        (LEAST + "factors: {threads: two}", 4, "'two' is not right for 'threads'", "integer"),
        (LEAST + "factors: {fast_math: on}", 4, "'on' is not right for 'fast_math'", "boolean"),
        (LEAST + "factors: {mcpu: native}", 4, "'native' names no CPU", "'detected'"),
        (LEAST + "factors: {mcpu: a b}", 4, "'a b' names no CPU", "LLVM"),
        (LEAST + "factors: {mattr: fma}", 4, "'fma' is no CPU feature", "-fma"),
        (LEAST + "boards:\n- local\n- pi", 6, "unknown board 'pi'", "local"),
        (LEAST + "boards:\n- local\n- local", 6, "two boards are named 'local'", "once"),
        (LEAST + "protocol:\n  deadline: soon", 5, "'soon' is not a duration", "10 min"),
        (LEAST + "protocol:\n  memory_limit: 2 gigs", 5, "'2 gigs' is not a size", "2 GiB"),
        (LEAST + "protocol: {rounds: 0}", 4, "0 is not right for 'rounds'", "greater"),
        (LEAST + "protocol: {kernels: 1}", 4, "1 is not right for 'kernels'", "boolean"),
        (LEAST + "build: {deadline: -1}", 4, "-1 is not a duration", "600"),
        (LEAST + "compare:\n  min_effect: 200 %", 5, "'200 %' is not a share", "2 %"),
        (LEAST + "compare: {near_tie_factor: -1}", 4, "-1 is not right for 'near_tie_factor'", "greater"),
        (LEAST + "attempts: 0", 4, "0 is not right for 'attempts'", "greater"),
        (LEAST + "name: a/b", 4, "'a/b' cannot name a folder", "letters"),
        (LEAST + "name: 5", 4, "5 is not right for 'name'", "string"),
        (LEAST + "model: x", 4, "the key 'model' is given twice, first on line 2", "Keep one"),
        ("schema: 2\nmodel: m\ndata: d", 1, "schema 2 cannot be read", "schema 1"),
        ("model: m\ndata: d", 1, "the key 'schema' is missing", "Add schema"),
        ("schema: 1\ndata: d", 1, "the key 'model' is missing", "Add model"),
        ("schema: 1\nmodel: m", 1, "the key 'data' is missing", "Add data"),
        ("schema: 1\ndata: d\nmodel: {output: x}", 3, "the model is not one thing", "path"),
        ("schema: 1\ndata: d\nmodel: {path: x, name: y}", 3, "the model is not one thing", "path"),
        ("schema: 1\ndata: d\nmodel:\n  path: x\n  labels: {names: [1]}", 5, "class names", "one name"),
        (
            "schema: 1\ndata: d\nmodel:\n  path: x\n  labels:\n    names: no.txt",
            6,
            "No such file",
            "one name",
        ),
        (
            "schema: 1\ndata: d\nmodel:\n  path: x\n  input_shape: [1, -3]",
            5,
            "-3 is not right for 'input_shape'",
            "",
        ),
        ("schema: 1\nmodel: m\ndata:\n  images: d\n  limit: 0", 5, "0 is not right for 'limit'", "greater"),
        ("schema: 1\nmodel: m\ndata:\n  limit: 1", 3, "the key 'images' is missing", "Add images"),
        ("- schema: 1", 1, "'study' is no mapping", "keys and values"),
    ],
)
def test_bad_input(tmp_path: Path, text: str, line: int, what: str, hint: str) -> None:
    error = failure(tmp_path, text)
    assert error.where == f"{tmp_path / 'my study.yaml'}:{line}"
    assert what in error.what
    assert hint in (error.hint or "")


def test_bad_recipe_is_a_model_error_with_its_place(tmp_path: Path) -> None:
    text = "schema: 1\ndata: d\nmodel:\n  path: x.onnx\n  recipe: torchvison\n"
    with pytest.raises(ModelError, match="torchvison") as caught:
        load_study(write(tmp_path, text))
    assert caught.value.where == f"{tmp_path / 'my study.yaml'}:5"
    assert "torchvision" in (caught.value.hint or "")


def test_all_errors_are_named_together(tmp_path: Path) -> None:
    error = failure(tmp_path, LEAST + "attempts: 0\nfactors:\n  level: O9\nzzz: 1\n")
    assert "2 more" in (error.hint or "")
    text = str(error)
    assert all(f"yaml:{line}" in text for line in (4, 6, 7))
    assert all(word in text for word in ("'attempts'", "'O9'", "'zzz'"))


def test_an_edit_may_miss_some_of_the_levels(tmp_path: Path) -> None:
    study = load_study(write(tmp_path, LEAST + "factors: {level: [O0, O1], passes: {drop: FuseTIR}}"))
    assert study.factors.passes == (PassEdits(("FuseTIR",)),)


def test_options() -> None:
    study = study_from_options(
        "efficientnet_lite0",
        "foolbox",
        levels=["O0", "O3"],
        runtimes=["tvm"],
        importers=["torch"],
        batches=[1, 8],
        threads=[1, 2],
        recipe="torchvision",
        limit=7,
        rounds=4,
    )
    assert study.name == "efficientnet_lite0"
    assert study.model.recipe == NAMED_RECIPES["torchvision"]
    assert study.data == DataRequest("foolbox", limit=7, where="--images")
    assert study.factors.level == ("O0", "O3")
    assert study.factors.runtime == (Runtime.TVM,)
    assert study.factors.importer == (Importer.TORCH,)
    assert study.factors.batch == (1, 8)
    assert study.factors.threads == (1, 2)
    assert study.protocol.rounds == 4


def test_options_left_out_have_the_defaults_of_the_file(tmp_path: Path) -> None:
    from_file = load_study(write(tmp_path, LEAST))
    from_options = study_from_options("efficientnet_lite0", "foolbox")
    assert from_options.factors == from_file.factors
    assert from_options.protocol == from_file.protocol


def test_folder_of_images_needs_no_slash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    assert study_from_options("m", "photos").data.images == str(tmp_path / "photos")


@pytest.mark.parametrize(
    ("options", "where", "what"),
    [
        ({"levels": ["O9"]}, "--levels", "unknown level 'O9'"),
        ({"runtimes": ["tvn"]}, "--runtimes", "unknown runtime 'tvn'"),
        ({"importers": ["onxx"]}, "--importers", "unknown importer 'onxx'"),
        ({"batches": [0]}, "--batch", "0 is not right for 'batch'"),
        ({"threads": [0]}, "--threads", "0 is not right for 'threads'"),
        ({"limit": 0}, "--limit", "0 is not right for 'limit'"),
        ({"rounds": 0}, "--rounds", "0 is not right for 'rounds'"),
        ({"boards": ["pi"]}, "--boards", "unknown board 'pi'"),
        ({"recipe": "nonesuch"}, "--recipe", "nonesuch"),
    ],
)
def test_bad_options(options: dict[str, object], where: str, what: str) -> None:
    with pytest.raises((StudyError, ModelError)) as caught:
        study_from_options("m", "foolbox", **options)
    assert caught.value.where == where
    assert what in caught.value.what


def some(values: st.SearchStrategy, **bounds: int) -> st.SearchStrategy:
    return st.lists(values, min_size=1, unique=True, **bounds).map(tuple)


WORD = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=8
)
FLAGS = st.lists(st.builds("{}{}".format, st.sampled_from("+-"), WORD), max_size=3, unique=True).map(tuple)
NAMES = st.lists(st.sampled_from(sorted(PASSES)), max_size=3, unique=True)
EDITS = st.builds(PassEdits, drop=NAMES.map(sorted).map(tuple), add=NAMES.map(sorted).map(tuple))
DURATION = st.floats(1e-3, 1e6) | st.integers(1, 10**6).map(float)
SIZE = st.integers(0, 2**45)
SHARE = st.floats(0, 1)


def fits_a_level(factors: FactorValues) -> bool:
    places = list(product(factors.level, factors.device))
    return all(
        any(not why_unfit(level, edits, device) for level, device in places) for edits in factors.passes
    )


ROUTES = [
    RouteRequest(words)
    for words in (
        ("usual",),
        ("all",),
        ("keras", "onnx"),
        ("keras", "tf2onnx", "onnx", "onnx2torch", "torch"),
    )
]
FACTORS = st.builds(
    FactorValues,
    runtime=some(st.sampled_from(Runtime)),
    importer=some(st.sampled_from(TVM_IMPORTERS)),
    route=some(st.sampled_from(ROUTES), max_size=3),
    quantisation=some(st.sampled_from(Quantisation)),
    engine=some(WORD, max_size=2),
    device=some(st.sampled_from(Device)),
    level=some(st.sampled_from(sorted(LEVELS))),
    passes=st.just((PassEdits(),)) | some(EDITS, max_size=2),
    llvm_opt=some(st.integers(0, 3)),
    mcpu=some(WORD.filter(lambda name: name != "native"), max_size=3),
    mattr=some(FLAGS, max_size=3),
    fast_math=some(st.booleans()),
    ort_graph=some(st.sampled_from(OrtGraph)),
    tflite_kernels=some(st.sampled_from(TfliteKernels)),
    torch_mode=some(st.sampled_from(TorchMode)),
    batch=some(st.integers(1, 1024), max_size=3),
    threads=st.none() | some(st.integers(1, 64), max_size=3),
    binding=some(st.sampled_from(Binding)),
).filter(fits_a_level)

STUDIES = st.builds(
    Study,
    name=WORD,
    model=st.builds(
        ModelRequest,
        name_or_path=WORD | WORD.map("/nowhere/{}.onnx".format),
        recipe=st.none() | st.sampled_from(sorted(NAMED_RECIPES.values(), key=str)),
        labels=st.none() | st.builds(LabelSpace, st.integers(0, 3), st.lists(TEXT, max_size=3).map(tuple)),
        input_shape=st.none() | st.lists(st.integers(1, 999), min_size=1, max_size=4).map(tuple),
        output=st.none() | TEXT,
        where=st.none(),
    ),
    data=st.builds(
        DataRequest,
        images=WORD | WORD.map("/nowhere/{}".format),
        labels=st.none() | WORD.map(lambda name: Path("/nowhere") / name),
        calibration=st.none() | WORD.map("/nowhere/{}".format),
        limit=st.none() | st.integers(1, 10**6),
        where=st.none(),
    ),
    factors=FACTORS,
    boards=some(WORD, max_size=3),
    protocol=st.builds(
        TimingProtocol, st.integers(0, 99), st.integers(1, 99), DURATION, SIZE, kernels=st.booleans()
    ),
    max_attempts=st.integers(1, 9),
    build=st.builds(BuildLimits, DURATION, SIZE),
    thresholds=st.builds(Thresholds, st.floats(0, 100), SHARE, SHARE),
    text=st.just(""),
    path=st.none(),
)


@given(STUDIES)
def test_a_study_written_and_read_is_the_same(tmp_path_factory: pytest.TempPathFactory, study: Study) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip.yaml"
    path.write_text(to_yaml(study), encoding="utf-8")
    read = load_study(path, known_boards=lambda: study.boards)
    unplaced = replace(read, model=replace(read.model, where=None), data=replace(read.data, where=None))
    assert unplaced == study


def test_options_as_a_file_ask_the_same(tmp_path: Path) -> None:
    study = study_from_options("efficientnet_lite0", "foolbox", levels=["O0", "O3"], limit=5)
    path = tmp_path / "study.yaml"
    path.write_text(to_yaml(study))
    read = load_study(path)
    assert (read.name, read.factors, read.protocol) == (study.name, study.factors, study.protocol)
    assert replace(read.data, where=None) == replace(study.data, where=None)
