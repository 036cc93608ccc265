"""What is chosen in one view is shown by every other view that has it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from accessible import accessible
from every_view import SETUP
from playwright.sync_api import Page, expect

from lens import widgets

pytestmark = pytest.mark.browser

TEXT = "two black cats"
MORE = f"""
maps = lens.attention(model, [few[0], few[7], few[12]], ["a dog", {TEXT!r}, "a tree"])
ids = site.units(best)
proj = lens.project(few, "pca", model=model, units=ids, texts=["a dog", {TEXT!r}], progress=False)
views = [
    proj.view(),
    maps.explore(layer="image.blocks.2"),
    maps.explore(layer="image.blocks.0"),
    lens.attribute(model, few[7], "a cat", "grad_cam", site="image.blocks.1").view(),
    lens.attribute(model, few[7], {TEXT!r}, "saliency", explain="text").view(),
    lens.attribute(model, few[12], target=site.unit(best[1]), method="saliency").view(),
    lens.neuron(site.unit(best[0]), units=best, stimuli=few, visualize=False),
    widgets.units(table, site, stimuli=few),
    widgets.layers(model, tables=table),
    lens.project(few, "pca", model=model, progress=False).view(),
]
"""


@pytest.fixture(scope="module")
def notebook() -> dict:
    made: dict = {}
    exec(SETUP + MORE, made)
    return made


@pytest.fixture(scope="module")
def saved(notebook, tmp_path_factory) -> Path:
    return widgets.save(tmp_path_factory.mktemp("links") / "x.html", *notebook["views"])


@pytest.fixture
def page(saved, watch):
    watched = watch(saved.as_uri(), offline=True)
    watched.page.goto(saved.as_uri())
    expect(explorer(watched.page).locator(".frame canvas")).to_be_visible()
    yield watched.page
    watched.clean()


def explorer(page: Page):
    return page.locator(".lens-attention").first


def heat(page: Page, number: int = 0):
    return page.locator(".lens-heatmap").nth(number)


def embedding(page: Page):
    return page.locator(".lens-map").first


def selected(page: Page) -> str:
    """The point that the table of the map lists as selected."""
    rows = embedding(page).locator("details.table")
    if rows.get_attribute("open") is None:
        rows.locator("summary").click()
    expect(rows.locator("caption")).to_have_text("1 point selected")
    return rows.locator("tbody td").first.inner_text()


def test_a_picture_chosen_in_the_explorer(page):
    explorer(page).locator("select").select_option("1")
    expect(page.locator(".lens-attention").nth(1).locator("select")).to_have_value("1")
    expect(heat(page)).to_have_attribute("data-chosen", "")
    expect(heat(page, 2)).not_to_have_attribute("data-chosen", "")
    assert selected(page) == "7"


def choose(page: Page, kind: str, name: str) -> None:
    """Choose something as a view that is not on the page would."""
    page.evaluate(
        """([kind, id]) => window.dispatchEvent(new CustomEvent('lens:choose',
        { detail: { origin: 'another view', kind, id } }))""",
        [kind, name],
    )


def test_a_picture_chosen_in_the_map_and_on_the_neuron_page(page, notebook):
    few = notebook["few"]
    names = [widgets.link.named_for(notebook["model"], few[i]) for i in range(len(few))]
    heard = """() => { window.heard = []; window.addEventListener('lens:choose',
        ({ detail }) => window.heard.push([detail.kind, detail.id])); }"""
    choose(page, "image", names[12])
    expect(explorer(page).locator("select")).to_have_value("2")
    assert selected(page) == "12"
    page.wait_for_timeout(400)  # the map has it in the middle, where it is clicked
    page.evaluate(heard)
    over = embedding(page).locator("canvas.over")
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    embedding(page).get_by_label("Names of clusters").uncheck()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function("() => window.heard.length")
    assert page.evaluate("window.heard") == [["image", names[12]]]
    expect(heat(page, 2)).to_have_attribute("data-chosen", "")
    # An example of the neuron page, by the keyboard.
    thumb = page.locator(".lens-neuron .thumb").first
    thumb.focus()
    page.keyboard.press("Enter")
    expect(thumb).to_have_attribute("aria-pressed", "true")
    called = thumb.get_attribute("data-called")
    page.wait_for_timeout(300)
    assert selected(page) == str(names.index(called))
    tiles = page.locator(f".lens-units [data-called='{called}']")
    for tile in tiles.all():
        expect(tile).to_have_attribute("data-chosen", "")


def test_a_patch_chosen_in_the_explorer_is_marked_on_the_heat_map(page):
    explorer(page).locator("select").select_option("1")
    expect(explorer(page).locator(".boards")).to_have_attribute("aria-busy", "false")
    explorer(page).locator(".patch").nth(6).click()  # of 4 x 4: row 2, column 3
    marker = heat(page).locator(".marker")
    expect(marker).to_be_visible()
    assert marker.get_attribute("style") == "top: 25%; left: 50%; height: 25%; width: 25%;"
    expect(heat(page).locator(".readout")).to_contain_text("Row 2 of 4, column 3 of 4: about")
    expect(heat(page, 2).locator(".marker")).to_be_hidden()  # another picture
    other = page.locator(".lens-attention").nth(1)
    expect(other.locator(".caption")).to_have_text(re.compile("row 2, column 3 looks"))
    expect(other.locator(".stage h2")).to_have_text(re.compile(r"blocks\.0"))  # its own layer
    if folder := os.environ.get("LENS_SCREENSHOTS"):
        heat(page).screenshot(path=Path(folder) / "link-heat.png")
        explorer(page).screenshot(path=Path(folder) / "link-explorer.png")


def test_a_place_of_the_heat_map_is_asked_in_the_explorer(page):
    frame = heat(page).locator(".frame")
    box = frame.bounding_box()
    frame.click(position={"x": 0.9 * box["width"], "y": 0.6 * box["height"]})
    expect(explorer(page).locator("select")).to_have_value("1")
    caption = explorer(page).locator(".caption")
    expect(caption).to_have_text(re.compile("row 3, column 4 looks"))
    page.keyboard.press("ArrowUp")
    expect(caption).to_have_text(re.compile("row 2, column 4 looks"))
    page.keyboard.press("Escape")
    expect(heat(page).locator(".marker")).to_be_hidden()
    # Pixels are walked through in patches; the explorer shows the one that holds them.
    fine = heat(page, 2).locator(".frame")
    fine.focus()
    page.keyboard.press("Enter")
    expect(explorer(page).locator("select")).to_have_value("2")
    expect(caption).to_have_text(re.compile("row 2, column 2 looks"))
    accessible(page, ".lens-heatmap")


def test_a_word_chosen_in_either_is_shown_in_both(page):
    chips = heat(page, 1).locator(".chip")
    chips.filter(has_text="black").click()
    expect(explorer(page).locator("select")).to_have_value("1")
    caption = explorer(page).locator(".caption")
    expect(caption).to_have_text(re.compile("^black looks most at"))
    texts = page.locator(".lens-map").first.locator("tbody td").nth(1)
    selected(page)
    expect(texts).to_have_text(TEXT)
    explorer(page).locator(".chip").filter(has_text="cats").click()
    expect(chips.filter(has_text="cats")).to_have_attribute("aria-pressed", "true")
    expect(chips.filter(has_text="black")).to_have_attribute("aria-pressed", "false")


def test_a_unit_is_a_layer_a_point_and_a_question(page, notebook):
    best, few = notebook["best"], notebook["few"]
    cell = f".lens-units .rows [data-column=unit] b:text-is('{best[1]}')"
    page.locator(".lens-attention .heads tbody tr").first.locator("td").first.click()
    expect(explorer(page).locator(".stage h2")).to_have_text(re.compile(r"blocks\.0"))
    page.locator(cell).click()
    expect(explorer(page).locator(".stage h2")).to_have_text(re.compile(r"blocks\.2"))
    assert selected(page) == str(len(few) + 1)
    expect(heat(page, 2)).to_have_attribute("data-chosen", "")
    expect(heat(page, 2).locator(".unit")).to_have_attribute("aria-pressed", "true")
    # And back: the heat map of a unit shows it everywhere.
    page.locator(".lens-neuron .listed button").first.click()
    expect(heat(page, 2)).not_to_have_attribute("data-chosen", "")
    heat(page, 2).locator(".unit").click()
    expect(page.locator(".lens-neuron h1")).to_have_text(f"Unit {best[1]}")


def test_a_site_of_the_overview_is_the_explorers_layer(page):
    page.locator(".lens-layers .towers [data-site='image.blocks.1']").click()
    expect(explorer(page).locator(".stage h2")).to_have_text(re.compile(r"blocks\.1"))


def test_a_cluster_chosen_by_its_name_is_chosen_on_every_map(page, notebook):
    first = embedding(page)
    first.locator("select").select_option("cluster")
    names = first.locator(".legend button")
    if names.count() == 0:
        pytest.fail("The map has no clusters to choose.")
    name = names.first.get_attribute("title")
    names.first.click()
    chosen = first.locator(".count").inner_text()
    choose(page, "cluster", name)
    expect(first.locator(".count")).to_have_text(chosen)
    table = notebook["proj"].clusters
    n = int(table["n"][table["name"] == name].sum())
    expect(first.locator(".count")).to_have_text(f"{n} points selected")


LAB = [SETUP, MORE, "views[1]", "views[3]", "views[0]"]


def test_live_views_tell_each_other_without_the_kernel_and_with_it(lab, watch, notebook):
    watched = watch(lab.address)
    page = watched.page
    lab.run(page, lab.notebook("links.ipynb", LAB))
    lab.finished(page)
    expect(explorer(page).locator(".frame canvas")).to_be_visible()
    box = heat(page).locator(".frame").bounding_box()
    heat(page).locator(".frame").click(position={"x": 0.9 * box["width"], "y": 10})
    expect(explorer(page).locator("select")).to_have_value("1")
    expect(explorer(page).locator(".caption")).to_have_text(re.compile("row 1, column 4 looks"))
    # The map asks its kernel which point has that picture.
    expect(embedding(page).locator(".count")).to_have_text("1 point selected")
    assert selected(page) == "7"
    watched.clean()
