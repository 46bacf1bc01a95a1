"""A model as one simplified ONNX file of one input and one output, made in a child process and kept."""

import contextlib
import json
import tempfile
import threading
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from deltann.child import ChildOutcome
from deltann.core.artifact import BuildFailure, TensorSpec
from deltann.core.full_disk import unwritable
from deltann.core.hashing import digest_code, digest_file, digest_record
from deltann.core.model import ModelSource
from deltann.crew import HERE, ChildTask, Crew
from deltann.zoo import ENTRIES, can_travel, files_of

_CODE = ("convert/form.py", "convert/graph.py", "convert/task.py", "core/batch.py")
_NETWORKS = ("zoo",)
_TASK = "deltann.convert.task"
_WHAT = "the converted model"
_TOOLS = ("onnx", "onnxsim", "onnxruntime", "numpy")


@dataclass(frozen=True, slots=True)
class OnnxForm:
    """A model as ONNX, of fixed shapes, with the record of how it came to be.

    Attributes
    ----------
    tool_versions
        Every package that had a hand in the bytes.
    max_abs_vs_source
        Largest difference to the outputs of the source in its own framework, over a few random images.
    convert_s
        Wall time of the conversion, seconds.
    """

    path: Path
    digest: str
    size_bytes: int
    input: TensorSpec
    output: TensorSpec
    tool_versions: dict[str, str]
    max_abs_vs_source: float
    convert_s: float


def onnx_form(
    source: ModelSource,
    folder: Path,
    *,
    batch: int = 1,
    simplify: bool = True,
    deadline_s: float,
    memory_limit_bytes: int = 0,
    cancelled: threading.Event | None = None,
    crew: Crew = HERE,
) -> OnnxForm | BuildFailure:
    """Return `source` as ONNX, from `folder` when it has been made there before with the same tools.

    A torch model is exported by torch's tracing exporter at opset 17; an ONNX model keeps its opset.
    Both are simplified by onnxsim and compared with the source on random images; the same source and
    tools give the same bytes. A form for several images is compared image by image with the source, which
    has them one at a time.

    Parameters
    ----------
    batch
        Images that the form takes at once. A torch model is exported with it; of an ONNX model the input
        gets it, and what else has a batch of 1 written in it.
    simplify
        Not, where simplifying would make another model of it: one that is quantised.
    deadline_s, memory_limit_bytes, cancelled
        Limits of the child process, as in `deltann.child.run_child`.
    crew
        Who runs the child; a network that cannot be loaded elsewhere is exported here.

    Returns
    -------
    OnnxForm | BuildFailure
        A failure is also what converts but gives other outputs than the source.

    Raises
    ------
    ResultsError
        If `folder` cannot be written, e.g. because the disk is full.
    ClusterError
        As `Crew.run`.
    """
    key = form_key(source, batch)
    kept = _read_form(folder, key)
    if kept:
        return kept
    versions = _tool_versions(source)
    absent = [name for name, version in versions.items() if version is None]
    if absent:
        extra = ENTRIES[source.zoo].extra if source.zoo and not set(absent) & set(_TOOLS) else "host"
        message = f"{', '.join(absent)} is not installed. Run: pip install 'deltann[{extra}]'"
        return BuildFailure(key, "missing", message, "", 0.0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as scratch:
            made = Path(scratch) / "model.onnx"
            task = ChildTask(
                _TASK,
                {**_request(source, made), "batch": batch, "simplify": simplify},
                folder=Path(scratch),
                reads=files_of(source.loader) if source.loader else (source.path.absolute(),),
                versions={name: version or "" for name, version in versions.items()},
                deadline_s=deadline_s,
                memory_limit_bytes=memory_limit_bytes,
            )
            stays = bool(source.loader) and not can_travel(source.loader)
            outcome = (HERE if stays else crew).run(task, cancelled)
            if outcome.cause == "full":
                raise unwritable(_WHAT, folder, outcome.message)
            if outcome.cause is not None:
                return BuildFailure(key, outcome.cause, outcome.message, outcome.log, outcome.wall_s)
            return _keep(_form(made, outcome, versions), folder, key)
    except OSError as error:
        raise unwritable(_WHAT, folder, error) from error


def find_form(source: ModelSource, folder: Path, batch: int = 1) -> OnnxForm | None:
    """Return what an earlier conversion of `source` with the same tools left in `folder`, if anything."""
    return _read_form(folder, form_key(source, batch))


def form_key(source: ModelSource, batch: int = 1) -> str:
    """Return the name of a conversion: a hash of all that its bytes depend on."""
    code = digest_code(*_CODE, *(_NETWORKS if source.loader else ()))
    parts = {"source": source.identity(), "tools": _tool_versions(source), "code": code, "batch": batch}
    return digest_record(parts)


def _tool_versions(source: ModelSource) -> dict[str, str | None]:
    packages = ENTRIES[source.zoo].packages if source.zoo else ("torch",) if source.loader else ()
    return {name: _version(name) for name in (*_TOOLS, *packages)}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _request(source: ModelSource, made: Path) -> dict[str, Any]:
    recipe = source.recipe
    return {
        "loader": source.loader,
        "path": str(source.path.absolute()),
        "output": source.output,
        "shape": recipe.shape,
        "dtype": recipe.dtype,
        "mean": recipe.mean,
        "std": recipe.std,
        "channel_axis": 1 if recipe.layout == "NCHW" else 3,
        "made": str(made),
    }


def _form(made: Path, outcome: ChildOutcome, versions: dict[str, str | None]) -> OnnxForm:
    return OnnxForm(
        path=made,
        digest=digest_file(made),
        size_bytes=made.stat().st_size,
        input=_spec(outcome.result["input"]),
        output=_spec(outcome.result["output"]),
        tool_versions={name: version for name, version in versions.items() if version is not None},
        max_abs_vs_source=outcome.result["max_abs_vs_source"],
        convert_s=outcome.wall_s,
    )


def _spec(values: dict[str, Any]) -> TensorSpec:
    return TensorSpec(values["name"], tuple(values["shape"]), values["dtype"])


def _keep(form: OnnxForm, folder: Path, key: str) -> OnnxForm:
    """Move the file and then its record to where `_read_form` looks for them."""
    record = form.path.with_suffix(".json")
    record.write_text(json.dumps({**asdict(form), "path": None}))
    kept = replace(form, path=form.path.replace(_form_path(folder, key)))
    record.replace(_form_path(folder, key).with_suffix(".json"))
    return kept


def _read_form(folder: Path, key: str) -> OnnxForm | None:
    path = _form_path(folder, key)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        values = json.loads(path.with_suffix(".json").read_text())
        specs = {name: _spec(values[name]) for name in ("input", "output")}
        form = OnnxForm(**{**values, **specs, "path": path})
        if digest_file(path) == form.digest:
            return form
    return None


def _form_path(folder: Path, key: str) -> Path:
    return folder / f"{key}.onnx"
