"""Variants that took turns: words, verdicts with reasons, and the time line."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import report_runs

from deltann.core.block import Phase, SoakEnd, SoakEndKind, TimingEndKind, Verdict
from deltann.core.timing import TimingState
from deltann.report.export import ExportFormat, export_run
from deltann.report.html import render_html
from deltann.report.methods import methods_paragraph
from deltann.report.terms import factorial_sentences
from deltann.report.timeline import MOST_DOTS, draw_timelines, elapsed_s
from deltann.report.turns import describe_turns, gather_reasons, noise_floors, precision_words
from deltann.report.verdict import judge


@pytest.fixture(scope="module")
def turning():
    data = report_runs.turns_run()
    return data, report_runs.compare(data)


def elements(figure, name):
    root = ElementTree.fromstring(figure.svg)
    return [element for element in root.iter() if element.tag == name]


def test_words_say_what_was_reached_asked_and_what_is_noise(turning):
    data, comparison = turning
    (turns,) = describe_turns(data, comparison)
    floor = noise_floors(comparison)["local"]
    assert turns.words.startswith("Variants took turns in 40 laps, after a warm-up, within 60.4 s.")
    assert "known to ± 2.1 % or better; ± 1 % was asked for. The budget of 60.0 s ended it." in turns.words
    assert f"differed by up to {100 * floor:.1f} %, and no smaller difference is called one." in turns.words


def soaked_run(kind=SoakEndKind.SETTLED, first_c=41.0, last_c=67.5, laps=20):
    """A run whose first laps were soaking, in which the slower variants became slower yet."""
    data = report_runs.turns_run(laps=laps, levels=("O0", "O3"))
    slowest = data.trials[0].trial_id
    blocks = []
    for block in data.blocks:
        phase = Phase.SOAK if block.place.lap < laps // 2 else Phase.MEASURE
        hot = 1.25 if block.place.trial_id == slowest and block.place.lap >= 5 else 1.0
        latency_ns = (round(hot * 10_000_000),)
        place = replace(block.place, phase=phase, launch=0)
        blocks.append(replace(block, place=place, latency_ns=latency_ns, verdict=Verdict.VALID, reasons=()))
    soak = SoakEnd(kind, 200e0, first_c, last_c)
    timing = replace(data.timings[0].timing, state=TimingState.SOAKED)
    end = replace(data.timings[0], timing=timing, soak=soak)
    return replace(data, blocks=tuple(blocks), timings=(end,))


def test_a_board_that_soaked_says_how_long_why_it_ended_and_what_became_of_the_times():
    data = soaked_run()
    comparison = report_runs.compare(data)
    (turns,) = describe_turns(data, comparison)
    words = (
        "Soaking took 3 min 20 s and ended since the temperature had settled (41 °C at first, 67.5 °C at "
        "last). In its last laps, variants took 1.00 to 1.25 times as long as in its first."
    )
    assert words in turns.words
    assert words in methods_paragraph(data, comparison)
    ratios = {soaked.name: soaked.ends.ratio for soaked in turns.soaked}
    assert list(ratios)[:2] == ["tvm/torch/O0/2t", "tvm/torch/O0/2t, again"]
    assert sorted(ratios.values()) == pytest.approx([1.0, 1.0, 1.0, 1.25, 1.25])
    page = render_html(data, comparison)
    assert "Both ends of soaking" in page
    assert "12.5 ms" in page


@pytest.mark.parametrize(
    ("kind", "words", "finding"),
    [
        (SoakEndKind.SETTLED, "ended since the temperature had settled", None),
        (SoakEndKind.STILL, "the thermometer did not move at all", "read 67.5 °C throughout"),
        (SoakEndKind.TIME, "the temperature had not settled", "its temperature had not settled"),
        (SoakEndKind.NO_THERMOMETER, "no temperature could be read", "equilibrium is not known"),
    ],
)
def test_how_soaking_ended_is_said_and_what_is_doubtful_is_a_finding(kind, words, finding):
    data = soaked_run(kind)
    comparison = report_runs.compare(data)
    assert words in describe_turns(data, comparison)[0].words
    found = [one.text for one in comparison.findings if "soaked for 3 min 20 s" in one.text]
    assert len(found) == (finding is not None)
    assert all(finding in text for text in found)


def test_a_board_that_an_older_release_soaked_has_words_too():
    data = soaked_run()
    data = replace(data, timings=(replace(data.timings[0], soak=None),))
    (turns,) = describe_turns(data, report_runs.compare(data))
    assert "How soaking ended is not known" in turns.words
    assert len(turns.soaked) == 5


def test_a_board_that_was_not_soaked_has_no_ends_of_it(turning):
    assert describe_turns(*turning)[0].soaked == ()
    assert "Both ends of soaking" not in render_html(*turning)


def test_a_noise_that_was_not_measured_is_said(turning):
    data, comparison = turning
    said = "The noise of this board was not measured."
    assert said not in describe_turns(data, comparison)[0].words
    alone = replace(data, blocks=tuple(block for block in data.blocks if not block.place.twin))
    (turns,) = describe_turns(alone, report_runs.compare(alone))
    assert turns.words.endswith(said)
    assert said in methods_paragraph(alone, report_runs.compare(alone))


def test_turns_that_count_for_nothing_have_no_times_in_the_verdict(turning):
    bad = tuple(replace(block, verdict=Verdict.INVALID) for block in turning[0].blocks)
    data = replace(turning[0], blocks=bad)
    time = judge(data, report_runs.compare(data)).time
    assert time.endswith("No pair was tested by time: too few of the laps in which they took turns count.")


def test_words_of_other_ends(turning):
    (end,) = turning[0].timings
    few = precision_words(replace(end, precision=None, kind=TimingEndKind.LAPS, laps=1), None)
    assert "in 1 lap," in few
    assert "That is too little to tell" in few
    assert "The limit of 10,000 laps ended it." in few
    assert "Noise floor" not in few


def test_every_block_has_a_verdict_and_reasons_are_gathered(turning):
    data, comparison = turning
    (turns,) = describe_turns(data, comparison)
    assert [worth.name for worth in turns.worths][:2] == ["tvm/torch/O0/2t", "tvm/torch/O0/2t, again"]
    assert sum(worth.blocks for worth in turns.worths) == len(data.blocks) == 9 * 40
    suspect = sum(worth.counts.get(Verdict.SUSPECT, 0) for worth in turns.worths)
    reasons = [reason for worth in turns.worths for reason in worth.reasons]
    assert sum(count for reason, count in reasons if "waited" in reason) == suspect > 0
    assert any(re.search(r"for a core for \d+ to \d+% of the time", reason) for reason, _ in reasons)


def test_reasons_that_differ_in_numbers_are_one_with_ranges(turning):
    given = [
        ("the clock was 900 MHz, after 1800",),
        ("the clock was 1.2e+03 MHz, after 1800", "1 page came from the disk"),
        ("it failed: killed",),
    ]
    blocks = [replace(turning[0].blocks[0], reasons=reasons) for reasons in given]
    assert list(gather_reasons(blocks)) == [
        ("the clock was 900 to 1.2e+03 MHz, after 1800", 2),
        ("1 page came from the disk", 1),
        ("it failed: killed", 1),
    ]


def test_pauses_count_a_minute_at_most():
    starts = [10_000_000_000, 11_000_000_000, 7_211_000_000_000, 7_212_500_000_000]
    assert elapsed_s(starts).tolist() == pytest.approx([0, 1, 61, 62.5])


def test_the_time_line_has_a_dot_for_each_block_and_the_boards_state_under_it(turning):
    (figure,) = draw_timelines(turning[0])
    dots = [path for path in elements(figure, "path") if path.get("class").startswith("block")]
    by_verdict = dict.fromkeys(Verdict, 0)
    for path in dots:
        by_verdict[Verdict(path.get("class").split()[1])] += path.get("d").count("M")
    assert sum(by_verdict.values()) == 9 * 40
    assert by_verdict == {v: sum(block.verdict is v for block in turning[0].blocks) for v in Verdict}
    words = [text.text for text in elements(figure, "text")]
    assert {"temperature", "clock", "time since the first block"} <= set(words)
    assert len([line for line in elements(figure, "line") if line.get("class") == "launch"]) == 1
    assert figure.words.startswith("360 blocks of 9 variants on local: ")


def test_the_time_line_has_the_gpus_state_where_it_was_read(turning):
    data = turning[0]
    assert not any("GPU" in text.text for text in elements(draw_timelines(data)[0], "text"))
    blocks = tuple(
        replace(block, reading=replace(block.reading, gpu_temp_c=60.0 + index % 9, gpu_freq_mhz=1300.0))
        for index, block in enumerate(data.blocks)
    )
    (figure,) = draw_timelines(replace(data, blocks=blocks))
    words = [text.text for text in elements(figure, "text")]
    assert {"temperature", "clock", "GPU temperature", "GPU clock", "68 °C", "1300 MHz"} <= set(words)


def test_very_many_blocks_are_drawn_as_stretches_of_time():
    data = report_runs.turns_run(laps=3 * MOST_DOTS, levels=("O0", "O3"))
    (figure,) = draw_timelines(data)
    bands = [box for box in elements(figure, "rect") if box.get("class").startswith("band")]
    assert len(bands) == 5 * 200
    invalid = sum(block.verdict is Verdict.INVALID for block in data.blocks)
    marks = sum(path.get("d").count("M") for path in elements(figure, "path"))
    assert 0 < marks <= invalid
    assert len(figure.body) < 400_000


def test_a_failed_block_has_a_mark_and_a_run_without_any_time_no_time_line(turning):
    data = turning[0]
    failed = replace(data.blocks[5], latency_ns=(), verdict=Verdict.INVALID)
    (figure,) = draw_timelines(replace(data, blocks=(*data.blocks[:5], failed, *data.blocks[6:])))
    assert "nan" not in figure.svg
    assert draw_timelines(replace(data, blocks=(failed,))) == []


def test_the_page_and_the_paragraph_tell_of_turns_and_factors(turning):
    page = render_html(*turning)
    for words in ("Taking turns", "What explains the differences", "Noise floor", "Pareto front only"):
        assert words in page
    text = methods_paragraph(*turning)
    for words in (
        "took turns in blocks of consecutive runs of 0.05 s at least (warm)",
        "Of 360 blocks, ",
        "known to ± 2.1 % or better",
        "Noise floor: ",
        "were compared within laps",
        "beyond the board's noise floor",
        "analysis of variance with sums of squares of type II",
        "1,999 draws",
    ):
        assert words in text
    assert "resamples of the images" not in text


def protocol_of(data, **changes):
    """What the paragraph says of how the variants of a run took turns, after changes of the protocol."""
    end = data.timings[0]
    data = replace(data, timings=(replace(end, timing=replace(end.timing, **changes)),))
    return methods_paragraph(data, report_runs.compare(data))


def test_the_paragraph_says_of_loading_what_held_in_this_run(turning):
    data = turning[0]
    assert "all variants were loaded side by side" in protocol_of(data)
    assert "all models were loaded anew after 20 laps" in protocol_of(data, laps_per_launch=20)
    one_launch = replace(data, blocks=tuple(block for block in data.blocks if block.place.launch == 0))
    assert "loaded anew" not in protocol_of(one_launch)
    cold = protocol_of(data, state=TimingState.COLD)
    assert "side by side" not in cold
    assert "in blocks of one run (cold), the first after loading the model in a process of its own" in cold


def test_the_paragraph_says_that_models_were_ended_for_want_of_memory(turning):
    data = turning[0]
    launch = data.blocks[0].launch
    blocks = [replace(block, launch=launch) if block.place.lap == 5 else block for block in data.blocks]
    text = protocol_of(replace(data, blocks=tuple(blocks)))
    assert "side by side" not in text
    assert "9 times ended for want of memory and loaded again" in text


def test_the_paragraph_counts_what_was_measured_again(turning):
    data = turning[0]
    invalid = [block for block in data.blocks if block.verdict is Verdict.INVALID]
    assert invalid
    assert "; no invalid one was measured again." in protocol_of(data)
    place = invalid[0].place
    again = replace(invalid[0], place=replace(place, turn=9), verdict=Verdict.VALID, launch=None)
    text = protocol_of(replace(data, blocks=(*data.blocks, again)))
    assert f"; 1 of the {len(invalid)} invalid ones were measured again." in text
    well = [replace(block, verdict=Verdict.VALID) for block in data.blocks]
    text = protocol_of(replace(data, blocks=tuple(well)))
    assert "Of 360 blocks, 360 valid." in text


def test_how_to_read_times_of_laps(turning):
    (words,) = re.findall(
        r"<h3>How to read the numbers</h3>(.*?)</section>", render_html(*turning), re.DOTALL
    )
    words = " ".join(re.sub("<[^>]*>", "", words).split())
    for told in (
        "within laps",
        "signed-rank test over the laps",
        "noise floor",
        "judged invalid do not count",
    ):
        assert told in words
    assert "on the latencies of the same images" not in words


def test_the_verdict_takes_times_from_laps(turning):
    assert ", within 40 laps)." in judge(*turning).time


def test_every_plot_is_a_file_that_stands_by_itself(turning, tmp_path):
    written = export_run(*turning, tmp_path, [ExportFormat.SVG])
    names = [path.name for path in written]
    assert len(set(names)) == len(names)
    assert {
        "timeline-local.svg",
        "pareto-local.svg",
        "latency-local.svg",
        "agreement-local.svg",
        "explained-time.svg",
        "interaction-level-importer.svg",
        "time-level.svg",
        "time-importer.svg",
    } == set(names)
    for path in written:
        text = path.read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        assert root.find("{http://www.w3.org/2000/svg}title").text
        assert "var(" not in text
        assert "nan" not in text
        # What is written lies inside the picture.
        for word in root.iter("{http://www.w3.org/2000/svg}text"):
            assert 0 <= float(word.get("x")) <= float(root.get("width"))
            assert 0 <= float(word.get("y")) <= float(root.get("height"))


def test_names_from_outside_are_harmless_in_plots():
    data = report_runs.turns_run(laps=8)
    trials = tuple(replace(trial, label=f"<b>&\"{trial.label}'") for trial in data.trials)
    data = replace(data, trials=trials)
    page = render_html(data, report_runs.compare(data))
    assert "<b>&" not in page


def test_plots_as_png(turning, tmp_path):
    pytest.importorskip("resvg_py")
    written = export_run(*turning, tmp_path, [ExportFormat.PNG])
    from PIL import Image

    for path in written:
        with Image.open(path) as picture:
            assert picture.width > 600
            assert len(picture.convert("L").getcolors(1 << 16)) > 3


def test_two_boards_have_each_their_own_words_plots_and_fronts(turning):
    data = turning[0]

    def moved(trial):
        factors = {**trial.factors, "board": "pi"}
        return replace(trial, board="pi", trial_id=f"{trial.trial_id}-pi", factors=factors)

    blocks = [
        replace(
            block,
            place=replace(block.place, board="pi", trial_id=f"{block.place.trial_id}-pi"),
            latency_ns=tuple(4 * ns for ns in block.latency_ns),
        )
        for block in data.blocks
    ]
    data = replace(
        data,
        trials=(*data.trials, *map(moved, data.trials)),
        planned_trials=16,
        blocks=(*data.blocks, *blocks),
        timings=(*data.timings, replace(data.timings[0], board="pi", precision=None)),
    )
    comparison = report_runs.compare(data)
    assert [turns.board for turns in describe_turns(data, comparison)] == ["local", "pi"]
    assert [figure.name for figure in draw_timelines(data)] == ["timeline-local", "timeline-pi"]
    words = " ".join(render_html(data, comparison).split())
    assert "of the other pairs are compared by the ratio of medians" in words, "two boards share no laps"
    board = next(term for term in comparison.factorial[0].terms if term.factors == ("board",))
    assert board.df == 1
    assert board.eta_sq > 0.5
    page = render_html(data, comparison)
    assert "times known to ± 2.1 % on local" in page
    assert "Blocks over time on pi" in page
    text = methods_paragraph(data, comparison)
    assert "The latencies of 32 pairs were compared within laps" in text
    assert "The latencies of the other 8 pairs were compared by the ratio of medians" in text


def test_terms_are_said_in_a_sentence(turning):
    (sentence,) = factorial_sentences(turning[1])
    assert re.fullmatch(
        r"level explains [\d.]+ % of the spread of times, importer \u00d7 level [\d.]+ %; "
        r"drift over the laps is [\d.]+ %, noise [\d.]+ %\.",
        sentence,
    )
