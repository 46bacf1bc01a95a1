import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_makers import LOCAL, ONNX_MODEL, TOOLS, TORCH_MODEL, build_key_of, labels, plan_of, study_of

from deltann.core.board import BoardFacts
from deltann.core.converters import find_route
from deltann.core.errors import StudyError
from deltann.core.factors import Device, Runtime
from deltann.core.framework import Framework
from deltann.core.pairs import pair_factor
from deltann.core.variant import Variant
from deltann.study.estimate import DEFAULT_BUILD_S, History, latency_key
from deltann.study.plan import make_plan


def test_full_grid_with_collapsed_factors(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"importer": ["torch", "onnx"], "level": ["O0", "O3"], "threads": 2})
    assert labels(plan) == [
        "tvm/torch/O0/2t",
        "tvm/torch/O3/2t",
        "tvm/onnx/O0/2t",
        "tvm/onnx/O3/2t",
        "onnxruntime/onnx/2t",
    ]
    assert plan.pairs == {"runtime": 2, "importer": 2, "level": 2}
    assert plan.counts.variants == plan.counts.trials == plan.counts.builds == 5
    assert plan.counts.pairs == 6
    assert plan.warnings == ()


def test_threads_are_the_boards_own_unless_given(tmp_path: Path) -> None:
    assert {trial.variant.threads for trial in plan_of(tmp_path, {}).trials} == {4}
    assert {trial.variant.threads for trial in plan_of(tmp_path, {"threads": [1, 2]}).trials} == {1, 2}


def test_threads_share_a_build(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"threads": [1, 2], "binding": ["none", "cores"]})
    assert plan.counts.trials == 8
    assert plan.counts.builds == 2


def test_each_artifact_is_asked_for_once(tmp_path: Path) -> None:
    asked: list[Variant] = []

    def key(variant: Variant, board: BoardFacts) -> str:
        asked.append(variant)
        return build_key_of(variant, board)

    study = study_of(tmp_path, {"threads": [1, 2, 3], "level": ["O0", "O1"]})
    make_plan(study, TORCH_MODEL, (LOCAL,), TOOLS, build_key_of=key)
    assert len(asked) == 3


def test_edit_that_misses_a_level_is_left_out_with_a_reason(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"runtime": "tvm", "level": ["O0", "O3"], "passes": [{}, {"drop": "FuseTIR"}]})
    assert labels(plan) == ["tvm/onnx/O0/4t", "tvm/onnx/O3/4t", "tvm/onnx/O3/-FuseTIR/4t"]
    assert [item.what for item in plan.left_out] == ["tvm/O0/-FuseTIR"]
    assert "FuseTIR" in plan.left_out[0].reason


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"no combination.*the route begins with keras"):
        plan_of(tmp_path, {"runtime": "tvm", "route": ["keras", "onnx"]}, model=ONNX_MODEL)


def test_runtime_that_a_board_lacks_is_missing(tmp_path: Path) -> None:
    board = replace(LOCAL, runtimes={"tvm": "libtvm_runtime.so is not there"})
    plan = plan_of(tmp_path, {}, boards=(board,))
    assert [trial.missing for trial in plan.trials] == [
        "board local cannot run tvm: libtvm_runtime.so is not there",
        "board local cannot run onnxruntime: its agent does not know onnxruntime",
    ]
    assert {trial.build_key for trial in plan.trials} == {""}
    assert plan.counts.skipped == 2
    assert plan.counts.builds == plan.counts.pairs == 0


def test_torch_that_is_not_installed_is_missing(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"importer": ["torch", "onnx"]}, tools={})
    assert all(trial.missing and "deltann[torch]" in trial.missing for trial in plan.trials)
    of_file = plan_of(tmp_path, {}, tools={}, model=ONNX_MODEL)
    assert of_file.counts.skipped == 0


