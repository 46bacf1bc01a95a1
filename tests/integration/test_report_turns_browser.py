"""The report of variants that took turns, in a real browser: filters, plots, a telephone, much data."""

import io
import re
import runpy
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_report_browser import BROWSER, RUNS, browse, look

from deltann.report.html import write_html

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")

MOST_S = 3.0
MOST_BYTES = 10_000_000

# Chooses a level, then the Pareto front, then everything again, as a keyboard does.
FILTERED = """
addEventListener("load", () => {
  const page = document.querySelector("iframe").contentDocument;
  const form = page.querySelector("form.filters");
  const rows = (selector) => [...page.querySelectorAll(selector)].filter((row) => row.checkVisibility());
  const seen = () => ({
    trials: rows("#trial-rows tr").length,
    strips: rows(".strips tbody tr").length,
    pairs: rows("tr.pair").length,
    said: form.querySelector("output").textContent,
  });
  const answer = { shown: form.checkVisibility(), before: seen(), focused: [] };
  const level = form.elements.level;
  level.focus();
  answer.focused.push(page.activeElement === level);
  level.value = "O3";
  level.dispatchEvent(new Event("change", { bubbles: true }));
  answer.level = seen();
  form.elements.pareto.focus();
  answer.focused.push(page.activeElement === form.elements.pareto);
  page.activeElement.click();
  answer.pareto = seen();
  form.querySelector("button").click();
  setTimeout(() => {
    answer.after = seen();
    const figures = [...page.querySelectorAll("svg.figure")];
    answer.figures = figures.map((figure) => figure.getBoundingClientRect().height);
    answer.labels = figures.map((figure) => figure.getAttribute("aria-label"));
    document.body.replaceChildren();
    const shown = Object.assign(document.createElement("pre"), { textContent: JSON.stringify(answer) });
    document.body.append(shown);
  }, 100);
});
"""

STILL = """
addEventListener("load", () => {
  const page = document.querySelector("iframe").contentDocument;
  const seen = (selector) => [...page.querySelectorAll(selector)].filter((it) => it.checkVisibility());
  const answer = { form: seen("form.filters").length > 0, trials: seen("#trial-rows tr").length };
  document.body.replaceChildren();
  document.body.append(Object.assign(document.createElement("pre"), { textContent: JSON.stringify(answer) }));
});
"""


@pytest.fixture(scope="module")
def turning(tmp_path_factory):
    runs = runpy.run_path(str(RUNS))
    data = runs["turns_run"]()
    path = tmp_path_factory.mktemp("turning") / "report.html"
    write_html(data, runs["compare"](data), path)
    return path


def test_filters_hide_trials_in_all_tables_and_show_them_again(turning, tmp_path):
    found = look(turning, tmp_path, 1280, probe=FILTERED)
    assert found["shown"]
    assert found["focused"] == [True, True]
    assert found["before"]["trials"] == found["before"]["strips"] == 8
    assert found["before"]["said"] == "8 of 8 trials"
    assert found["level"] == {"trials": 2, "strips": 2, "pairs": 1, "said": "2 of 8 trials"}
    assert found["pareto"]["trials"] == 1
    assert found["after"] == found["before"]
    assert len(found["figures"]) == 3, "time line, Pareto front, interaction"
    assert all(height > 100 for height in found["figures"])
    assert all(found["labels"])


def test_without_its_script_the_table_is_whole(turning, tmp_path):
    page = tmp_path / "still.html"
    whole = turning.read_text(encoding="utf-8")
    page.write_text(re.sub(r"<script>.*?</script>", "", whole, flags=re.DOTALL), encoding="utf-8")
    found = look(page, tmp_path, 1280, probe=STILL)
    assert found == {"form": False, "trials": 8}


@pytest.mark.parametrize("width", [390, 1280])
def test_turns_and_factors_fit_the_screen(turning, tmp_path, width):
    found = look(turning, tmp_path, width)
    assert found["scrollWidth"] <= width, found["wide"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_of_turns_can_be_read(turning, tmp_path, scheme):
    options = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    assert look(turning, tmp_path, 1280, *options)["faint"] == []


def test_it_makes_no_complaint_and_prints(turning, tmp_path):
    target = tmp_path / "report.pdf"
    printed = browse(turning, tmp_path / "profile", "--no-pdf-header-footer", f"--print-to-pdf={target}")
    assert [line for line in printed.stderr.splitlines() if "CONSOLE" in line] == []
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", target.read_bytes())) <= 30


def test_a_hundred_thousand_predictions_open_at_once(tmp_path):
    """8 variants, 12,500 images, a tenth of them flipped, 30,060 blocks: beyond what an empty page takes."""
    runs = runpy.run_path(str(RUNS))
    data = runs["turns_run"](3340, 12_500, flipped=True)
    noise = np.random.default_rng(7).integers(256, size=(8, 96, 96, 3), dtype=np.uint8)
    pictures = [jpeg_of(pixels) for pixels in noise]  # no picture takes more bytes
    data = replace(data, thumbnails=[pictures[index % 8] for index in range(12_500)])
    path = tmp_path / "report.html"
    write_html(data, runs["compare"](data), path)
    text = path.read_text(encoding="utf-8")
    assert "1,250 images flipped" in text
    assert len(re.findall(r"<li><(?:img|div)", text)) == 1250 - 60
    assert "flipped images have a picture, to keep this file small" in text
    assert path.stat().st_size < MOST_BYTES
    empty = tmp_path / "empty.html"
    empty.write_text("<!DOCTYPE html><title>empty</title>", encoding="utf-8")
    seconds = {page: min(_open_s(page, tmp_path, attempt) for attempt in range(3)) for page in (empty, path)}
    assert seconds[path] - seconds[empty] < MOST_S


def jpeg_of(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def _open_s(page: Path, folder: Path, attempt: int) -> float:
    begun = time.monotonic()
    browse(page, folder / f"profile{attempt}", "--dump-dom")
    return time.monotonic() - begun
