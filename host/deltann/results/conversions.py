"""What converting the model of a run showed, as a file of its run folder."""

from collections.abc import Sequence

from deltann.core.conversion import RouteRecord
from deltann.core.place import Place
from deltann.results.json_file import read_records, records_json

CONVERSIONS_FILE = "conversions.json"


def conversions_json(routes: Sequence[RouteRecord]) -> bytes:
    """Return the records as JSON."""
    return records_json(RouteRecord, routes)


def read_conversions(path: Place) -> tuple[RouteRecord, ...]:
    """Return the records in a file, as `read_records`; without the file nothing was converted."""
    return read_records(RouteRecord, path, "the conversions of a run")
