import re
from dataclasses import replace

import numpy as np
import pytest
import report_runs
from report_outline import Outline

from deltann.core.comparison import EnergyPart, Finding, FindingKind, Severity
from deltann.core.errors import ResultsError
from deltann.core.inputs import UnreadableImage
from deltann.report import flips
from deltann.report.effects import sort_pairs
from deltann.report.html import render_html, write_html
from deltann.report.trial_measures import energy_sentence
from deltann.report.verdict import verdict


def render(data):
    page = render_html(data, report_runs.compare(data))
    return page, Outline(page)


@pytest.fixture(scope="module")
def rich_page(rich):
    page = render_html(*rich)
    return page, Outline(page)


def test_the_verdict_comes_first(rich, rich_page):
    data, comparison = rich
    page, outline = rich_page
    sentence = verdict(data, comparison)
    assert sentence in outline.text
    assert page.index(f"<h1>{sentence}") < page.index("<section")


def test_sections_are_in_order_and_every_link_has_its_target(rich_page):
    _, outline = rich_page
    ids = [attrs["id"] for tag, attrs in outline.elements if tag in {"header", "section"} and "id" in attrs]
    assert ids == [
        "verdict",
        "agreement",
        "trials",
        "latency",
        "factors",
        "effects",
        "flips",
        "findings",
        "kernels",
        "environment",
        "methods",
    ]
    every = [attrs["id"] for _, attrs in outline.elements if "id" in attrs]
    assert len(every) == len(set(every))
    assert {link.removeprefix("#") for link in outline.all("a", "href")} <= set(every)


def test_nothing_is_fetched(rich_page):
    page, outline = rich_page
    addresses = [
        attrs[name]
        for _, attrs in outline.elements
        for name in ("src", "href", "action", "data", "poster")
        if name in attrs
    ]
    assert addresses
    assert all(address.startswith(("#", "data:image/jpeg;base64,")) for address in addresses)
    assert not re.search(r"url\(|@import|https?://", page)
    assert not any(tag in {"link", "iframe", "object"} for tag, _ in outline.elements)


def test_the_policy_allows_the_one_script(rich_page):
    page, _ = rich_page
    import base64
    import hashlib

    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page


def test_the_matrix_has_headers_and_marks_tested_pairs(rich, rich_page):
    page, _ = rich_page
    (table,) = re.findall(r'<table class="heat.*?</table>', page, re.DOTALL)
    assert table.count('scope="col"') == table.count('scope="row"') == 10
    tested = len([pair for pair in rich[1].pairs if pair.labels])
    assert table.count(" tested pair</i>") == 2 * tested
    assert "which differ only in fast_math: 2 of 20 images differ" in table


def test_a_matrix_of_many_trials_has_its_counts_in_words_too():
    base = report_runs.base_outputs(20)
    trials = [
        report_runs.trial(
            report_runs.measure(report_runs.flip(base, 4, 9, 1.0) if row == 12 else base, 10),
            trial_id=str(row),
            label=f"v{row}",
        )
        for row in range(13)
    ]
    page, _ = render(report_runs.run_of(trials))
    (table,) = re.findall(r'<table class="heat agreement small.*?</table>', page, re.DOTALL)
    visible = re.sub(r'title="[^"]*"', "", table)
    assert visible.count("percent, 1 of 20 images differ") == 2 * 12
    assert visible.count("percent, 0 of 20 images differ") == 13 * 12 - 2 * 12


def how_to_read(page):
    (words,) = re.findall(r"<h3>How to read the numbers</h3>(.*?)</section>", page, re.DOTALL)
    return " ".join(re.sub("<[^>]*>", "", words).split())


def test_how_to_read_times_of_images(rich_page):
    words = how_to_read(rich_page[0])
    assert "on the latencies of the same images" in words
    assert "laps" not in words
    assert "noise floor" not in words