def test_cpu_without_a_name_needs_one(tmp_path: Path) -> None:
    board = replace(LOCAL, cpu=None)
    plan = plan_of(tmp_path, {"runtime": "tvm", "mcpu": ["detected", "x86-64-v3"]}, boards=(board,))
    detected, named = plan.trials
    assert detected.missing is not None
    assert "give mcpu" in detected.missing
    assert named.missing is None


def test_unknown_board(tmp_path: Path) -> None:
    study = replace(study_of(tmp_path, {}), boards=("pi",))
    with pytest.raises(StudyError, match=r"study\.yaml: unknown board 'pi'.*Known: local"):
        make_plan(study, TORCH_MODEL, (LOCAL,), TOOLS, build_key_of=build_key_of)


def test_boards_of_other_sizes(tmp_path: Path) -> None:
    study = replace(study_of(tmp_path, {}), boards=("local", "pi"))
    pi = replace(LOCAL, name="pi", cores=8, emulated=True)
    plan = make_plan(study, TORCH_MODEL, (LOCAL, pi), TOOLS, build_key_of=build_key_of)
    assert {(trial.board, trial.variant.threads) for trial in plan.trials} == {("local", 4), ("pi", 8)}
    assert "board" not in plan.pairs
    assert any("give threads in the study" in warning for warning in plan.warnings)
    assert any("emulated" in warning for warning in plan.warnings)

    fixed = replace(study, factors=replace(study.factors, threads=(2,)))
    plan = make_plan(fixed, TORCH_MODEL, (LOCAL, pi), TOOLS, build_key_of=build_key_of)
    assert plan.pairs == {"runtime": 2, "board": 2}


def test_warnings(tmp_path: Path) -> None:
    no_onnx = plan_of(tmp_path, {"importer": "torch", "level": ["O0", "O3"]})
    assert any("add onnx to the importers" in warning for warning in no_onnx.warnings)
    too_many = plan_of(tmp_path, {"threads": 16})
    assert any("4 cores" in warning and "16 threads" in warning for warning in too_many.warnings)
    alone = plan_of(tmp_path, {"runtime": "tvm"})
    assert any("nothing to compare" in warning for warning in alone.warnings)


def test_estimate(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"level": ["O0", "O3"]}, images=100, protocol={"warmup_runs": 5, "rounds": 2})
    assert plan.estimate.building_s == 3 * DEFAULT_BUILD_S
    assert "guess" in plan.estimate.building_basis
    assert plan.estimate.measuring_s is None
    assert "unknown until measured" in plan.estimate.measuring_basis

    first = plan.trials[0]
    history = History(
        built={first.build_key: 2.0, "older": 4.0, "oldest": 6.0},
        latency_s={latency_key(first): 0.5, "older": 0.01, "oldest": 0.02},
    )
    again = plan_of(
        tmp_path,
        {"level": ["O0", "O3"]},
        images=100,
        history=history,
        protocol={"warmup_runs": 5, "rounds": 2},
    )
    assert again.counts.cached_builds == 1
    assert again.estimate.building_s == 2 * 4.0
    assert again.estimate.measuring_s == pytest.approx(205 * (0.5 + 0.02 + 0.02))


def test_ids_depend_on_what_matters(tmp_path: Path) -> None:
    def identity(**changes: Any) -> tuple[str, str]:
        plan = plan_of(tmp_path, {"runtime": "onnxruntime"}, **changes)
        return plan.trials[0].variant_id, plan.trials[0].trial_id

    usual = identity()
    assert identity() == usual
    assert identity(attempts=5) == usual
    other_protocol = identity(protocol={"rounds": 9})
    assert other_protocol[0] == usual[0]
    assert other_protocol[1] != usual[1]
    recipe = replace(TORCH_MODEL, recipe=replace(TORCH_MODEL.recipe, crop_fraction=0.5))
    assert identity(model=recipe)[0] == usual[0]
    assert identity(model=recipe)[1] != usual[1]
    assert identity(model=replace(TORCH_MODEL, digest="1" * 64))[0] != usual[0]
    assert identity(tools={**TOOLS, "torch": "2.14"})[0] != usual[0]


