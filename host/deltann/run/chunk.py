"""Outputs of many pairs compared in chunks, each in a child process: as many at once as a crew takes."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from deltann.child import serve
from deltann.compare.answers import RANKINGS_KEPT_BYTES, Answers, answers_of
from deltann.compare.comparison import Oriented, OutputsCompared, compare_outputs, truth_for
from deltann.convert.packages import versions_of
from deltann.core.comparison import LabelComparison, TensorComparison
from deltann.core.recent import Recent
from deltann.core.run_data import RunData
from deltann.crew import HERE, ChildTask, Crew, abreast
from deltann.results import rows
from deltann.results.folder import OUTPUTS_KEPT_BYTES, RunFolder
from deltann.results.json_file import read_records, records_json
from deltann.results.outputs import StoredOutputs
from deltann.results.place import find_place
from deltann.results.storage import read_table

WORTH_IT = 200_000_000
"""So many numbers on one side of all pairs take half a minute; fewer are compared without children."""

LEAST_WIDTH = 4
"""Children rank the outputs of a trial anew in each chunk: two at once take as long as none."""

DEADLINE_S = 3600.0
_MODULE = "deltann.run.chunk"
_FILE = "compared.json"

Couple = tuple[int, int]
"""A pair by the indices of its trials, the reference first."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What comparing the outputs of a couple gave."""

    couple: Couple
    labels: LabelComparison | None
    tensors: TensorComparison | None


def compare_in_chunks(
    folder: RunFolder, data: RunData, pairs: Sequence[Oriented], near_tie_factor: float, crew: Crew = HERE
) -> dict[Couple, OutputsCompared]:
    """Return what `compare_outputs` gives of pairs, where there is much to compare.

    Nothing is returned of a run that is compared sooner than processes start, nor of pairs whose process
    failed.

    Raises
    ------
    ClusterError
        As `Crew.run`.
    """
    stored = {
        index: trial.measurement.outputs
        for index, trial in enumerate(data.trials)
        if trial.measurement and isinstance(trial.measurement.outputs, StoredOutputs)
    }
    couples = sorted({(a, b) for a, b, _ in pairs if a in stored and b in stored})
    # A run in an object storage is read from there by this machine, which has the credentials.
    crew = crew if isinstance(folder.path, Path) else HERE
    numbers = sum(len(stored[a]) * stored[a].shape[1] for a, _ in couples)
    if numbers < WORTH_IT or crew.width < LEAST_WIDTH:
        return {}
    # Couples of one trial stay together: what follows from its outputs alone is worked out once in a chunk.
    cuts = np.linspace(0, len(couples), min(crew.width, len(couples)) + 1).astype(int).tolist()
    chunks = [couples[first:last] for first, last in pairwise(cuts)]

    def compare(chunk: list[Couple]) -> tuple[Compared, ...]:
        used = {index: stored[index] for couple in chunk for index in couple}
        return _compare_chunk(folder, used, chunk, data.labels.offset, near_tie_factor, crew)

    found = [one for part in abreast(crew, compare, chunks, here=HERE.width) for one in part]
    return {one.couple: (one.labels, one.tensors) for one in found}


def _compare_chunk(
    folder: RunFolder,
    outputs: dict[int, StoredOutputs],
    couples: Sequence[Couple],
    offset: int,
    near_tie_factor: float,
    crew: Crew,
) -> tuple[Compared, ...]:
    samples = folder.table_file("samples", "samples")
    files = [samples, *(one.path for one in outputs.values())]
    with tempfile.TemporaryDirectory(prefix="deltann-chunk-") as scratch:
        request = {
            "samples": _words(samples),
            "outputs": {
                str(index): {"file": _words(one.path), "dtype": one.dtype.str, "width": one.shape[1]}
                for index, one in outputs.items()
            },
            "couples": couples,
            "offset": offset,
            "near_tie_factor": near_tie_factor,
            "written": str(Path(scratch) / _FILE),
        }
        task = ChildTask(
            _MODULE,
            request,
            folder=Path(scratch),
            reads=tuple(file.absolute() for file in files if isinstance(file, Path)),
            versions={name: version or "" for name, version in versions_of(("numpy", "scipy")).items()},
            deadline_s=DEADLINE_S,
        )
        if crew.run(task).cause is not None:
            return ()
        return read_records(Compared, Path(scratch) / _FILE, "what a process compared")


def _words(place: Any) -> str:
    return str(place.absolute() if isinstance(place, Path) else place)


def compare_chunk(request: dict[str, Any]) -> None:
    """Be the child: compare the outputs of couples and write what that gives to a file."""
    samples = rows.samples_of(read_table(find_place(request["samples"]), "samples", rows.SAMPLE))
    groups, rankings = Recent(OUTPUTS_KEPT_BYTES), Recent(RANKINGS_KEPT_BYTES)
    answers: dict[int, Answers] = {}
    for index, one in request["outputs"].items():
        outputs = StoredOutputs(find_place(one["file"]), np.dtype(one["dtype"]), one["width"], groups)
        answers[int(index)] = answers_of(outputs, request["offset"], rankings)
    found = []
    for a, b in request["couples"]:
        truth = truth_for(answers[a], samples, request["offset"])
        compared = compare_outputs(answers[a], answers[b], samples, truth, request["near_tie_factor"])
        found.append(Compared((a, b), *compared))
    Path(request["written"]).write_bytes(records_json(Compared, found))


if __name__ == "__main__":
    serve(compare_chunk)
