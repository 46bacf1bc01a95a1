"""The report of a run, or of several, as one HTML file that needs no network."""

import hashlib
from base64 import b64encode
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING

from deltann.core import format as formats
from deltann.core.block import Verdict
from deltann.core.comparison import Comparison
from deltann.core.errors import MissingPackageError
from deltann.core.overview import Overview
from deltann.core.place import Place
from deltann.core.run_data import RunData
from deltann.report.batches import batch_sentence, for_images
from deltann.report.files import write_whole
from deltann.report.flips import LARGE
from deltann.report.measures import MEASURES, shown_measures
from deltann.report.overview import build_overview
from deltann.report.page import build_page, tail
from deltann.report.pictures import thumbnail_uri
from deltann.report.terms import TERM_COLUMNS, factorial_remarks, factorial_title, term_name
from deltann.report.trial_measures import energy_sentence, format_energy

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = files("deltann.report") / "templates"


def write_html(data: RunData, comparison: Comparison, path: Place) -> int:
    """Write the report of one run, whole or not at all, and return its size in bytes.

    Raises
    ------
    MissingPackageError
        If jinja2 is not installed.
    ResultsError
        If the file cannot be written.
    """
    text = render_html(data, comparison)
    write_whole(path, text, "the report")
    return len(text.encode())


def render_html(data: RunData, comparison: Comparison) -> str:
    """Return the report of one run as one HTML document: styles, script and pictures are inside.

    Raises
    ------
    MissingPackageError
        If jinja2 is not installed.
    """
    return _render("report.html", page=build_page(data, comparison), thresholds=comparison.thresholds)


def write_overview(overview: Overview, path: Place) -> int:
    """Write the page over runs of several models, whole or not at all, and return its size in bytes.

    Raises
    ------
    MissingPackageError
        If jinja2 is not installed.
    ResultsError
        If the file cannot be written.
    """
    text = _render("overview.html", page=build_overview(overview, path))
    write_whole(path, text, "the report")
    return len(text.encode())


def _render(template: str, **content: object) -> str:
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template(template)
        .render(
            **content,
            version=version("deltann"),
            style="".join(
                (_TEMPLATES / name).read_text(encoding="utf-8") for name in ("report.css", "figure.css")
            ),
            script=script,
            # The page may run this script and nothing else, and may fetch nothing at all.
            script_digest=b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        )
    )


def _environment() -> "Environment":
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "the HTML report needs jinja2", hint="Run: pip install 'deltann[host]'"
        ) from error
    environment = Environment(
        loader=PackageLoader("deltann.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": formats.format_duration,
        "bytes": formats.format_bytes,
        "energy": format_energy,
        "plain": formats.format_plain,
        "share": formats.format_share,
        "ratio": formats.format_ratio,
        "interval": formats.format_interval,
        "number": formats.format_number,
        "cosine": formats.format_cosine,
        "p_value": formats.format_p_value,
        "tick": formats.format_tick,
        "glue": formats.glue_units,
        "moment": formats.format_moment,
        "thumbnail": thumbnail_uri,
        "tail": tail,
        "cause": formats.cause_words,
    }
    environment.globals |= {
        "plural": formats.plural,
        "range_of": formats.format_range,
        "dash": formats.MISSING,
        "shown_measures": shown_measures,
        "measure_groups": MEASURES,
        "large_flips": LARGE,
        "energy_sentence": energy_sentence,
        "batch_sentence": batch_sentence,
        "for_images": for_images,
        "term_columns": TERM_COLUMNS,
        "term_name": term_name,
        "factorial_title": factorial_title,
        "factorial_remarks": factorial_remarks,
        "verdicts": tuple(Verdict),
    }
    return environment
