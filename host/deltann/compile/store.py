"""The build cache: a folder with a library and its manifest for each build key."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from deltann.core.artifact import Artifact, CpuTarget, TensorSpec
from deltann.core.factors import Device, Runtime
from deltann.core.full_disk import unwritable
from deltann.core.gpu import GpuTarget
from deltann.core.hashing import digest_file

CACHE = "the build cache"


def library_path(folder: Path, key: str) -> Path:
    """Return where the cache keeps the library of a build."""
    return folder / f"{key}.so"


def find_artifact(folder: Path, key: str) -> Artifact | None:
    """Return a kept artifact, None when there is none; damaged ones are taken for none."""
    artifact = _read_manifest(_manifest_path(folder, key))
    try:
        whole = artifact is not None and digest_file(artifact.path) == artifact.digest
    except OSError:
        return None
    return artifact if whole else None


def keep_artifact(artifact: Artifact, folder: Path, remarks: Mapping[str, Any]) -> Artifact:
    """Move an artifact's library into the cache, then its manifest, and return it from there.

    Parameters
    ----------
    artifact
        Its library lies on the cache's own disk, in a folder that goes afterwards.
    remarks
        Further facts for the manifest, JSON-able, that nothing depends on.

    Raises
    ------
    ResultsError
        If the folder cannot be written, e.g. because the disk is full.
    """
    kept = replace(artifact, path=library_path(folder, artifact.build_key))
    record = {**asdict(kept), "path": kept.path.name, **remarks}
    manifest = artifact.path.with_suffix(".json")
    try:
        # Both are on the disk before one has its name: a full one leaves nothing of them.
        manifest.write_text(json.dumps(record, indent=2))
        artifact.path.replace(kept.path)
        manifest.replace(_manifest_path(folder, kept.build_key))
    except OSError as error:
        raise unwritable(CACHE, folder, error) from error
    return kept


def past_builds_s(folder: Path) -> dict[str, float]:
    """Return the wall time of every build in the cache, seconds, by build key."""
    artifacts = [_read_manifest(path) for path in folder.glob("*.json")]
    return {artifact.build_key: artifact.build_s for artifact in artifacts if artifact is not None}


def write_whole(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it. Raises OSError when it cannot be written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _manifest_path(folder: Path, key: str) -> Path:
    return folder / f"{key}.json"


def _read_manifest(path: Path) -> Artifact | None:
    try:
        record = json.loads(path.read_text())
        return Artifact(
            build_key=record["build_key"],
            runtime=Runtime(record["runtime"]),
            path=path.parent / record["path"],
            digest=record["digest"],
            size_bytes=record["size_bytes"],
            input=_spec(record["input"]),
            output=_spec(record["output"]),
            target=_cpu(record["target"]),
            cpu_features=tuple(record["cpu_features"]),
            passes=tuple(record["passes"]),
            tool_versions=record["tool_versions"],
            build_s=record["build_s"],
            gpu=_gpu(record["gpu"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # an older version's, or half of one: built again


def _spec(record: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(record["name"], tuple(record["shape"]), record["dtype"])


def _gpu(record: Mapping[str, Any] | None) -> GpuTarget | None:
    return None if record is None else GpuTarget(Device(record["device"]), record["arch"])


def _cpu(record: Mapping[str, Any]) -> CpuTarget:
    return CpuTarget(record["triple"], record["mcpu"], tuple(record["mattr"]))
