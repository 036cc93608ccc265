"""All views in one page: drawn, linked, read by everybody; and what they say when a kernel ends."""

from __future__ import annotations

import os
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