def test_json(tmp_path: Path) -> None:
    view = json.loads(json.dumps(plan_of(tmp_path, {}).to_json()))
    assert view["counts"]["trials"] == 2
    assert view["trials"][0]["factors"]["board"] == "local"
    assert view["pairs"] == {"runtime": 1}


GRID = {
    "runtime": ["tvm", "onnxruntime"],
    "importer": ["torch", "onnx"],
    "level": ["O0", "O1", "O3"],
    "passes": [{}, {"drop": ["FuseTIR"]}],
    "mattr": [[], ["-fma"]],
    "fast_math": [False, True],
    "threads": [1, 2],
}


@given(
    st.fixed_dictionaries({}, optional={name: st.permutations(values) for name, values in GRID.items()}),
    st.randoms(use_true_random=False),
)
def test_order_of_values_changes_nothing_but_the_order(
    tmp_path_factory: pytest.TempPathFactory, factors: dict[str, list[Any]], random: Any
) -> None:
    folder = tmp_path_factory.getbasetemp()
    shuffled = {name: random.sample(values, len(values)) for name, values in factors.items()}
    one, other = plan_of(folder, factors), plan_of(folder, shuffled)
    assert {trial.trial_id for trial in one.trials} == {trial.trial_id for trial in other.trials}
    assert set(one.left_out) == set(other.left_out)
    assert one.pairs == other.pairs
    assert one.counts == other.counts
    assert one.estimate == other.estimate
    assert set(one.warnings) == set(other.warnings)
    assert len({trial.trial_id for trial in one.trials}) == len({trial.variant for trial in one.trials})


def test_pairs_are_those_of_asking_every_two(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, GRID)
    factors = [trial.factors() for trial in plan.trials]
    found = [factor for a, b in combinations(factors, 2) if (factor := pair_factor(a, b))]
    assert plan.counts.pairs == len(found)
    assert plan.pairs == {name: found.count(name) for name in set(found)}


ORIN = replace(
    LOCAL,
    name="orin",
    devices={Device.CPU: None, Device.CUDA: None, Device.OPENCL: "the runtime was built without OpenCL"},
    cuda_arch="sm_87",
)
WITH_NVRTC = {**TOOLS, "nvidia-cuda-nvrtc": "13.0.88"}


def missing_on_cuda(folder: Path, board: BoardFacts, tools: Mapping[str, str] = WITH_NVRTC) -> str | None:
    factors = {"runtime": "tvm", "device": "cuda"}
    study = study_of(folder, factors, boards=[board.name])
    study = replace(study, boards=(board.name,))
    plan = make_plan(study, TORCH_MODEL, [board], tools, build_key_of=build_key_of)
    return plan.trials[0].missing


@pytest.mark.parametrize(
    ("board", "tools", "words"),
    [
        (ORIN, WITH_NVRTC, None),
        (ORIN, TOOLS, "pip install 'deltann[cuda]'"),
        (LOCAL, WITH_NVRTC, "cannot run tvm on cuda: its agent does not know cuda"),
        (replace(ORIN, cuda_arch=None), WITH_NVRTC, "the architecture of its GPU is not known"),
        (replace(ORIN, cuda_arch="sm_53"), WITH_NVRTC, "CUDA 13.0 compiles for sm_75 and later only"),
        (replace(ORIN, devices={Device.CUDA: "its driver is old"}), WITH_NVRTC, "its driver is old"),
    ],
)
def test_what_a_gpu_lacks_is_known_before_anything_is_built(tmp_path, board, tools, words):
    board = replace(board, name="local")
    said = missing_on_cuda(tmp_path, board, tools)
    assert said is None if words is None else words in said


