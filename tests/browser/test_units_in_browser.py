"""The table of units, and what is chosen in it shown by the neuron page beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from accessible import accessible
from playwright.sync_api import expect

import lens
from lens import widgets
from lens.data import glyphs

pytestmark = pytest.mark.browser

HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def saved(tmp_path_factory, tiny_rn) -> tuple[Path, object]:
    few = glyphs().stimuli(per_cell=4, size=64, concepts=glyphs().concepts[:6])
    site = tiny_rn.site("image.layer4")
    table = lens.multimodal(tiny_rn, site, few, progress=False)
    hostile = table.assign(concept=[HOSTILE, *table["concept"][1:]])
    hostile.attrs = table.attrs
    best = [int(unit) for unit in table["unit"][:3]]
    made = lens.visualize(site.units(best), steps=3, progress=False)
    view = widgets.units(hostile, site, visualization=made, stimuli=few)
    page = lens.neuron(site.unit(best[0]), units=best, stimuli=few, visualize=False)
    return widgets.save(tmp_path_factory.mktemp("units") / "x.html", view, page), hostile


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_sorted_filtered_and_chosen_from(saved, watch, scheme):
    path, table = saved
    watched = watch(path.as_uri(), color_scheme=scheme, offline=True)
    page = watched.page
    page.goto(path.as_uri())
    root, neuron = page.locator(".lens-units"), page.locator(".lens-neuron")
    rows, grid = root.locator(".rows .row"), root.get_by_role("grid")
    chosen, count = root.locator(".rows [aria-selected=true]"), root.locator(".count")
    expect(count).to_have_text("256 units")
    assert rows.count() < 40  # of 256
    expect(rows.first.locator("[data-column=concept]")).to_have_text(HOSTILE)
    expect(page.locator("img")).to_have_count(0)
    expect(rows.first.locator("canvas")).to_have_count(4)
    page.wait_for_function(
        """() => [...document.querySelectorAll('.lens-units .row[data-place="0"] canvas')]
        .every((c) => c.getContext('2d').getImageData(24, 24, 1, 1).data[3] === 255)"""
    )

    # The second row is chosen with the keyboard; the neuron page shows that unit.
    grid.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    second = str(table["unit"][1])
    expect(chosen.locator("[data-column=unit]")).to_have_text(second)
    expect(neuron.locator("h1")).to_have_text(f"Unit {second}")
    if folder := os.environ.get("LENS_SCREENSHOTS"):
        root.screenshot(path=Path(folder) / f"units-{scheme}.png")
    # What is chosen there is chosen here.
    neuron.locator(".next").click()
    expect(chosen.locator("[data-column=unit]")).to_have_text(str(table["unit"][2]))
    # A unit that the saved page does not have is said.
    page.keyboard.press("Tab")
    grid.focus()
    page.keyboard.press("End")
    expect(chosen).to_have_attribute("aria-rowindex", "257")
    expect(neuron.locator(".notice")).to_contain_text("not in this saved page")

    first = root.get_by_role("columnheader").filter(has_text="unit").get_by_role("button")
    first.click()
    expect(rows.first).not_to_have_attribute("data-place", "0")  # the chosen row stays in sight
    grid.focus()
    page.keyboard.press("Home")
    expect(rows.first.locator("[data-column=unit]")).to_have_text("0")
    search = root.get_by_label("Search the units")
    search.fill("<img src")
    expect(count).to_contain_text("1 of 256 units")
    expect(count).to_contain_text("which is chosen, is not among them")
    search.fill("no such thing")
    expect(rows).to_have_count(0)
    search.fill("")
    root.get_by_label("only").check()
    kept = int((table["q"] <= 0.05).sum())
    expect(count).to_contain_text(f"{kept} of 256" if kept < 256 else "256 units")
    root.get_by_label("only").uncheck()
    accessible(page, ".lens-units")
    watched.clean()


def test_on_a_narrow_page_the_table_scrolls_and_the_page_does_not(saved, watch):
    path, _ = saved
    watched = watch(path.as_uri(), viewport={"width": 400, "height": 900})
    page = watched.page
    page.goto(path.as_uri())
    expect(page.locator(".lens-units .rows .row").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    watched.clean()
