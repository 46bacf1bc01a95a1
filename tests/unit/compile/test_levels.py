"""The levels, their edits, and the page about them."""

from pathlib import Path

import pytest

from deltann.core.errors import StudyError
from deltann.core.factors import Device
from deltann.core.passes import LEVELS, LOWERING, PASSES, PIPELINE, resolve_passes
from deltann.core.variant import PassEdits

PAGE = Path(__file__).parents[3] / "docs" / "levels.md"


def test_each_level_alone_is_what_it_says():
    for name, level in LEVELS.items():
        assert resolve_passes(name, PassEdits()) == level.passes


def test_levels_grow():
    for lower, higher in zip("0123", "1234", strict=True):
        assert set(LEVELS[f"O{lower}"].passes) < set(LEVELS[f"O{higher}"].passes)


def test_every_pass_has_a_place_and_every_place_a_pass():
    assert {name for name, _ in PIPELINE} == set(PASSES)


def test_drop_removes_every_run_of_a_pass():
    assert LEVELS["O3"].passes.count("FoldConstant") == 3
    assert "FoldConstant" not in resolve_passes("O3", PassEdits(drop=("FoldConstant",)))


def test_an_added_pass_goes_to_its_own_place():
    passes = resolve_passes("O1", PassEdits(add=("ScheduleCpu", "Canonicalize")))
    assert passes == ("Canonicalize", *LEVELS["O1"].passes, "ScheduleCpu")


def test_the_order_of_edits_does_not_matter():
    names = ("FastMathTransform", "Normalize", "ConvertLayout")
    assert resolve_passes("O0", PassEdits(add=names)) == resolve_passes("O0", PassEdits(add=names[::-1]))


@pytest.mark.parametrize(
    ("name", "device"), [(name, device) for name, entry in PASSES.items() for device in entry.devices]
)
def test_every_pass_can_be_added_or_is_everywhere(name, device):
    for level in LEVELS.values():
        have = level.passes_on(device)
        if name not in have:
            add = (name, *(needed for needed in _needs(name) if needed not in have))
            assert name in resolve_passes(level.name, PassEdits(add=add), device)


def test_a_level_differs_between_devices_by_its_schedule_alone():
    schedules = {"ScheduleCpu", "ScheduleGpu", "BindThreads"}
    for level in LEVELS.values():
        on_cpu, on_gpu = level.passes, level.gpu_passes
        assert [name for name in on_gpu if name not in schedules] == [
            name for name in on_cpu if name not in schedules
        ]
        assert on_gpu[-1] == "BindThreads"
        assert resolve_passes(level.name, PassEdits(), Device.OPENCL) == on_gpu


def _needs(name):
    return [entry for needed in PASSES[name].requires for entry in (needed, *_needs(needed))]


@pytest.mark.parametrize(
    ("level", "edits", "words"),
    [
        ("O5", PassEdits(), ["optimization level 'O5'", "O0, O1"]),
        ("o3", PassEdits(), ["'o3'", "Did you mean 'O3'"]),
        ("O1", PassEdits(drop=("FusOps",)), ["no pass 'FusOps'", "Did you mean 'FuseOps'"]),
        ("O1", PassEdits(add=("ScheduleCPU",)), ["Did you mean 'ScheduleCpu'"]),
        ("O0", PassEdits(drop=("FuseOps",)), ["O0 has no pass FuseOps to drop"]),
        ("O1", PassEdits(add=("FuseOps",)), ["O1 has the pass FuseOps already"]),
        ("O1", PassEdits(drop=("LegalizeOps",)), ["LegalizeOps cannot be dropped"]),
        ("O1", PassEdits(drop=("FuseOps",)), ["FuseTIR needs FuseOps", "leave FuseTIR out"]),
        ("O0", PassEdits(add=("FuseTIR",)), ["FuseTIR needs FuseOps", "Add FuseOps too"]),
        ("O1", PassEdits(drop=("FuseOps",), add=("FuseOps",)), ["more than once"]),
        ("O0", PassEdits(add=("Normalize", "Normalize")), ["Normalize", "more than once"]),
        ("O0", PassEdits(add=("ScheduleGpu",)), ["not for the device cpu", "cuda and opencl"]),
    ],
)
def test_what_cannot_be_is_refused_in_words(level, edits, words):
    with pytest.raises(StudyError) as caught:
        resolve_passes(level, edits)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_the_page_tells_every_level_and_pass_as_the_code_does():
    page = PAGE.read_text()
    rows = [
        *(f"| {level.name} | {level.doc} | {' '.join(level.passes)} |" for level in LEVELS.values()),
        *(
            f"| {entry.name} | {'deltann' if entry.ours else 'TVM'} | {entry.doc} |"
            for entry in PASSES.values()
        ),
        *(f"| {name} | {doc} |" for name, doc in LOWERING.items()),
    ]
    missing = [row for row in rows if row not in page]
    assert not missing, "docs/levels.md lacks these rows:\n" + "\n".join(missing)
    assert page.count("\n| ") == len(rows) + 3, "docs/levels.md has rows that the code does not"