def test_the_cpu_and_the_gpu_of_a_board_are_a_pair(tmp_path):
    factors = {"runtime": ["tvm", "onnxruntime"], "device": ["cpu", "cuda"], "level": ["O0", "O3"]}
    board = replace(ORIN, name="local")
    plan = make_plan(study_of(tmp_path, factors), TORCH_MODEL, [board], WITH_NVRTC, build_key_of=build_key_of)
    assert [trial.variant.label for trial in plan.trials] == [
        "tvm/onnx/O0/4t",
        "tvm/onnx/O3/4t",
        "tvm/onnx/cuda/O0/4t",
        "tvm/onnx/cuda/O3/4t",
        "onnxruntime/onnx/4t",
    ]
    assert plan.pairs == {"runtime": 2, "device": 2, "level": 2}
    assert len({trial.build_key for trial in plan.trials}) == 5


def test_edits_that_fit_one_device_leave_the_others_out(tmp_path):
    factors = {
        "runtime": "tvm",
        "device": ["cpu", "cuda"],
        "level": "O3",
        "passes": {"drop": ["ScheduleGpu"]},
    }
    board = replace(ORIN, name="local")
    plan = make_plan(study_of(tmp_path, factors), TORCH_MODEL, [board], WITH_NVRTC, build_key_of=build_key_of)
    assert [trial.variant.label for trial in plan.trials] == ["tvm/onnx/cuda/O3/-ScheduleGpu/4t"]
    assert [item.what for item in plan.left_out] == ["tvm/O3/-ScheduleGpu"]
    assert "not for the device cpu" in plan.left_out[0].reason


@pytest.mark.parametrize(
    ("framework", "importer"), [("keras", "onnx"), ("tf", "torch"), ("tflite", "tflite"), ("onnx", "torch")]
)
def test_a_model_of_any_framework_is_imported_by_the_usual_route(
    tmp_path: Path, framework: str, importer: str
) -> None:
    model = replace(ONNX_MODEL, framework=Framework(framework))
    plan = plan_of(tmp_path, {"runtime": "tvm", "importer": importer, "threads": 1}, model=model)
    assert labels(plan) == [f"tvm/{importer}/O3/1t"]
    assert plan.trials[0].factors()["route"] == "usual"
    assert plan.left_out == ()


EVERYTHING = replace(LOCAL, runtimes=dict.fromkeys(Runtime, None))


def test_each_runtime_has_its_form_its_option_and_its_pairs(tmp_path: Path) -> None:
    factors = {
        "runtime": [runtime.value for runtime in Runtime],
        "importer": "tflite",
        "ort_graph": ["all", "off"],
        "tflite_kernels": ["default", "reference"],
        "torch_mode": "eager",
        "threads": 1,
    }
    plan = plan_of(tmp_path, factors, boards=(EVERYTHING,))
    assert labels(plan) == [
        "tvm/tflite/O3/1t",
        "onnxruntime/onnx/1t",
        "onnxruntime/onnx/off/1t",
        "tflite/tflite/1t",
        "tflite/tflite/reference/1t",
        "torch/torch/eager/1t",
        "tensorflow/tf/1t",
    ]
    # TVM reads what TFLite reads; the others differ from each other in the runtime alone, whatever they read.
    between = {("tvm", "tflite"): 2, ("onnxruntime", "tflite"): 4, ("onnxruntime", "torch"): 2}
    between |= {("onnxruntime", "tensorflow"): 2, ("tflite", "torch"): 2, ("tflite", "tensorflow"): 2}
    between |= {("torch", "tensorflow"): 1}
    assert plan.pairs == {"runtime": sum(between.values()), "ort_graph": 1, "tflite_kernels": 1}
    assert [trial.variant.options() for trial in plan.trials[2:4]] == [
        {"ort_graph": "off"},
        {"tflite_kernels": "default"},
    ]
    assert plan.warnings == ()


def test_routes_are_a_factor_of_what_they_lead_to(tmp_path: Path) -> None:
    factors = {
        "runtime": ["onnxruntime", "tflite"],
        "route": ["usual", ["torch", "onnx", "tf", "tflite"], ["keras", "onnx"], ["torch", "onnx", "keras"]],
        "threads": 1,
    }
    plan = plan_of(tmp_path, factors, boards=(EVERYTHING,))
    assert labels(plan) == [
        "onnxruntime/onnx/1t",
        "tflite/tflite/1t",
        "tflite/tflite/by torch,onnx,tf,tflite/1t",
    ]
    assert plan.pairs == {"runtime": 1, "route": 1}
    assert [(item.what, item.reason) for item in plan.left_out] == [
        ("route keras,onnx", "the route begins with keras, the model is a torch model"),
        ("route torch,onnx,keras", "no runtime or importer of the study reads keras"),
    ]


