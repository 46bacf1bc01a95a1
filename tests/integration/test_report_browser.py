"""The HTML report in a real browser: Chromium without a screen and without a network."""

import html
import json
import re
import runpy
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from deltann.report.html import write_html
from deltann.report.verdict import verdict

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
RUNS = Path(__file__).parents[1] / "unit" / "report" / "report_runs.py"

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")

# What the outer page finds out about the report inside it; the report itself stays as it is.
PROBE = """
addEventListener("load", () => {
  const frame = document.querySelector("iframe");
  const page = frame.contentDocument;
  const seen = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && box.right <= frame.clientWidth + 1;
  };
  const every = (selector) => [...page.querySelectorAll(`table.sortable ${selector}`)];
  const medians = () => every("tbody tr").map((row) => row.querySelector("td b").textContent);
  const head = every("th button").find((button) => button.textContent === "Median");
  const before = medians();
  head?.click();
  const answer = {
    width: frame.clientWidth,
    scrollWidth: page.documentElement.scrollWidth,
    wide: [...page.body.querySelectorAll("*")].filter(
      (it) => it.getBoundingClientRect().right > frame.clientWidth + 1 && !it.closest(".scroll, .bar"),
    ).map((it) => `${it.tagName}.${it.className}`),
    verdict: page.querySelector("h1").textContent,
    verdictSeen: seen(page.querySelector("h1")),
    pictures: [...page.images].map((image) => image.complete && image.naturalWidth),
    sorted: before.length ? medians() : [],
    sort: head?.parentNode.getAttribute("aria-sort"),
    background: frame.contentWindow.getComputedStyle(page.body).backgroundColor,
    faint: faint(frame.contentWindow, page),
  };
  document.body.replaceChildren();
  document.body.append(Object.assign(document.createElement("pre"), { textContent: JSON.stringify(answer) }));
});

// Texts with less contrast than WCAG asks of body text, 4.5 to 1.
function faint(view, page) {
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const paint = (colours) => {
    pen.clearRect(0, 0, 1, 1);
    for (const colour of colours) { pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1); }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = rgb.map((value) => linear(value / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = new Set();
  for (const element of page.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.closest("svg, script, .skip, .self")) continue;
    const style = (it) => view.getComputedStyle(it);
    const under = [];
    for (let it = element; it; it = it.parentElement) under.unshift(style(it).backgroundColor);
    const [a, b] = [light(paint(under)), light(paint([...under, style(element).color]))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.add(`${element.tagName}.${element.className}: ${ratio.toFixed(2)}`);
  }
  return [...found];
}
"""

# Opens the rows of flipped images and the numbers of the first pair as a keyboard does: focus, then a click
# on what has it.
OPENED = """
addEventListener("load", () => {
  const page = document.querySelector("iframe").contentDocument;
  const rows = [...page.querySelectorAll(".rows > li")];
  const numbers = page.querySelector(".numbers");
  const measures = [...numbers.querySelectorAll("dt")];
  const visible = () => [...rows, ...measures].map((element) => element.checkVisibility());
  const answer = { closed: visible(), focused: [] };
  for (const details of [page.querySelector(".as-is"), numbers]) {
    const summary = details.querySelector("summary");
    summary.focus();
    answer.focused.push(page.activeElement === summary);
    page.activeElement.click();
  }
  Object.assign(answer, {
    opened: visible(),
    large: page.querySelectorAll(".flipped").length,
    names: rows.map((row) => row.querySelector("b").textContent),
    pictures: rows.map((row) => row.querySelector("img").naturalWidth),
    measures: measures.map((measure) => measure.firstChild.textContent),
    scrollWidth: page.documentElement.scrollWidth,
  });
  document.body.replaceChildren();
  document.body.append(Object.assign(document.createElement("pre"), { textContent: JSON.stringify(answer) }));
});
"""
FLIPS = 400


@pytest.fixture(scope="module")
def runs():
    return runpy.run_path(str(RUNS))


@pytest.fixture(scope="module")
def report(runs, tmp_path_factory):
    """The report of a run with a bit of everything, and its verdict."""
    data = runs["rich_run"]()
    comparison = runs["compare"](data)
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_html(data, comparison, path)
    return path, verdict(data, comparison)


@pytest.fixture(scope="module")
def flipping(runs, tmp_path_factory):
    """The report of a run with hundreds of flipped images."""
    outputs = runs["base_outputs"](FLIPS + 100)
    other = outputs.copy()
    for index in range(FLIPS):
        other[index, (index + 5) % outputs.shape[1]] = 20.0
    trials = [
        runs["trial"](runs["measure"](found, 10.0), level=level)
        for level, found in (("O0", outputs), ("O3", other))
    ]
    data = runs["run_of"](trials, count=len(outputs))
    path = tmp_path_factory.mktemp("flipping") / "report.html"
    write_html(data, runs["compare"](data), path)
    return path


