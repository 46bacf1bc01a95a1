"""The page over runs of several models, in a real browser: filters, a telephone, dark, paper."""

import html
import re
import runpy
from dataclasses import replace

import pytest
from test_report_browser import BROWSER, RUNS, browse, look

from deltann.report.html import write_overview

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")

# Chooses a model, then a level of it, then everything again, as a keyboard does.
FILTERED = """
addEventListener("load", () => {
  const page = document.querySelector("iframe").contentDocument;
  const form = page.querySelector("form.filters");
  const rows = () => [...page.querySelectorAll("#trial-rows tr")].filter((row) => row.checkVisibility());
  const seen = () => ({
    trials: rows().length,
    models: [...new Set(rows().map((row) => JSON.parse(row.dataset.factors).model))],
    shown: rows().every((row) => row.querySelector("td.model").checkVisibility()),
    said: form.querySelector("output").textContent,
  });
  const choose = (name, value) => {
    form.elements[name].focus();
    answer.focused.push(page.activeElement === form.elements[name]);
    form.elements[name].value = value;
    form.elements[name].dispatchEvent(new Event("change", { bubbles: true }));
  };
  const answer = { before: seen(), focused: [] };
  choose("model", "mobilenet_v2");
  answer.model = seen();
  choose("level", "O3");
  answer.level = seen();
  form.querySelector("button").click();
  setTimeout(() => {
    answer.after = seen();
    document.body.replaceChildren();
    const shown = Object.assign(document.createElement("pre"), { textContent: JSON.stringify(answer) });
    document.body.append(shown);
  }, 100);
});
"""


@pytest.fixture(scope="module")
def several():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(RUNS.parent)
        return runpy.run_path(str(RUNS.with_name("overview_runs.py")))


@pytest.fixture(scope="module")
def page(several, tmp_path_factory):
    path = tmp_path_factory.mktemp("overview") / "overview.html"
    write_overview(several["look_over"](*several["rich_models"]()), path)
    return path


def test_it_opens_without_a_network_and_without_a_complaint(page, tmp_path):
    shown = browse(page, tmp_path / "profile", "--dump-dom", "--host-resolver-rules=MAP * ~NOTFOUND")
    words = html.unescape(shown.stdout).replace("\xa0", " ")
    assert "3 models, 26 of 27 trials so far: labels differ in 19 of 41 pairs" in words
    assert [line for line in shown.stderr.splitlines() if "CONSOLE" in line] == []


@pytest.mark.parametrize("width", [390, 1280])
def test_a_model_and_factors_choose_the_rows(page, tmp_path, width):
    found = look(page, tmp_path, width, probe=FILTERED)
    assert found["before"]["trials"] == found["after"]["trials"] == 26
    assert len(found["before"]["models"]) == len(found["after"]["models"]) == 3
    assert found["model"]["models"] == found["level"]["models"] == ["mobilenet_v2"]
    assert (found["model"]["trials"], found["level"]["trials"]) == (8, 2)
    assert found["level"]["said"] == "2 of 26 trials"
    assert found["focused"] == [True, True]
    assert found["before"]["shown"], "the model is seen on a telephone, too"


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_it_fits_the_screen(page, tmp_path, width):
    found = look(page, tmp_path, width)
    assert found["scrollWidth"] <= width, found["wide"]
    assert found["verdictSeen"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(page, tmp_path, scheme):
    options = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    found = look(page, tmp_path, 1280, *options)
    red, green, blue = map(int, re.findall(r"\d+", found["background"])[:3])
    assert (red + green + blue < 120) == (scheme == "dark")
    assert found["faint"] == []


def test_long_names_do_not_push_the_page_wide(several, tmp_path):
    long = "x" * 200
    runs = [
        replace(run, model_name=f"{run.model_name}{long}", name=long)
        for run in (several["grid_run"]("small", 1.0, flips=3), several["grid_run"]("large", 3.0))
    ]
    path = tmp_path / "overview.html"
    write_overview(several["look_over"](*runs), path)
    found = look(path, tmp_path, 390)
    assert found["scrollWidth"] <= 390, found["wide"]


def test_it_prints(page, tmp_path):
    target = tmp_path / "overview.pdf"
    browse(page, tmp_path / "profile", "--no-pdf-header-footer", f"--print-to-pdf={target}")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", target.read_bytes())) <= 20
