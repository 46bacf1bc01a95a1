"""The pages by the keyboard alone, and as a screen reader is told of them: names, tables, headers."""

import runpy
from itertools import pairwise

import pytest
from devtools import Tab
from test_report_browser import BROWSER, RUNS

from deltann.report.html import write_html, write_overview

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")

PAGES = ("rich", "turning", "flipping", "overview")
CONTROLS = {
    *("button", "link", "checkbox", "combobox", "searchbox", "textbox", "menuitem", "option"),
    *("DisclosureTriangle", "ComboBoxSelect"),
}
SHOWN = "(selector) => [...document.querySelectorAll(selector)].filter((it) => it.checkVisibility()).length"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A run with a bit of everything, one of variants that took turns, one of many flips, several models."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(RUNS.parent)
        runs = runpy.run_path(str(RUNS))
        several = runpy.run_path(str(RUNS.with_name("overview_runs.py")))
        flipping = runs["turns_run"](8, 700, flipped=True)
        for name, data in (
            ("rich", runs["rich_run"]()),
            ("turning", runs["turns_run"]()),
            ("flipping", flipping),
        ):
            write_html(data, runs["compare"](data), folder / f"{name}.html")
        write_overview(several["look_over"](*several["rich_models"]()), folder / "overview.html")
    return folder


@pytest.fixture
def open_page(pages, tmp_path):
    def open_page(name, width=1280):
        return Tab(BROWSER, tmp_path / f"profile-{name}-{width}", width, pages / f"{name}.html")

    return open_page


def role_of(node):
    return "ignored" if node["ignored"] else node["role"]["value"]


def name_of(node):
    return node.get("name", {}).get("value", "").strip()


def is_focusable(node):
    return any(one["name"] == "focusable" and one["value"]["value"] for one in node.get("properties", ()))


def descendants(node, by_id):
    for child in node.get("childIds", ()):
        if child in by_id:
            yield by_id[child]
            yield from descendants(by_id[child], by_id)


@pytest.mark.parametrize("name", ["rich", "overview"])
def test_enter_on_a_heading_sorts_both_ways(open_page, name):
    medians = (
        "[...document.querySelectorAll('#trial-rows tr')].map((row) => row.querySelector('td b')"
        ".closest('td').dataset.value).filter((value) => value !== '').map(Number)"
    )
    heading = "document.activeElement.parentNode.getAttribute('aria-sort')"
    with open_page(name) as tab:
        tab.tab_to("it.textContent === 'Median'")
        tab.press("Enter")
        assert tab.find(heading) == "ascending"
        rising = tab.find(medians)
        assert all(a <= b for a, b in pairwise(rising))
        tab.press("Enter")
        assert tab.find(heading) == "descending"
        assert tab.find(medians) == sorted(rising, reverse=True)


def test_arrows_space_and_enter_filter_and_show_all_again(open_page):
    said = "document.querySelector('form.filters output').textContent"
    with open_page("turning") as tab:
        tab.tab_to("it.name === 'level'")
        tab.press("ArrowDown")
        assert tab.find(said) == "2 of 8 trials"
        tab.tab_to("it.name === 'pareto'")
        tab.press(" ")
        assert tab.find("document.activeElement.checked")
        few = tab.find(said)
        assert few in {"0 of 8 trials", "1 of 8 trials"}
        tab.tab_to("it.type === 'reset'")
        tab.press("Enter")
        assert tab.find(f"new Promise((done) => setTimeout(() => done({said}), 100))") == "8 of 8 trials"


def test_enter_unfolds_the_numbers_of_a_pair(open_page):
    with open_page("rich") as tab:
        tab.tab_to("it.parentNode?.className === 'numbers'")
        assert not tab.find("document.activeElement.parentNode.open")
        tab.press("Enter")
        assert tab.find("document.activeElement.parentNode.open")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_whatever_can_be_reached_has_a_name(open_page, name, width):
    with open_page(name, width) as tab:
        nodes = tab.accessible()
    reached = [
        node
        for node in nodes
        if role_of(node) not in {"RootWebArea", "ignored"}
        and (role_of(node) in CONTROLS or is_focusable(node))
    ]
    assert len(reached) > 20
    assert [role_of(node) for node in reached if not name_of(node)] == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_every_table_is_told_as_one_with_headers(open_page, name, width):
    with open_page(name, width) as tab:
        nodes = tab.accessible()
        shown = tab.find(f"({SHOWN})('table')")
    by_id = {node["nodeId"]: node for node in nodes}
    tables = [node for node in nodes if role_of(node) in {"table", "grid"}]
    assert len(tables) == shown
    assert not any(role_of(node).startswith("LayoutTable") for node in nodes)
    for table in tables:
        inside = list(descendants(table, by_id))
        heads = [node for node in inside if role_of(node) == "columnheader"]
        assert heads
        assert all(name_of(head) for head in heads), name_of(table)
        assert any(role_of(node) == "rowheader" for node in inside), name_of(table)


def test_a_telephone_shows_and_tells_the_interval_of_a_median(open_page):
    with open_page("turning", 390) as tab:
        nodes = tab.accessible()
        cell = "document.querySelector('.strips tbody td:nth-child(4)')"
        assert tab.find(f"{cell}.checkVisibility() && {cell}.getBoundingClientRect().width > 50")
        columns = tab.find("[...document.querySelectorAll('.strips thead th')].map((it) => it.textContent)")
        assert tab.find("document.documentElement.scrollWidth") <= 390
    told = [name_of(node) for node in nodes if role_of(node) == "columnheader"]
    drawn = [name_of(node) for node in nodes if role_of(node) in {"image", "img"}]
    assert "95 % interval" in columns
    assert {"Variant", "Median", "95 % interval", "5 % to 95 %", "Slowest"} <= set(told)
    assert sum(", its 95 % interval " in words for words in drawn) == 8


def test_the_filter_reaches_agreement_kernels_and_flips(open_page):
    def choose(tab, level):
        tab.find(
            "(() => { const it = document.querySelector('form.filters').elements.level;"
            f" it.value = '{level}'; it.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
        )
        return {
            what: tab.find(f"({SHOWN})({selector!r})")
            for what, selector in (
                ("rows", ".agreement tbody tr"),
                ("columns", ".agreement thead th"),
                ("cells", ".agreement tbody td"),
                ("kernels", "#kernels details"),
                ("images", ".flipped"),
            )
        }

    with open_page("rich") as tab:
        assert choose(tab, "") == {"rows": 10, "columns": 10, "cells": 100, "kernels": 1, "images": 3}
        assert choose(tab, "O3") == {"rows": 3, "columns": 3, "cells": 9, "kernels": 1, "images": 2}
        assert choose(tab, "O0") == {"rows": 2, "columns": 2, "cells": 4, "kernels": 0, "images": 0}
        assert choose(tab, "")["cells"] == 100


def test_the_filter_reaches_the_rows_of_flips(open_page):
    with open_page("flipping") as tab:
        tab.find("document.querySelector('.as-is').open = true")
        count = f"({SHOWN})('.rows > li')"
        assert tab.find(count) == 10
        for level, rows in (("O0", 0), ("", 10), ("O3", 10)):
            tab.find(
                "(() => { const it = document.querySelector('form.filters').elements.level;"
                f" it.value = '{level}'; it.dispatchEvent(new Event('change', {{ bubbles: true }})); }})()"
            )
            assert tab.find(count) == rows
