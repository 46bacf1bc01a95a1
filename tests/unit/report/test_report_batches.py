"""What a report says of batches: what a latency is of, and nothing where every run takes one image."""

from dataclasses import replace

import report_runs
from rich.console import Console

from deltann.report.fields import TRIAL_FIELDS
from deltann.report.html import render_html
from deltann.report.methods import methods_paragraph
from deltann.report.paper import paper_tables
from deltann.report.terminal import trials_table
from deltann.report.terminal_details import trial_measures_tables
from deltann.report.verdict import judge

WORDS = "A latency is of one run, which takes as many images as the trial's batch"


def with_batches(data, batches=(1, 4)):
    """The run as if its trials were of one variant with these batches."""
    trials = []
    for trial, batch in zip(data.trials, batches, strict=True):
        measurement = trial.measurement
        cut = slice(None, len(measurement.latency_ns) // batch)
        of_runs = {
            name: getattr(measurement, name)[cut] for name in ("latency_ns", "start_ns", "round_index")
        }
        firsts = measurement.sample_index[cut] // batch * batch
        measurement = replace(measurement, **of_runs, sample_index=firsts, batch=batch)
        factors = {**data.trials[0].factors, "batch": str(batch)}
        trials.append(replace(trial, label=f"net/b{batch}", factors=factors, measurement=measurement))
    return replace(data, trials=tuple(trials))


def shown(renderable):
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def texts_of(data):
    comparison = report_runs.compare(data)
    return {
        "terminal": shown(trials_table(comparison)),
        "details": shown(trial_measures_tables(comparison)[0]),
        "page": render_html(data, comparison),
        "paper": str(paper_tables(data, comparison)),
        "methods": methods_paragraph(data, comparison),
        "verdict": str(judge(data, comparison)),
    }


def test_batches_are_said_wherever_a_latency_is():
    data = with_batches(report_runs.agreeing_run())
    comparison = report_runs.compare(data)
    (pair,) = comparison.pairs
    assert pair.factor == "batch"
    texts = texts_of(data)
    assert WORDS in " ".join(texts["terminal"].split())
    assert "ms for 4 images" in texts["terminal"]
    assert "For" in texts["details"]
    assert WORDS in texts["page"].replace("&#39;", "'")
    assert "for 4 images: " in texts["page"]
    assert "ms for 4 images" in texts["paper"]
    assert "runs of 1 or 4 images each" in texts["methods"]
    assert (
        "Between two batch sizes, the latencies of a run over its images were compared." in texts["methods"]
    )
    assert "(median for an image)" in texts["verdict"]


def test_nothing_is_said_where_every_run_takes_one_image():
    for name, text in texts_of(report_runs.agreeing_run()).items():
        for words in ("A latency is of one run", "for an image", "For an", "for 1 image", " images each"):
            assert words not in text, (name, words)


def test_the_time_for_an_image_is_a_field():
    assert "median_image_ns" in [field.column.name for field in TRIAL_FIELDS]
