"""Studies as YAML: the file that asks the same, complete and readable from any folder."""

from dataclasses import asdict
from typing import Any

import yaml

from deltann.core.model import ModelSource, Recipe
from deltann.core.request import DataRequest, ModelRequest
from deltann.core.variant import PassEdits
from deltann.study.shape import SCHEMA
from deltann.study.source import CoreDumper
from deltann.study.study import FactorValues, Study
from deltann.study.timing import timing_to_yaml
from deltann.study.units import format_duration, format_size
from deltann.zoo.entries import is_zoo_name


def to_yaml(study: Study, found: ModelSource | None = None) -> str:
    """Return YAML that `load_study` reads as an equal study, with every default written out.

    Paths are absolute and class names are listed, so that the text means the same in any folder.

    Parameters
    ----------
    found
        The model of the study: its own recipe and label space are written where the study gives none, so that
        the text means the same with another zoo.
    """
    protocol, build, thresholds = study.protocol, study.build, study.thresholds
    content = {
        "schema": SCHEMA,
        "name": study.name,
        "model": _model(study.model, found),
        "data": _data(study.data),
        **({"conversions": "pairs"} if study.every_pair else {}),
        "factors": _factors(study.factors),
        "boards": list(study.boards),
        "protocol": {
            "warmup_runs": protocol.warmup_runs,
            "rounds": protocol.rounds,
            "deadline": format_duration(protocol.deadline_s),
            "memory_limit": format_size(protocol.memory_limit_bytes),
            "kernels": protocol.kernels,
        },
        **({"timing": timing_to_yaml(study.timing)} if study.timing is not None else {}),
        "attempts": study.max_attempts,
        "build": {
            "deadline": format_duration(build.deadline_s),
            "memory_limit": format_size(build.memory_limit_bytes),
        },
        "compare": asdict(thresholds),
    }
    return yaml.dump(
        content, Dumper=CoreDumper, sort_keys=False, default_flow_style=None, allow_unicode=True, width=110
    )


def _model(model: ModelRequest, found: ModelSource | None) -> dict[str, Any]:
    content: dict[str, Any] = {_key_of(model): model.name_or_path}
    if model.weights is not None:
        content["weights"] = model.weights
    if recipe := model.recipe or (found and found.recipe):
        content["recipe"] = _recipe(recipe)
    if labels := model.labels or (found and found.labels):
        content["labels"] = {"offset": labels.offset, "names": list(labels.names)}
        if labels.softmax is not None:
            content["labels"]["softmax"] = labels.softmax
    if model.input_shape:
        content["input_shape"] = list(model.input_shape)
    if model.input is not None:
        content["input"] = model.input
    if model.output is not None:
        content["output"] = model.output
    if model.trusted_code is not None:
        content |= {"trust": True, "code": str(model.trusted_code)}
    return content


def _key_of(model: ModelRequest) -> str:
    if model.module is not None:
        return "module"
    is_path = "/" in model.name_or_path and not is_zoo_name(model.name_or_path)
    return "path" if is_path else "name"


def _recipe(recipe: Recipe) -> dict[str, Any]:
    content = asdict(recipe)
    for key in ("mean", "std"):
        values = content.pop(key)
        if recipe.dtype != "uint8":
            content[key] = list(values)
    return content


def _data(data: DataRequest) -> dict[str, Any]:
    content: dict[str, Any] = {"images": data.images}
    if data.labels:
        content["labels"] = str(data.labels)
    if data.calibration:
        content["calibration"] = data.calibration
    if data.limit:
        content["limit"] = data.limit
    return content


def _factors(factors: FactorValues) -> dict[str, Any]:
    content: dict[str, Any] = {
        "runtime": [runtime.value for runtime in factors.runtime],
        "importer": [importer.value for importer in factors.importer],
        "route": [words[0] if len(words) == 1 else list(words) for words in _routes(factors)],
        "quantisation": [value.value for value in factors.quantisation],
        "engine": list(factors.engine),
        "device": [device.value for device in factors.device],
        "level": list(factors.level),
        "passes": [_edits(edits) for edits in factors.passes],
        "llvm_opt": list(factors.llvm_opt),
        "mcpu": list(factors.mcpu),
        "mattr": [list(flags) for flags in factors.mattr],
        "fast_math": list(factors.fast_math),
        "ort_graph": [value.value for value in factors.ort_graph],
        "tflite_kernels": [value.value for value in factors.tflite_kernels],
        "torch_mode": [value.value for value in factors.torch_mode],
        "batch": list(factors.batch),
        "binding": [binding.value for binding in factors.binding],
    }
    if factors.threads is not None:
        content["threads"] = list(factors.threads)
    return content


def _routes(factors: FactorValues) -> list[tuple[str, ...]]:
    return [route.words for route in factors.route]


def _edits(edits: PassEdits) -> dict[str, list[str]]:
    return {key: list(names) for key, names in (("drop", edits.drop), ("add", edits.add)) if names}
