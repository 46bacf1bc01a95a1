"""A run in a notebook: its trials, predictions, latencies, pairs and findings as data frames."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltann.compare.overview import compare_models
from deltann.core.comparison import Comparison
from deltann.core.errors import MissingPackageError, ResultsError
from deltann.core.overview import MODEL_FACTOR
from deltann.core.run_data import RunData
from deltann.core.words import suggest
from deltann.report.fields import FIELDS, Row, flat_effects, flat_rows
from deltann.report.overview_verdict import judge_overview
from deltann.report.verdict import verdict
from deltann.results.folder import RunFolder
from deltann.results.place import find_place
from deltann.results.query import ask_arrow
from deltann.results.tables import Column
from deltann.run.analysis import analyse

# The last attempt at each trial is the one that counts.
_LAST = (
    "with last as (select trial_id, max(attempt) as attempt, arg_max(label, attempt) as label, "
    "arg_max(board, attempt) as board from trials group by trial_id) "
)
_PREDICTIONS = _LAST + (
    "select trial_id, label, board, sample_index, sample_id, class_index as true_class, top1_class "
    "from predictions join last using (trial_id, attempt) join samples using (sample_index, sample_id) "
    "order by trial_id, sample_index"
)
_LATENCIES = _LAST + (
    "select trial_id, label, board, run_index, round_index, sample_index, sample_id, start_ns, latency_ns "
    "from latencies join last using (trial_id, attempt) join samples using (sample_index) "
    "order by trial_id, run_index"
)
_BLOCKS = (
    "select label, blocks.* from blocks join (select trial_id, arg_max(label, attempt) as label from trials "
    "group by trial_id) using (trial_id) order by board, lap, turn, started_unix_ns"
)


class Frame:
    """A table: of pyarrow inside, of pandas when asked. Whatever understands Arrow takes it as it is."""

    def __init__(self, table: Any) -> None:
        self._table = table

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self._table.column_names)

    def to_arrow(self) -> Any:
        """Return the pyarrow table."""
        return self._table

    def to_pandas(self) -> Any:
        """Return a pandas data frame.

        Raises
        ------
        MissingPackageError
            If pandas is not installed.
        """
        if find_spec("pandas") is None:
            raise MissingPackageError(
                "the package pandas is not installed", hint="pip install pandas, or use to_arrow()"
            )
        return self._table.to_pandas()

    def to_pylist(self) -> list[dict[str, Any]]:
        """Return the rows as dictionaries."""
        return list(self._table.to_pylist())

    def __getitem__(self, column: str) -> Any:
        """Return one column, a pyarrow array."""
        return self._table[column]

    def __len__(self) -> int:
        """Return how many rows there are."""
        return int(self._table.num_rows)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the table to another library, as the Arrow interface has it."""
        return self._table.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        """Return the size and the names of the columns."""
        return f"<Frame of {len(self)} rows: {', '.join(self.columns)}>"


