"""The run folder: everything about one run, written as it goes and read back whole.

    run.json                              what the run is, with the version of the schema
    study.yaml, plan.json                 what was asked for, and what was planned
    resolved.yaml                         the same study with every default and absolute paths
    suspects.json                         recipes that would explain pairs which differ in many labels
    conversions.json                      what converting the model showed, where it was converted
    tables/<table>/<name>.parquet         see `tables`; the name is `<trial>-<attempt>` for attempts

A file appears under its name only when it is whole. An attempt is finished when its file in
`tables/trials` is there; files of an attempt without one are leftovers, which nobody reads.
"""

import contextlib
import errno
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from deltann.core.artifact import Artifact, BuildFailure
from deltann.core.block import Block, TimingEnd
from deltann.core.conversion import RouteRecord
from deltann.core.errors import ResultsError
from deltann.core.inputs import InputSet, Sample
from deltann.core.model import ModelSource
from deltann.core.place import Place
from deltann.core.recent import Recent
from deltann.core.record import TrialRecord
from deltann.core.run_data import EnvironmentFact, RunData, TrialResult
from deltann.core.trial import Cause, Status
from deltann.results import rows
from deltann.results.block_rows import block_row, blocks_of, timing_of, timing_row
from deltann.results.conversions import CONVERSIONS_FILE, conversions_json, read_conversions
from deltann.results.header import RunHeader, header_json, read_header
from deltann.results.outputs import StoredOutputs
from deltann.results.storage import drafted, give_back, read_table, write_bytes, write_table
from deltann.results.suspects import SUSPECTS_FILE, Suspect, suspects_json
from deltann.results.tables import ATTEMPT_TABLES
from deltann.results.thumbnails import StoredThumbnails

OUTPUTS_KEPT_BYTES = 16 * 2**20
RUN_FILE, STUDY_FILE, RESOLVED_FILE, PLAN_FILE = "run.json", "study.yaml", "resolved.yaml", "plan.json"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """How a finished attempt at a trial ended."""

    attempt: int
    status: Status
    cause: Cause | None


