from collections.abc import Callable
from pathlib import Path

import pytest
from results_records import BOARDS, TRIALS

from deltann.core.inputs import InputSet, Sample, UnreadableImage
from deltann.core.model import LabelSpace, ModelSource, Recipe
from deltann.results.folder import RunFolder


@pytest.fixture
def make_inputs() -> Callable[[int], InputSet]:
    def make(count: int) -> InputSet:
        samples = tuple(
            Sample(
                f"dir/image {i} é.jpg",
                i if i % 2 else None,
                640,
                480,
                "RGBA",
                f"{i:064x}",
            )
            for i in range(count)
        )
        unreadable = (UnreadableImage("broken.png", "cannot identify image file"),)
        thumbnails = [bytes([i % 256]) * 9 for i in range(count)]
        return InputSet(
            Path("inputs.bin"), "e" * 64, (1, 3, 8, 8), 1, bytes(3072), samples, unreadable, thumbnails
        )

    return make


@pytest.fixture
def make_folder(tmp_path: Path, make_inputs) -> Callable[..., RunFolder]:
    def make(count: int = 4, *, offset: int = 0, path: Path | None = None) -> RunFolder:
        recipe = Recipe("squash", 8, 1.0, "bilinear", "rgb", (0.0,) * 3, (1.0,) * 3, "NCHW")
        names = ("tench", "goldfish", "great white shark")
        model = ModelSource(
            "lite0", "onnx", None, Path("m.onnx"), "f" * 64, recipe, LabelSpace(offset=offset, names=names)
        )
        return RunFolder.create(
            path or tmp_path / "run",
            name="a study",
            created="2026-05-09T10:00:00+02:00",
            model=model,
            inputs=make_inputs(count),
            planned_trials=TRIALS,
            boards=BOARDS,
            study_text="# as typed\nmodel: lite0\n",
            resolved_study="model: /models/lite0\n",
            plan_json='{"trials": []}',
        )

    return make