def test_all_routes_are_the_best_few(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {"runtime": "tflite", "route": "all", "threads": 1}, boards=(EVERYTHING,))
    texts = [trial.variant.route for trial in plan.trials]
    assert texts[0] == "usual"
    assert len(set(texts)) == 3
    assert all(find_route(text.split(",")).target is Framework.TFLITE for text in texts[1:])


def test_a_runtime_without_a_route_to_its_form_is_left_out(tmp_path: Path) -> None:
    factors = {"runtime": ["onnxruntime", "tflite"], "route": ["torch", "onnx"], "threads": 1}
    plan = plan_of(tmp_path, factors, boards=(EVERYTHING,))
    assert labels(plan) == ["onnxruntime/onnx/by torch,onnx/1t"]
    assert [(item.what, item.reason) for item in plan.left_out] == [
        ("tflite", "no route of the study ends at tflite")
    ]


def test_engines_stand_side_by_side(tmp_path: Path) -> None:
    old = {"tflite": None, "onnxruntime": "the package onnxruntime is not installed"}
    board = replace(EVERYTHING, engines={"tflite-2.14": old})
    factors = {"runtime": ["tflite", "onnxruntime"], "engine": ["own", "tflite-2.14"], "threads": 1}
    plan = plan_of(tmp_path, factors, boards=(board,))
    assert labels(plan) == ["tflite/tflite/1t", "tflite/tflite/tflite-2.14/1t", "onnxruntime/onnx/1t"]
    assert plan.pairs == {"runtime": 1, "engine": 1}
    assert [item.what for item in plan.left_out] == ["onnxruntime/tflite-2.14"]
    elsewhere = plan_of(tmp_path, factors, boards=(EVERYTHING,))
    assert [trial.missing for trial in elsewhere.trials if trial.variant.engine != "own"] == [
        f"board local cannot run {runtime}: its agent lists no engine 'tflite-2.14'; it has none"
        for runtime in ("tflite", "onnxruntime")
    ]


def test_a_form_that_cannot_be_made_is_missing_and_asked_for_once(tmp_path: Path) -> None:
    asked: list[Variant] = []

    def why_no_form(variant: Variant) -> str | None:
        asked.append(variant)
        return "the converter onnx2keras needs tensorflow" if variant.runtime is Runtime.TFLITE else None

    study = study_of(tmp_path, {"runtime": ["tflite", "onnxruntime"], "threads": [1, 2]})
    plan = make_plan(
        study, TORCH_MODEL, (EVERYTHING,), TOOLS, build_key_of=build_key_of, why_no_form=why_no_form
    )
    assert [trial.missing for trial in plan.trials] == ["the converter onnx2keras needs tensorflow"] * 2 + [
        None
    ] * 2
    assert len(asked) == 2


def test_quantisation_is_a_factor_of_the_forms_that_have_it(tmp_path: Path) -> None:
    bits = ["none", "float16", "int8_channel"]
    factors = {"runtime": ["tvm", "tflite", "torch"], "quantisation": bits, "threads": 1}
    plan = plan_of(tmp_path, factors, boards=(EVERYTHING,))
    assert labels(plan) == [
        "tvm/onnx/O3/1t",
        "tvm/onnx/int8_channel/O3/1t",
        "tflite/tflite/1t",
        "tflite/tflite/float16/1t",
        "tflite/tflite/int8_channel/1t",
        "torch/torch/1t",
    ]
    assert plan.pairs["quantisation"] == 1 + 3
    assert [item.what for item in plan.left_out] == ["onnx/float16", "torch/float16", "torch/int8_channel"]
    assert plan.counts.builds == 6