class RunFolder:
    """One run's folder, open for reading and writing. Attempts may be written from several threads."""

    def __init__(self, path: Place, header: RunHeader) -> None:
        self.path = path
        self.header = header

    @classmethod
    def create(
        cls,
        path: Place,
        *,
        name: str,
        created: str,
        model: ModelSource,
        inputs: InputSet,
        planned_trials: Sequence[str],
        boards: Mapping[str, Mapping[str, str]],
        study_text: str,
        resolved_study: str,
        plan_json: str,
    ) -> Self:
        """Make a new run folder; it appears whole or not at all.

        Parameters
        ----------
        created
            When the run began, ISO 8601 with offset.
        boards
            By its name, what of each board must stay the same while the run goes on.
        study_text, resolved_study, plan_json
            Kept as they are: the study as given, and the same with all defaults and absolute paths, from
            which a run goes on.

        Raises
        ------
        ResultsError
            If something is there already, or it cannot be written.
        """
        if path.exists() and not (path.is_dir() and not any(True for _ in path.iterdir())):
            raise ResultsError(
                "this folder is not empty, a new run would mix with what is in it",
                where=str(path),
                hint="Choose another one, or go on with the run in it: `deltann run --resume`",
            )
        header = RunHeader(
            name,
            created,
            model.name,
            model.digest,
            model.labels,
            tuple(planned_trials),
            inputs.digest,
            inputs.shape,
            boards,
            model.recipe,
        )
        with (
            _explained(path, "Free some space, or choose another folder with more"),
            drafted(path) as building,
        ):
            write_bytes(building / STUDY_FILE, study_text.encode())
            write_bytes(building / RESOLVED_FILE, resolved_study.encode())
            write_bytes(building / PLAN_FILE, plan_json.encode())
            draft = cls(building, header)
            write_table(
                draft.table_file("samples", "samples"), rows.samples_reader(inputs.samples, inputs.thumbnails)
            )
            draft._write_rows("unreadable", "unreadable", [asdict(image) for image in inputs.unreadable])
            write_bytes(building / RUN_FILE, header_json(header))  # the last: it makes a folder a run
        return cls(path, header)

    @classmethod
    def open(cls, path: Place) -> Self:
        """Open a run folder.

        Raises
        ------
        ResultsError
            If it is missing, not a run folder, made by a newer deltann, or damaged.
        """
        if not path.is_dir():
            raise ResultsError(
                "there is no such run folder", where=str(path), hint="Name the folder of a run"
            )
        file = path / RUN_FILE
        if not file.is_file():
            raise ResultsError(
                f"not a run folder: it has no {RUN_FILE}", where=str(path), hint="Name the folder of a run"
            )
        return cls(path, read_header(file))

    @property
    def study_text(self) -> str:
        """The study as given."""
        return self._read_text(STUDY_FILE)

    @property
    def plan_json(self) -> str:
        """The plan as given."""
        return self._read_text(PLAN_FILE)

    @cached_property
    def samples(self) -> tuple[Sample, ...]:
        """The samples in the order of the input set."""
        return rows.samples_of(read_table(self.table_file("samples", "samples"), "samples", rows.SAMPLE))

    @cached_property
    def _sample_ids(self) -> Any:
        # A pyarrow array: 100,000 names are 1 MB there, and ten times that as strings.
        table = read_table(self.table_file("samples", "samples"), "samples", ["sample_index", "sample_id"])
        return table.sort_by("sample_index")["sample_id"].combine_chunks()

    def write_environment(self, facts: Sequence[EnvironmentFact]) -> None:
        """Write the circumstances of the run, in place of what was written before.

        Raises
        ------
        ResultsError
            If it cannot be written.
        """
        with self._writing():
            self._write_rows("environment", "environment", [asdict(fact) for fact in facts])

    def write_conversions(self, routes: Sequence[RouteRecord]) -> None:
        """Write what converting the model along each route showed.

        Raises
        ------
        ResultsError
            If it cannot be written.
        """
        with self._writing():
            write_bytes(self.path / CONVERSIONS_FILE, conversions_json(routes))

    def write_suspects(self, suspects: Sequence[Suspect]) -> None:
        """Write the recipes that were suspected; raises ResultsError if they cannot be written."""
        with self._writing():
            write_bytes(self.path / SUSPECTS_FILE, suspects_json(suspects))

    def write_build(self, build: Artifact | BuildFailure) -> None:
        """Write how a build ended, in place of what was written of it before.

        Raises
        ------
        ResultsError
            If it cannot be written.
        """
        with self._writing():
            self._write_rows("builds", build.build_key, [rows.build_row(build)])

    def write_attempt(self, record: TrialRecord) -> None:
        """Write an attempt at a trial: afterwards it is on the disk whole, or nothing of it is.

        Raises
        ------
        ResultsError
            If this attempt is there already, its outputs do not fit the input set, or it cannot be written.
        """
        name = f"{record.trial.trial_id}-{record.attempt}"
        if self.table_file("trials", name).exists():
            raise ResultsError(
                f"attempt {record.attempt} at trial {record.trial.trial_id} is recorded already",
                where=str(self.path),
                hint="A run folder can be written by one run at a time",
            )
        tables = self._attempt_tables(record)
        with self._writing():
            try:
                for table in ATTEMPT_TABLES:
                    self.table_file(table, name).unlink(missing_ok=True)  # an interrupted writer's
                for table, content in tables.items():
                    write_table(self.table_file(table, name), content)
                self._write_rows("trials", name, [rows.trial_row(record)])
            except BaseException:
                for table in ("trials", *tables):
                    self.table_file(table, name).unlink(missing_ok=True)
                raise
            finally:
                give_back()

    def write_blocks(self, board: str, blocks: Sequence[Block]) -> None:
        """Write blocks of a board, after those that are there.

        Raises
        ------
        ResultsError
            If they cannot be written.
        """
        number = len(self._files_of("blocks", board))
        with self._writing():
            self._write_rows("blocks", f"{board}-{number:05}", [block_row(block) for block in blocks])

    def write_timing(self, end: TimingEnd) -> None:
        """Write how the timing of a board ended; raises ResultsError if it cannot be written."""
        with self._writing():
            self._write_rows("timings", end.board, [timing_row(end)])

    def blocks(self, board: str) -> tuple[Block, ...]:
        """Return the blocks of a board, in the order they ran.

        Raises
        ------
        ResultsError
            If a file is damaged.
        """
        return tuple(
            block
            for file in self._files_of("blocks", board)
            for block in blocks_of(read_table(file, "blocks").to_pylist())
        )

    def timings(self) -> tuple[TimingEnd, ...]:
        """Return how the timing of each board ended that has ended; raises ResultsError as `blocks`."""
        return tuple(
            timing_of(row)
            for file in self.finished_files("timings")
            for row in read_table(file, "timings").to_pylist()
        )

    def attempts(self) -> dict[str, list[AttemptEnd]]:
        """Return how the finished attempts at each trial ended, by trial id, in their order.

        Raises
        ------
        ResultsError
            If a file is damaged.
        """
        ends: dict[str, list[AttemptEnd]] = {}
        for file in self.finished_files("trials"):
            (row,) = read_table(file, "trials", ["trial_id", "attempt", "status", "cause"]).to_pylist()
            cause = None if row["cause"] is None else Cause(row["cause"])
            ends.setdefault(row["trial_id"], []).append(
                AttemptEnd(row["attempt"], Status(row["status"]), cause)
            )
        return {trial: sorted(found, key=lambda end: end.attempt) for trial, found in ends.items()}

    def finished_files(self, table: str) -> list[Place]:
        """Return the Parquet files of a table, sorted; those of unfinished attempts are left out."""
        files = self._all_files(table)
        if table not in ATTEMPT_TABLES:
            return files
        finished = {file.stem for file in self._all_files("trials")}
        return [file for file in files if file.stem in finished]

    def load(self) -> RunData:
        """Return the run as it is now, each trial by its last attempt; it need not be finished.

        Raises
        ------
        ResultsError
            If a file is missing or damaged.
        """
        header = self.header
        recent = Recent(OUTPUTS_KEPT_BYTES)
        builds = {
            row["build_key"]: row
            for file in self.finished_files("builds")
            for row in read_table(file, "builds").to_pylist()
        }
        data = RunData(
            path=self.path,
            name=header.name,
            created=header.created,
            model_name=header.model_name,
            model_digest=header.model_digest,
            labels=header.labels,
            recipe=header.recipe,
            planned_trials=len(header.planned_trials),
            trials=tuple(self._load_trial(row, builds, recent) for row in self._last_attempts()),
            samples=self.samples,
            unreadable=rows.unreadable_of(self._read_rows("unreadable", "unreadable")),
            environment=rows.facts_of(self._read_rows("environment", "environment")),
            thumbnails=StoredThumbnails(self.table_file("samples", "samples")),
            conversions=read_conversions(self.path / CONVERSIONS_FILE),
            input_digest=header.input_digest,
            blocks=tuple(block for board in header.boards for block in self.blocks(board)),
            timings=self.timings(),
        )
        give_back()
        return data

    def _all_files(self, table: str) -> list[Place]:
        return sorted((self.path / "tables" / table).glob("*.parquet"), key=lambda file: file.name)

    def _files_of(self, table: str, board: str) -> list[Place]:
        return [file for file in self.finished_files(table) if file.stem.rpartition("-")[0] == board]

    def _last_attempts(self) -> list[rows.Row]:
        last: dict[str, rows.Row] = {}
        for file in self.finished_files("trials"):
            (row,) = read_table(file, "trials").to_pylist()
            known = last.get(row["trial_id"])
            if known is None or known["attempt"] < row["attempt"]:
                last[row["trial_id"]] = row
        return [last[trial] for trial in self.header.planned_trials if trial in last]

    def _load_trial(self, row: rows.Row, builds: dict[str, rows.Row], recent: Recent) -> TrialResult:
        name = f"{row['trial_id']}-{row['attempt']}"
        measurement = None
        if row["status"] == Status.OK.value:
            file, dtype = self.table_file("predictions", name), np.dtype(row["output_dtype"])
            measurement = rows.measurement_of(
                row,
                StoredOutputs(file, dtype, row["output_count"], recent),
                read_table(self.table_file("latencies", name), "latencies", rows.TIMES),
            )
        return rows.result_of(
            row,
            builds.get(row["build_key"]),
            measurement,
            rows.readings_of(self._read_rows("telemetry", name)),
            rows.kernels_of(self._read_rows("kernels", name)),
        )

    def _attempt_tables(self, record: TrialRecord) -> dict[str, Any]:
        tables: dict[str, Any] = {}
        measurement = record.measurement
        if measurement is not None:
            ids, shape = self._sample_ids, measurement.outputs.shape
            if len(shape) != 2 or shape[0] != len(ids):
                raise ResultsError(
                    f"trial {record.trial.trial_id} has outputs of shape {shape} for {len(ids)} inputs",
                    where=str(self.path),
                )
            tables["predictions"] = rows.predictions_reader(
                record, measurement, ids, self.header.labels.offset
            )
            tables["latencies"] = rows.latencies_reader(record, measurement)
        if record.readings:
            tables["telemetry"] = rows.table_of("telemetry", rows.reading_rows(record))
        if record.kernels:
            tables["kernels"] = rows.table_of("kernels", rows.kernel_rows(record))
        return tables

    def table_file(self, table: str, name: str) -> Place:
        """Return where a file of a table lies, or would."""
        return self.path / "tables" / table / f"{name}.parquet"

    def _write_rows(self, table: str, name: str, content: Sequence[rows.Row]) -> None:
        write_table(self.table_file(table, name), rows.table_of(table, content))

    def _read_rows(self, table: str, name: str) -> list[rows.Row]:
        # A run need not have facts yet, nor an attempt readings or kernels.
        file = self.table_file(table, name)
        return [] if not file.exists() else list(read_table(file, table).to_pylist())

    def _read_text(self, name: str) -> str:
        try:
            return (self.path / name).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ResultsError(f"this run folder is damaged: {error}", where=str(self.path / name)) from error

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        return _explained(
            self.path, f"Free some space, then continue with `deltann run --resume {self.path}`"
        )


@contextlib.contextmanager
def _explained(path: Place, full_hint: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno not in _FULL:
            raise ResultsError(f"the run folder cannot be written ({reason})", where=str(path)) from error
        # What goes to an object storage is whole on this disk first.
        there = Path(tempfile.gettempdir()) if not isinstance(path, Path) else path
        free = shutil.disk_usage(there if there.exists() else there.parent).free / 2**20
        raise ResultsError(
            f"the disk is full ({free:.1f} MiB free)", where=str(path), hint=full_hint
        ) from error
