"""Plans of small studies, without any file of a model."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from deltann.core.artifact import CpuTarget
from deltann.core.board import BoardFacts
from deltann.core.framework import Framework
from deltann.core.model import LabelSpace, ModelSource
from deltann.core.recipes import NAMED_RECIPES
from deltann.core.variant import Variant
from deltann.study.estimate import History
from deltann.study.plan import Plan, make_plan
from deltann.study.study import Study, load_study

TORCH_MODEL = ModelSource(
    name="net",
    framework=Framework.TORCH,
    zoo="net",
    path=Path("net.pth"),
    digest="0" * 64,
    recipe=NAMED_RECIPES["torchvision"],
    labels=LabelSpace(),
)
ONNX_MODEL = replace(TORCH_MODEL, framework=Framework.ONNX, zoo=None, path=Path("net.onnx"))
LOCAL = BoardFacts(
    name="local",
    cpu=CpuTarget("x86_64-linux-gnu", "znver4"),
    cores=4,
    runtimes={"tvm": None, "onnxruntime": None},
)
TOOLS = {"apache-tvm": "0.27.0.post1", "torch": "2.13.0"}


def build_key_of(variant: Variant, board: BoardFacts) -> str:
    return f"{variant.build_factors()} for {board.cpu}"


def study_of(folder: Path, factors: Mapping[str, Any], **others: Any) -> Study:
    path = folder / "study.yaml"
    # JSON is YAML.
    path.write_text(
        json.dumps({"schema": 1, "model": "net", "data": "foolbox", "factors": factors, **others})
    )
    return load_study(path)


def plan_of(
    folder: Path,
    factors: Mapping[str, Any],
    *,
    model: ModelSource = TORCH_MODEL,
    boards: tuple[BoardFacts, ...] = (LOCAL,),
    tools: Mapping[str, str] = TOOLS,
    history: History | None = None,
    images: int | None = None,
    **others: Any,
) -> Plan:
    study = study_of(folder, factors, **others)
    return make_plan(study, model, boards, tools, history, build_key_of=build_key_of, images=images)


def labels(plan: Plan) -> list[str]:
    return [trial.variant.label for trial in plan.trials]