def test_a_tflite_file_is_not_quantised_again(tmp_path: Path) -> None:
    model = replace(ONNX_MODEL, framework=Framework.TFLITE)
    factors = {"runtime": "tflite", "quantisation": ["none", "dynamic"], "threads": 1}
    plan = plan_of(tmp_path, factors, model=model, boards=(EVERYTHING,))
    assert labels(plan) == ["tflite/tflite/1t"]
    assert "when it is made" in plan.left_out[0].reason


def test_batch_is_a_factor_of_the_forms_that_take_several_images(tmp_path: Path) -> None:
    factors = {"runtime": ["tvm", "onnxruntime", "tflite", "tensorflow"], "batch": [1, 8], "threads": 1}
    plan = plan_of(tmp_path, factors, boards=(EVERYTHING,))
    assert labels(plan) == [
        "tvm/onnx/O3/1t",
        "tvm/onnx/O3/b8/1t",
        "onnxruntime/onnx/1t",
        "onnxruntime/onnx/b8/1t",
        "tflite/tflite/1t",
        "tflite/tflite/b8/1t",
        "tensorflow/tf/1t",
        "tensorflow/tf/b8/1t",
    ]
    assert plan.left_out == ()
    assert plan.pairs["batch"] == 4
    assert plan.counts.builds == len(plan.trials)


def test_a_tflite_file_has_the_batch_that_it_has(tmp_path: Path) -> None:
    model = replace(ONNX_MODEL, framework=Framework.TFLITE)
    factors = {"runtime": ["onnxruntime", "tflite"], "batch": [1, 4], "threads": 1}
    plan = plan_of(tmp_path, factors, model=model, boards=(EVERYTHING,))
    assert labels(plan) == ["onnxruntime/onnx/1t", "onnxruntime/onnx/b4/1t", "tflite/tflite/1t"]
    reason = "a TFLite file keeps the batch that it was made with: take batch: 1 for tflite"
    assert [(item.what, item.reason) for item in plan.left_out] == [("tflite/b4", reason)]
    with pytest.raises(StudyError, match=reason):
        plan_of(tmp_path, {**factors, "runtime": "tflite", "batch": 4}, model=model, boards=(EVERYTHING,))


def test_a_model_of_another_framework_becomes_no_torch_program_of_a_batch(tmp_path: Path) -> None:
    model = replace(ONNX_MODEL, framework=Framework.KERAS)
    factors = {"runtime": ["onnxruntime", "torch"], "batch": [1, 2], "threads": 1}
    plan = plan_of(tmp_path, factors, model=model, boards=(EVERYTHING,))
    assert labels(plan) == ["onnxruntime/onnx/1t", "onnxruntime/onnx/b2/1t", "torch/torch/1t"]
    assert "one image at a time" in plan.left_out[0].reason


def test_a_batch_larger_than_the_data_set_is_said(tmp_path: Path) -> None:
    factors = {"runtime": "onnxruntime", "batch": [1, 8], "threads": 1}
    (warning,) = plan_of(tmp_path, factors, images=6).warnings
    assert warning.startswith("a batch of 8 is larger than the data set of 6 images:")
    assert plan_of(tmp_path, factors, images=8).warnings == ()


def test_a_batch_takes_fewer_runs(tmp_path: Path) -> None:
    factors = {"runtime": "onnxruntime", "batch": [1, 4], "threads": 1}
    one, four = plan_of(tmp_path, factors, protocol={"rounds": 3}).trials
    assert (one.timed_runs(6), four.timed_runs(6), four.timed_runs(8)) == (18, 6, 6)
    assert one.variant_id != four.variant_id
    history = History(latency_s={latency_key(one): 1.0, latency_key(four): 2.0})
    plan = plan_of(tmp_path, factors, protocol={"rounds": 3, "warmup_runs": 1}, history=history, images=6)
    assert plan.estimate.measuring_s == (18 + 1) * 1.0 + (6 + 1) * 2.0