def test_each_flipped_image_is_shown_once_with_all_answers(rich_page):
    page, outline = rich_page
    assert sorted(outline.all("img", "alt")) == ["photo_03.jpg", "photo_11.jpg", "photo_17.jpg"]
    (card,) = [part for part in page.split('<article class="card flipped">') if 'alt="photo_17.jpg"' in part]
    assert "True label: <b>water ouzel</b>" in card
    assert "confident flip" in card
    assert "bald eagle" in card
    assert len(re.findall("<li data-trial=", card)) == 10, "every variant's answer"


def test_failures_show_cause_message_and_log(rich_page):
    _, outline = rich_page
    assert "build crash" in outline.text
    assert "the compiler was killed by signal 11" in outline.text
    assert "segmentation fault" in outline.text
    assert "broken.png : the file ends too early" in outline.text


def test_kernels_are_the_slowest_fifteen(rich_page):
    page, _ = rich_page
    assert "fused_conv2d0_add_clip" in page
    assert "fused_conv2d14_add_clip" in page
    assert "fused_conv2d15_add_clip" not in page


def test_what_could_not_be_read_has_its_reason(rich_page):
    assert "Temperature, °C on local: not readable: this machine has no sensor." in rich_page[1].text


def test_passes_that_ran_are_listed(rich_page):
    assert "StaticPlanBlockMemory" in rich_page[1].text


def test_text_from_outside_is_harmless():
    evil = "<script>alert(1)</script>"
    data = report_runs.rich_run()
    trials = tuple(
        replace(trial, label=evil + trial.label, message=evil, log=evil, board=evil, passes=(evil,))
        for trial in data.trials
    )
    trials = tuple(replace(trial, factors=trial.factors | {"importer": evil}) for trial in trials)
    data = replace(
        data,
        name=evil,
        model_name=evil,
        model_digest=evil,
        created=evil,
        trials=trials,
        samples=tuple(
            replace(sample, sample_id=f'"><img src=x onerror="{evil}">') for sample in data.samples
        ),
        unreadable=(UnreadableImage(evil, evil),),
        labels=replace(data.labels, names=tuple(evil for _ in data.labels.names)),
    )
    page, outline = render(data)
    assert evil not in page
    assert len(re.findall("<script", page)) == 1
    assert all(not name.startswith("on") for _, attrs in outline.elements for name in attrs)
    assert all(source.startswith("data:") for source in outline.all("img", "src"))


@pytest.mark.parametrize(
    "data",
    [
        report_runs.run_of([report_runs.failed_trial()]),
        report_runs.run_of([], planned_trials=3),
        report_runs.agreeing_run(("O3",)),
        replace(report_runs.agreeing_run(), samples=report_runs.samples(20, labelled=False)),
        replace(report_runs.agreeing_run(), planned_trials=9),
        replace(report_runs.agreeing_run(), environment=()),
    ],
    ids=["only failures", "nothing ran", "one trial", "no labels", "unfinished", "no facts"],
)
def test_every_kind_of_run_can_be_shown(data):
    _, outline = render(data)
    assert verdict(data, report_runs.compare(data)) in outline.text
    ids = {attrs["id"] for _, attrs in outline.elements if "id" in attrs}
    assert {link.removeprefix("#") for link in outline.all("a", "href")} <= ids
    if data.planned_trials > len(data.trials):
        assert f"unfinished: {len(data.trials)} of {data.planned_trials} trials" in outline.text


def test_only_the_best_of_a_real_board_is_marked():
    outputs = report_runs.base_outputs(20)
    trials = [
        report_runs.trial(report_runs.measure(outputs, 30), level="O0"),
        report_runs.trial(report_runs.measure(outputs, 20), level="O3"),
        report_runs.trial(report_runs.measure(outputs, 1), level="O0", board="qemu", emulated=True),
        report_runs.trial(report_runs.measure(outputs, 2), level="O3", board="qemu", emulated=True),
    ]
    page, outline = render(report_runs.run_of(trials))
    (body,) = re.findall(r'<table class="data sortable">.*?</table>', page, re.DOTALL)
    (fastest,) = [row for row in body.split("<tr") if ">fastest<" in row]
    assert "20." in fastest
    assert "qemu" not in fastest
    assert "They are not ranked" in outline.text
    assert "qemu is emulated" in outline.text