def browse(page: Path, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    quiet = (
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
    )
    return subprocess.run(
        [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", *quiet,
            f"--user-data-dir={profile}", "--enable-logging=stderr", "--virtual-time-budget=5000",
            *options, page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip


def look(report: Path, folder: Path, width: int, *options: str, probe: str = PROBE) -> dict:
    """Open the report in a frame of `width` pixels and return what a probe finds."""
    outer = folder / "outer.html"
    inner = html.escape(report.read_text(encoding="utf-8"))
    outer.write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><body><script>{probe}</script>'
        f'<iframe style="border:0;width:{width}px;height:900px" srcdoc="{inner}"></iframe>',
        encoding="utf-8",
    )
    shown = browse(outer, folder / "profile", "--window-size=1400,1000", "--dump-dom", *options)
    (answer,) = re.findall(r"<pre>(.*?)</pre>", shown.stdout, re.DOTALL)
    return json.loads(html.unescape(answer))


def test_it_opens_without_a_complaint(report, tmp_path):
    path, sentence = report
    shown = browse(path, tmp_path / "profile", "--dump-dom")
    assert html.escape(sentence, quote=False) in shown.stdout.replace("&nbsp;", " ")
    assert [line for line in shown.stderr.splitlines() if "CONSOLE" in line] == []


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_it_fits_the_screen(report, tmp_path, width):
    path, sentence = report
    found = look(path, tmp_path, width)
    assert found["width"] == width
    assert found["scrollWidth"] <= width, found["wide"]
    assert found["verdict"] == sentence
    assert found["verdictSeen"]


def test_pictures_are_decoded(report, tmp_path):
    found = look(report[0], tmp_path, 1280)
    assert len(found["pictures"]) == 3
    assert all(found["pictures"])


def test_a_click_on_a_heading_sorts_and_failures_go_last(report, tmp_path):
    found = look(report[0], tmp_path, 1280)
    assert found["sort"] == "ascending"
    assert found["sorted"][0] == "10.1 ms"
    assert found["sorted"][-3:] == ["254 ms", "–", "–"]  # noqa: RUF001 - the dash of a missing value


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(report, tmp_path, scheme):
    options = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    found = look(report[0], tmp_path, 1280, *options)
    red, green, blue = map(int, re.findall(r"\d+", found["background"])[:3])
    assert (red + green + blue < 120) == (scheme == "dark")
    assert found["faint"] == []


def test_long_names_do_not_push_the_page_wide(runs, tmp_path):
    data = runs["rich_run"]()
    long = "x" * 300
    trials = tuple(replace(trial, label=trial.label + long, message=long, log=long) for trial in data.trials)
    samples = tuple(replace(sample, sample_id=long) for sample in data.samples)
    data = replace(data, name=long, model_name=long, trials=trials, samples=samples)
    path = tmp_path / "report.html"
    write_html(data, runs["compare"](data), path)
    found = look(path, tmp_path, 390)
    assert found["scrollWidth"] <= 390, found["wide"]


def test_it_prints_with_everything_open(report, tmp_path):
    path, _ = report
    target = tmp_path / "report.pdf"
    browse(path, tmp_path / "profile", "--no-pdf-header-footer", f"--print-to-pdf={target}")
    pages = len(re.findall(rb"/Type\s*/Page\b", target.read_bytes()))
    assert 3 <= pages <= 30


@pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="no pdftotext here: apt-get install poppler-utils"
)
def test_paper_shows_what_was_folded_away(report, tmp_path):
    path, _ = report
    target = tmp_path / "report.pdf"
    browse(path, tmp_path / "profile", "--no-pdf-header-footer", f"--print-to-pdf={target}")
    done = subprocess.run(["pdftotext", "-layout", target, "-"], capture_output=True, text=True, check=True)
    assert "segmentation fault" in done.stdout, "the log of a failure"
    assert "StaticPlanBlockMemory" in done.stdout, "the passes that ran"
    assert "Skip to the content" not in done.stdout
    assert done.stdout.count("Kendall tau") > 20, "the numbers of each pair"
    assert done.stdout.count("1 is the same order, -1 the reverse") == 1, "what they mean, once for all pairs"


@pytest.mark.parametrize("width", [390, 1280])
def test_hundreds_of_flips_open_and_so_do_the_numbers_of_a_pair(flipping, tmp_path, width):
    eager = tmp_path / "eager.html"  # lazy pictures would be decoded after the probe has looked at them
    eager.write_text(flipping.read_text(encoding="utf-8").replace(' loading="lazy"', ""), encoding="utf-8")
    found = look(eager, tmp_path, width, probe=OPENED)
    assert not any(found["closed"])
    assert found["focused"] == [True, True]
    assert all(found["opened"])
    assert found["large"] == 60
    assert len(set(found["names"])) == len(found["names"]) == FLIPS - 60
    assert all(0 < side <= 80 for side in found["pictures"])
    assert {"RBO", "Kendall tau", "McNemar", "Mean relative", "Max ULP"} <= set(found["measures"])
    assert found["scrollWidth"] <= width


def test_hundreds_of_flips_make_no_complaint(flipping, tmp_path):
    shown = browse(flipping, tmp_path / "profile", "--dump-dom")
    assert f"{FLIPS - 60} more flipped images" in shown.stdout
    assert [line for line in shown.stderr.splitlines() if "CONSOLE" in line] == []


def test_paper_gets_no_hundreds_of_rows(flipping, tmp_path):
    target = tmp_path / "report.pdf"
    browse(flipping, tmp_path / "profile", "--no-pdf-header-footer", f"--print-to-pdf={target}")
    pages = len(re.findall(rb"/Type\s*/Page\b", target.read_bytes()))
    assert 3 <= pages <= 30