class Run:
    """A run folder, finished or not. Everything is read and worked out when it is first asked for.

    Raises
    ------
    ResultsError
        If there is no such run, or it is made by a newer deltann.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = find_place(str(path))
        self._folder = RunFolder.open(self.path)

    @property
    def name(self) -> str:
        """The name of the study."""
        return self._folder.header.name

    @property
    def verdict(self) -> str:
        """What the run shows, in one sentence."""
        return verdict(*self.analysis)

    @cached_property
    def trials(self) -> Frame:
        """One row for each trial, by its last attempt: factors, status, accuracy, latencies."""
        return self._found("trials")

    @cached_property
    def pairs(self) -> Frame:
        """One row for each pair of trials that differ in one factor: labels, outputs, times."""
        return self._found("pairs")

    @cached_property
    def flips(self) -> Frame:
        """One row for each image that the trials of a pair label differently."""
        return self._found("flips")

    @cached_property
    def findings(self) -> Frame:
        """One row for each finding, the worst first."""
        return self._found("findings")

    @cached_property
    def effects(self) -> Frame:
        """One row for each effect of a factor, or of two together, on the times and on the disagreement."""
        return self._found("effects")

    @cached_property
    def blocks(self) -> Frame:
        """One row for each block of variants that took turns: latencies, verdict, circumstances."""
        return self.query(_BLOCKS)

    @cached_property
    def timings(self) -> Frame:
        """One row for each board on which variants took turns: how it ended, and by which protocol."""
        return self.query("select * from timings order by board")

    @cached_property
    def predictions(self) -> Frame:
        """One row for each image of each trial; `outputs` has the outputs."""
        return self.query(_PREDICTIONS)

    @cached_property
    def latencies(self) -> Frame:
        """One row for each timed run, in nanoseconds."""
        return self.query(_LATENCIES)

    def outputs(self, trial_id: str) -> NDArray[Any]:
        """Return all outputs of a trial, (images, outputs), in the order of the images.

        Raises
        ------
        ResultsError
            If there is no such trial, or it has no measurement.
        """
        trials = {trial.trial_id: trial for trial in self.analysis[0].trials}
        trial = trials.get(str(trial_id))
        if trial is None:
            raise ResultsError(
                f"there is no trial {str(trial_id)!r}",
                where=str(self.path),
                hint=suggest(str(trial_id), trials),
            )
        if trial.measurement is None:
            raise ResultsError(f"the trial {trial_id} failed: {trial.message}", where=str(self.path))
        return np.asarray(trial.measurement.outputs[:])

    def query(self, sql: str) -> Frame:
        """Return the answer to a query in DuckDB's SQL over the tables of the run folder.

        Raises
        ------
        QueryError
            If it is no query that can be answered.
        """
        return Frame(ask_arrow(self._folder, sql))

    def fields(self, name: str) -> tuple[Column, ...]:
        """Return the columns of one of the frames from `trials` to `effects`, with units and meanings."""
        return tuple(field.column for field in FIELDS[name])

    @cached_property
    def analysis(self) -> tuple[RunData, Comparison]:
        """The run as read back, and what it shows: what the frames are made of."""
        return analyse(self.path)

    def _found(self, name: str) -> Frame:
        return _frame_of(name, flat_rows(name, *self.analysis))

    def __repr__(self) -> str:
        """Return the name and the folder."""
        return f"<deltann run {self.name} in {self.path}>"


class Runs:
    """Runs of several models: the frames of all of them, with a column `model` before the others.

    A single one is `runs["its model"]`.

    Raises
    ------
    ResultsError
        If one is no run, or made by a newer deltann.
    StudyError
        If two are runs of the same model.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        runs = [Run(path) for path in paths]
        self._overview = compare_models([run.analysis for run in runs])
        self._runs = {one.model: run for one, run in zip(self._overview.runs, runs, strict=True)}

    @property
    def models(self) -> list[str]:
        """What the models are called."""
        return list(self._runs)

    @property
    def verdict(self) -> str:
        """What the runs show together, in one sentence."""
        return judge_overview(self._overview).sentence

    @cached_property
    def trials(self) -> Frame:
        """As `Run.trials`."""
        return self._together("trials")

    @cached_property
    def pairs(self) -> Frame:
        """As `Run.pairs`: no pair has two models."""
        return self._together("pairs")

    @cached_property
    def flips(self) -> Frame:
        """As `Run.flips`."""
        return self._together("flips")

    @cached_property
    def findings(self) -> Frame:
        """As `Run.findings`, model by model."""
        return self._together("findings")

    @cached_property
    def effects(self) -> Frame:
        """One row for each effect over all runs, the model being a factor; there is no column `model`."""
        return _frame_of("effects", flat_effects(self._overview.comparison))

    @cached_property
    def blocks(self) -> Frame:
        """As `Run.blocks`."""
        return self._together("blocks")

    @cached_property
    def timings(self) -> Frame:
        """As `Run.timings`."""
        return self._together("timings")

    @cached_property
    def predictions(self) -> Frame:
        """As `Run.predictions`."""
        return self._together("predictions")

    @cached_property
    def latencies(self) -> Frame:
        """As `Run.latencies`."""
        return self._together("latencies")

    def __getitem__(self, model: str) -> Run:
        """Return the run of one model."""
        return self._runs[model]

    def _together(self, name: str) -> Frame:
        import pyarrow as pa

        tables = []
        for model, run in self._runs.items():
            table = getattr(run, name).to_arrow()
            names = pa.array([model] * table.num_rows, pa.string())
            tables.append(table.add_column(0, MODEL_FACTOR, names))
        return Frame(pa.concat_tables(tables, promote_options="default"))

    def __repr__(self) -> str:
        """Return the models."""
        return f"<deltann runs of {', '.join(self.models)}>"


def _frame_of(name: str, rows: Iterable[Row]) -> Frame:
    import pyarrow as pa

    schema = pa.schema(
        [
            pa.field(
                field.column.name,
                pa.type_for_alias(field.column.type),
                metadata={"meaning": field.column.meaning, "unit": field.column.unit},
            )
            for field in FIELDS[name]
        ]
    )
    return Frame(pa.Table.from_pylist(list(rows), schema=schema))