def flipping_run(flipped, count=4000):
    """A run of two trials that differ on the first `flipped` images."""
    outputs = report_runs.base_outputs(count)
    other = outputs.copy()
    for index in range(flipped):
        other[index, (index + 5) % len(report_runs.CLASSES)] = 20.0
    trials = [
        report_runs.trial(report_runs.measure(outputs, 30), level="O0"),
        report_runs.trial(report_runs.measure(other, 20), level="O3"),
    ]
    return report_runs.run_of(trials, count=count)


def rows_of(page):
    (rows,) = re.findall(r'<ol class="rows".*?</ol>', page, re.DOTALL)
    return re.findall(r"<b>(photo_\d+\.jpg)</b>", rows)


def test_hundreds_of_flips_are_all_shown_and_the_file_stays_small():
    page, outline = render(flipping_run(479))
    names = {f"photo_{index:02d}.jpg" for index in range(479)}
    large = [name for name in outline.all("img", "alt") if name]
    assert len(large) == 60
    assert len(rows_of(page)) == 419
    assert {*large, *rows_of(page)} == names
    assert len(outline.all("img", "src")) == 479
    assert outline.all("img", "loading") == ["lazy"] * 419
    assert "The first 60 of 479 images are shown large" in outline.text
    assert "419 more flipped images" in outline.text
    assert "have a picture" not in outline.text
    assert len(page) < 1_200_000


def test_a_row_has_both_answers_with_their_margins():
    data = flipping_run(61)
    page, outline = render(data)
    (name,) = rows_of(page)
    index = int(name.removeprefix("photo_").removesuffix(".jpg"))
    (row,) = re.findall(r'<ol class="rows".*?</ol>', page, re.DOTALL)
    outputs = [trial.measurement.outputs[index] for trial in data.trials]
    margins = [np.sort(found)[-1] - np.sort(found)[-2] for found in outputs]
    for class_index, margin in zip((index, index + 5), margins, strict=True):
        word = report_runs.CLASSES[class_index % len(report_runs.CLASSES)]
        assert re.search(rf"<b>{word}</b>.*1 trial, margin {margin:.3g}<", row)
    assert f"True label: {report_runs.CLASSES[index % len(report_runs.CLASSES)]}" in row
    assert "confident flip" in row
    assert "1 more flipped image" in outline.text


def test_beyond_two_thousand_flips_rows_have_no_pictures():
    page, outline = render(flipping_run(2601))
    assert len(outline.all("img", "src")) == 2000
    rows = rows_of(page)
    assert len(set(rows)) == len(rows) == 2541
    assert "Only the first 2,000 flipped images have a picture" in outline.text
    assert "601 rows without one follow after them" in outline.text
    (last_row,) = re.findall(rf"<li>[^\n]*<b>{rows[-1]}</b>.*", page)
    assert "<img" not in last_row
    assert len(page) < 6_000_000


def test_beyond_three_thousand_flips_it_says_how_many_are_left_out_and_where_they_are():
    page, outline = render(flipping_run(3100))
    assert len(rows_of(page)) == 2940
    assert "3,100 images flipped" in outline.text
    assert "the next 2940 in rows below" in outline.text
    assert "the last 100 images in this order are not shown" in outline.text
    assert "flips.csv" in outline.text
    assert "having min(top1_class) < max(top1_class)" in outline.text
    assert len(page) < 6_000_000


def test_pictures_that_are_too_large_together_are_left_out_and_that_is_said(monkeypatch):
    monkeypatch.setattr(flips, "MOST_PICTURE_BYTES", 50_000)
    page, outline = render(flipping_run(200, count=200))
    pictures = len(outline.all("img", "src"))
    assert 60 < pictures < 200
    assert f"Only the first {pictures} flipped images have a picture" in outline.text
    assert len(rows_of(page)) == 140


def test_findings_that_are_not_shown_are_counted():
    data = report_runs.agreeing_run()
    comparison = report_runs.compare(data)
    one = Finding(FindingKind.SENSOR, Severity.NOTE, (), None, "a thermometer reads nothing")
    many = replace(comparison, findings=(one,) * 311)
    text = Outline(render_html(data, many)).text
    assert "303 more findings" in text
    assert text.count(one.text) == 300
    assert "11 findings more are not shown here" in text
    assert "findings.csv" in text


