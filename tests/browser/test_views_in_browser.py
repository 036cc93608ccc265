"""All views in one page: drawn, linked, read by everybody; and what they say when a kernel ends."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from accessible import accessible
from every_view import SETUP, VIEWS
from playwright.sync_api import expect

from lens import widgets

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """The seven views, saved as one page."""
    notebook: dict = {}
    exec(SETUP, notebook)
    views = [eval(made, notebook) for made in VIEWS.values()]
    views[list(VIEWS).index("lens-live")].wait(60)
    return widgets.save(tmp_path_factory.mktemp("all") / "x.html", *views)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_views_in_one_page_show_the_unit_that_is_chosen(saved, watch, scheme):
    watched = watch(saved.as_uri(), color_scheme=scheme, offline=True)
    page = watched.page
    page.goto(saved.as_uri())
    for name in VIEWS:
        expect(page.locator(f".{name}")).to_be_visible()
        expect(page.locator(f".{name}").get_by_role("heading").first).to_be_visible()
    page.locator(".lens-units .rows .row").nth(1).click()
    unit = page.locator(".lens-units [aria-selected=true] [data-column=unit]").inner_text()
    expect(page.locator(".lens-neuron h1")).to_have_text(f"Unit {unit}")
    pressed = "[aria-pressed=true]"
    expect(page.locator(f".lens-facets .act{pressed}")).to_have_text(f"unit {unit}")
    expect(page.locator(f".lens-live .pick{pressed}")).to_have_count(1)
    expect(page.locator(f".lens-layers .towers {pressed}")).to_have_attribute(
        "data-site", "image.blocks.2"
    )
    # And back: a unit picked in the sheet of facets is chosen in the table.
    first = page.locator(".lens-facets .act[data-place]").first
    first.click()
    wanted = first.inner_text().removeprefix("unit ")
    chosen = page.locator(".lens-units [aria-selected=true] [data-column=unit]")
    expect(chosen).to_have_text(wanted)
    site = page.locator(".lens-layers .towers [data-site='image.blocks.2']")
    site.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".lens-layers .detail h2")).not_to_have_text("image.blocks.2")
    if folder := os.environ.get("LENS_SCREENSHOTS"):
        for name in ("lens-layers", "lens-facets"):
            page.locator(f".{name}").screenshot(path=Path(folder) / f"{name}-{scheme}.png")
    for name in ("lens-layers", "lens-facets"):
        accessible(page, f".{name}")
    watched.clean()


def test_a_view_says_that_its_kernel_has_ended_and_stays(lab, watch):
    watched = watch(lab.address)
    page = watched.page
    cells = [SETUP, "model.site('image.blocks.2').n_units", VIEWS["lens-layers"]]
    lab.run(page, lab.notebook("gone.ipynb", cells))
    root = page.locator(".lens-layers").first
    expect(root.locator(".detail h2")).to_be_visible()
    expect(page.locator(".lens-gone")).to_have_count(0)
    page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    expect(page.locator(".lens-gone")).to_contain_text("The kernel has ended")
    expect(root.locator(".detail h2")).to_be_visible()


WORKING = [
    SETUP,
    "import os, pathlib; pathlib.Path('pid').write_text(str(os.getpid()))",
    "widgets.live(site.units(best), steps=100_000)",
    VIEWS["lens-attention"],
    "lens.neuron(site.unit(best[0]), units=best, stimuli=few, visualize=dict(steps=100_000))",
    VIEWS["lens-heatmap"],
]


def test_a_kernel_that_is_killed_while_views_work_is_said_and_they_stay(lab, watch):
    watched = watch(lab.address)
    page = watched.page
    lab.run(page, lab.notebook("killed.ipynb", WORKING))
    live, attention, neuron, heatmap = (
        page.locator(f".lens-{name}").first for name in ("live", "attention", "neuron", "heatmap")
    )
    lab.finished(page)
    expect(live.locator(".state")).to_contain_text("of 100000")
    expect(live.locator("canvas").first).to_be_visible()
    expect(neuron.locator(".caption")).to_contain_text("Computing the visualization")
    expect(attention.locator(".boards")).to_have_attribute("aria-busy", "false")
    unit = neuron.locator("h1").inner_text()
    pid = int((lab.root / "pid").read_text())
    os.kill(pid, signal.SIGSTOP)  # so that what is asked now is under way when the end comes
    neuron.locator("button.next").click()
    expect(neuron).to_have_attribute("aria-busy", "true")
    # After it: the explorer goes to the layer of a unit that is chosen.
    attention.locator(".heads tbody tr").first.locator("td").nth(2).click()
    expect(attention.locator(".boards")).to_have_attribute("aria-busy", "true")
    heatmap.get_by_role("button", name="Shuffle the weights").click()
    os.kill(pid, signal.SIGKILL)
    gone = page.locator(".lens-gone")
    expect(gone).to_have_count(4)
    for i in range(4):
        expect(gone.nth(i)).to_contain_text("The kernel has ended: what is here stays")
    page.locator(".jp-Dialog").get_by_role("button").last.click()  # JupyterLab says it too
    expect(live.locator(".state")).to_have_text(
        re.compile(r"Ended with the kernel, after step \d+")
    )
    expect(live.get_by_role("button", name="Stop and keep")).to_be_hidden()
    expect(live.locator(".done")).to_be_hidden()
    expect(live.locator("canvas")).not_to_have_count(0)
    # Nothing waits, what did not come is named, and what is there can still be walked about in.
    expect(page.locator("[data-gone] [aria-busy=true]")).to_have_count(0)
    expect(attention.locator(".notice")).to_contain_text("was not fetched before the kernel ended")
    expect(attention.locator(".stage h2")).to_have_text(re.compile("^blocks.2"))
    caption = attention.locator(".caption")
    before = caption.inner_text()
    attention.locator(".patch").last.click()
    expect(caption).not_to_have_text(before)
    expect(neuron.locator("h1")).to_have_text(unit)
    expect(neuron.locator(".notice")).to_contain_text("was not computed before the kernel ended")
    expect(neuron.locator(".caption")).to_have_text(
        "The kernel ended before the visualization was done."
    )
    expect(neuron.locator(".thumb canvas").first).to_be_visible()
    expect(heatmap.locator(".sanity")).to_contain_text("was not made")
    if folder := os.environ.get("LENS_SCREENSHOTS"):
        for name in ("live", "attention", "neuron", "heatmap"):
            root = page.locator(f".lens-{name}").first.locator("..")
            root.screenshot(path=Path(folder) / f"killed-{name}.png")
    # JupyterLab itself says that the kernel is gone; no view does so as an error.
    assert not [problem for problem in watched.errors if "lens" in problem], watched.errors
    assert not watched.strangers
