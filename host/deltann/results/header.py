"""What a run is: the content of its `run.json`."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from typing import Any

from deltann.core.errors import ResultsError
from deltann.core.model import LabelSpace, Recipe
from deltann.core.place import Place
from deltann.results.schema import SCHEMA_VERSION
from deltann.results.storage import check_schema_version


@dataclass(frozen=True, slots=True)
class RunHeader:
    """What a run is, as its `run.json` says.

    Attributes
    ----------
    created
        When the run began, ISO 8601 with offset.
    planned_trials
        Ids of all trials, in the order of the plan.
    input_digest, input_shape
        The input set that every trial gets: sha256 of its file, shape of one input.
    boards
        What each board is, by its name: the facts that must stay the same for all of the run.
    recipe
        How each image became an input; None in a folder of a deltann that did not write it.
    """

    name: str
    created: str
    model_name: str
    model_digest: str
    labels: LabelSpace
    planned_trials: tuple[str, ...]
    input_digest: str
    input_shape: tuple[int, ...]
    boards: Mapping[str, Mapping[str, str]]
    recipe: Recipe | None = None


def header_json(header: RunHeader) -> bytes:
    """Return the content of `run.json`, with the versions of the schema and of deltann."""
    record = {
        "schema_version": SCHEMA_VERSION,
        "deltann_version": version("deltann"),
        "name": header.name,
        "created": header.created,
        "model": {"name": header.model_name, "digest": header.model_digest},
        "labels": asdict(header.labels),
        "recipe": {**asdict(header.recipe), "digest": header.recipe.digest()} if header.recipe else None,
        "planned_trials": header.planned_trials,
        "input": {"digest": header.input_digest, "shape": header.input_shape},
        "boards": {name: dict(facts) for name, facts in header.boards.items()},
    }
    return json.dumps(record, indent=2, ensure_ascii=False).encode()


def read_header(file: Place) -> RunHeader:
    """Return what a `run.json` says.

    Raises
    ------
    ResultsError
        If it is damaged or made by a newer deltann.
    """
    try:
        record = json.loads(file.read_text())
        check_schema_version(record.get("schema_version"), file)
        return RunHeader(
            name=record["name"],
            created=record["created"],
            model_name=record["model"]["name"],
            model_digest=record["model"]["digest"],
            labels=_labels(record["labels"]),
            planned_trials=tuple(record["planned_trials"]),
            input_digest=record["input"]["digest"],
            input_shape=tuple(record["input"]["shape"]),
            boards={name: dict(facts) for name, facts in record["boards"].items()},
            recipe=_recipe(record.get("recipe")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultsError(
            f"this run folder is damaged: {file.name} cannot be understood ({error})",
            where=str(file),
            hint="Restore the file from a copy, or run the study anew",
        ) from error


def _labels(record: Mapping[str, Any]) -> LabelSpace:
    return LabelSpace(record["offset"], tuple(record["names"]), record.get("softmax"))


def _recipe(record: Mapping[str, Any] | None) -> Recipe | None:
    if record is None:
        return None
    values = {field.name: record[field.name] for field in fields(Recipe)}
    return Recipe(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})