def test_what_a_column_is_stands_in_its_heading(rich_page):
    (heads,) = re.findall(r'<table class="data sortable">.*?</thead>', rich_page[0], re.DOTALL)
    assert re.search(r"Per second</abbr><small[^>]*>batch / median<", heads)
    assert re.search(r"Peak memory</abbr><small[^>]*>resident<", heads)


def test_an_energy_says_when_its_power_was_read():
    data = report_runs.agreeing_run()
    _, without = render(data)
    assert "No energy is given: " in without.text
    assert "read between runs" not in without.text
    trials = tuple(
        replace(trial, readings=tuple(replace(one, rails=(("VDD_IN", 5e3),)) for one in trial.readings))
        for trial in data.trials
    )
    _, outline = render(replace(data, trials=trials))
    assert "The power is read between runs, while the worker waits, which leans towards" in outline.text
    assert "No energy" not in outline.text


def test_boards_whose_energy_is_of_unlike_parts_are_named():
    first, second, *_ = report_runs.compare(report_runs.agreeing_run()).trials
    of_board = replace(first, board="nano", energy_mj=1.0, energy_part=EnergyPart.BOARD)
    of_processor = replace(second, board="desk", energy_mj=1.0, energy_part=EnergyPart.PROCESSOR)
    alone = energy_sentence([of_processor])
    assert alone.startswith("Energy is what the processor itself counted")
    both = energy_sentence([of_board, of_processor])
    assert both.startswith("On nano: Energy is the power of the whole board")
    assert both.endswith(f"On desk: {alone}")


def test_the_interval_of_a_median_is_in_the_words_of_its_drawing(rich, rich_page):
    known = sum(trial.median_ci95_ns is not None for trial in rich[1].trials)
    labels = re.findall(r'aria-label="([^"]*: median [^"]*)"', rich_page[0])
    assert known == len(labels) == 10
    assert all(", its 95 % interval " in label for label in labels)


def test_each_pair_has_all_its_numbers_with_what_they_mean(rich, rich_page):
    page, outline = rich_page
    pairs = sort_pairs(rich[1])
    blocks = re.findall(r'<details class="numbers">.*?</details>', page, re.DOTALL)
    assert len(blocks) == len(pairs) > 20
    assert page.count('<details class="numbers"') == len(blocks)
    for name in (
        "Top-5 overlap",
        "RBO",
        "Kendall tau",
        "McNemar",
        "Mean difference",
        "Mean relative",
        "Max ULP",
    ):
        assert all(f"<dt>{name}<small>" in block for block in blocks)
    (flipping,) = (pair for pair in pairs if pair.factor == "fast_math")
    (block,) = (block for block in blocks if "off → on" in block)
    assert f"<dd>{flipping.tensors.max_ulp:,}</dd>" in block
    assert f"<dd>{flipping.labels.rbo:.4f}</dd>" in block
    assert f"<dd>{flipping.tensors.mean_abs:.3g}</dd>" in block
    assert "a small p says that one of the two is right more often" in outline.text


def test_pairs_that_cannot_be_compared_have_no_empty_table():
    base = report_runs.base_outputs(20)
    trials = [
        report_runs.trial(report_runs.measure(base, 10), level="O0", emulated=True),
        report_runs.trial(report_runs.measure(base[:, 1:], 10), level="O3", emulated=True),
    ]
    page, outline = render(report_runs.run_of(trials))
    assert "not comparable" in outline.text
    assert '<details class="numbers"' not in page


def test_the_file_is_written_whole(tmp_path, rich):
    path = tmp_path / "new" / "report.html"
    write_html(*rich, path)
    assert path.read_text(encoding="utf-8") == render_html(*rich)
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_named(tmp_path, rich):
    blocked = tmp_path / "file"
    blocked.write_text("x")
    with pytest.raises(ResultsError, match="the report cannot be written") as caught:
        write_html(*rich, blocked / "report.html")
    assert str(blocked) in str(caught.value)
    assert "Give a folder" in str(caught.value)
