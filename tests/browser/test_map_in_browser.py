"""The embedding map where people meet it: live in JupyterLab, and as a file without a network."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import CDPSession, Page, expect

import lens
from lens.data import glyphs
from lens.projection import Projection
from lens.projection.gathering import Gathered
from lens.projection.methods import pca
from lens.projection.points import Points, columns_of, in_space
from lens.widgets.link import named_for

pytestmark = pytest.mark.browser

HOSTILE = '</script><img src=x onerror=alert(1)>"\u202eabc\U0001f600\nline ' + "x" * 10_000
FEW = 40


@pytest.fixture(scope="module")
def proj():
    """Forty pictures in two groups, without a model: placed by what they are."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(FEW, 8)) + np.repeat([[4], [-4]], FEW // 2, axis=0)
    names = ["left", HOSTILE] * (FEW // 2)
    pictures = glyphs().images(concept=glyphs().concepts[:FEW], rendering="cartoon")
    return lens.project(rows, "pca", labels=names, images=pictures, progress=False)


@pytest.fixture(scope="module")
def saved(proj, tmp_path_factory) -> Path:
    return proj.save(tmp_path_factory.mktemp("saved") / "map.html")


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    random = np.random.default_rng(1)
    groups = random.integers(0, 12, 10_000)
    rows = random.normal(size=(10_000, 4)) + random.normal(size=(12, 4))[groups] * 4
    made = lens.project(rows, "pca", labels=groups.astype(str), metric="euclidean", progress=False)
    return made.save(tmp_path_factory.mktemp("large") / "map.html")


def part(page: Page, name: str):
    return page.locator(f".lens-map {name}")


def drawn(page: Page, kind: str = "webgl2") -> None:
    """Wait for the map, and check that its canvas is not blank."""
    expect(part(page, "canvas.base")).to_have_attribute("data-renderer", kind)
    page.wait_for_function(
        """() => {
        const canvas = document.querySelector('.lens-map canvas.base');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size > 3;
    }"""
    )


def opened(watch: Callable[..., Any], path: Path, **settings: Any) -> tuple[Any, Page]:
    """A saved map in a page of its own, drawn."""
    watched = watch("file:", **settings)
    watched.page.goto(path.as_uri())
    drawn(watched.page)
    return watched, watched.page


def look(page: Page, name: str) -> None:
    """Keep a screenshot where LENS_SCREENSHOTS names a folder: to be looked at, not compared."""
    folder = os.environ.get("LENS_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"map-{name}.png", full_page=True)


def lasso(page: Page, corners: list[tuple[float, float]]) -> None:
    """Draw round a part of the map: corners as shares of its width and height."""
    box = part(page, "canvas.over").bounding_box()
    spots = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*spots[0])
    page.mouse.down()
    for spot in spots[1:]:
        page.mouse.move(*spot, steps=5)
    page.mouse.up()


def readable(page: Page) -> None:
    """Check the contrast of text against its background: 4.5 to 1, as WCAG AA asks."""
    ratios = page.evaluate(
        """() => {
        const root = document.querySelector('.lens-map');
        const light = (colour) => {
            const pen = document.createElement('canvas').getContext('2d');
            pen.fillStyle = colour;
            pen.fillRect(0, 0, 1, 1);
            const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
                .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const paper = light(getComputedStyle(root).backgroundColor);
        const names = ['h2', 'h2 span', 'h3', '.hint', '.count', 'dt', 'dd', '.meaning',
            '.legend b', '.legend span', 'button', 'summary'];
        return names.filter((name) => root.querySelector(name)).map((name) => {
            const ink = light(getComputedStyle(root.querySelector(name)).color);
            return [name, (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)];
        });
    }"""
    )
    assert len(ratios) > 8
    assert all(ratio >= 4.5 for _, ratio in ratios), ratios


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [480, 1400])
def test_saved_and_opened_without_a_network(saved, watch, scheme, width):
    own = saved.as_uri()
    watched = watch(
        own, color_scheme=scheme, viewport={"width": width, "height": 900}, offline=True
    )
    page = watched.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(own)
    drawn(page)
    expect(part(page, "")).to_have_attribute("data-theme", scheme)
    readable(page)
    look(page, f"saved-{scheme}-{width}")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert [url for url in asked if not url.startswith("blob:")] == [own]
    watched.clean()


def test_a_lasso_selects_labels_and_is_undone(saved, proj, watch):
    watched, page = opened(watch, saved)
    page.get_by_role("button", name="Lasso").click()
    lasso(page, [(0.02, 0.02), (0.5, 0.02), (0.5, 0.98), (0.02, 0.98)])
    x = proj.coordinates[:, 0]
    half = int((x < (x.min() + x.max()) / 2).sum())
    expect(part(page, ".count")).to_have_text(f"{half} points selected")
    name = part(page, ".give input")
    name.fill(HOSTILE[:100])
    name.press("Enter")
    expect(part(page, ".labels li")).to_have_count(1)
    expect(part(page, ".labels b")).to_have_text(str(half))
    page.get_by_role("button", name="Rectangle").click()
    lasso(page, [(0.5, 0.02), (0.98, 0.98)])
    expect(part(page, ".count")).to_have_text(f"{FEW - half} points selected")
    part(page, ".labels button").click()
    expect(part(page, ".count")).to_have_text(f"{half} points selected")
    page.get_by_role("button", name="Undo the last label").click()
    expect(part(page, ".labels li")).to_have_count(0)
    page.get_by_role("button", name="Redo the last label").click()
    expect(part(page, ".labels li")).to_have_count(1)
    with page.expect_download() as got:
        page.get_by_role("button", name="Save the labels").click()
    assert Path(got.value.path()).read_bytes().count(b"\r\n") == half + 1
    watched.clean()


def test_the_keyboard_alone_walks_selects_and_reads(saved, watch):
    watched, page = opened(watch, saved)
    part(page, "canvas.over").focus()
    before = page.evaluate("document.querySelector('.lens-map canvas.base').toDataURL()")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("+")
    page.wait_for_function(
        "was => document.querySelector('.lens-map canvas.base').toDataURL() !== was", arg=before
    )
    for _ in range(12):  # walk until a point is near the middle
        if part(page, ".spoken[aria-live]").inner_text():
            break
        page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(250)
    expect(part(page, ".spoken[aria-live]")).to_have_text(re.compile(r"label (left|.*script)"))
    page.keyboard.press("Enter")
    expect(part(page, ".count")).to_have_text("1 point selected")
    page.keyboard.press("Escape")
    expect(part(page, ".count")).to_have_text(re.compile("Nothing is selected"))
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Lasso")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("/")
    expect(part(page, ".search input")).to_be_focused()
    # A list chooses what a lasso would.
    part(page, ".legend button").first.focus()
    page.keyboard.press("Enter")
    expect(part(page, ".count")).to_have_text(f"{FEW // 2} points selected")
    watched.clean()


def test_hover_shows_the_picture_and_its_neighbours(saved, watch):
    watched, page = opened(watch, saved)
    part(page, "summary").click()
    part(page, "td button").first.click()  # brings a point into the middle
    page.wait_for_timeout(400)
    box = part(page, "canvas.over").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(part(page, ".card")).to_be_visible()
    expect(part(page, ".card canvas")).to_have_count(1)
    expect(part(page, ".card")).to_contain_text("nearest in the space")
    look(page, "hover")
    watched.clean()


def test_the_table_says_what_the_canvas_shows(saved, watch):
    watched, page = opened(watch, saved)
    part(page, "summary").click()
    expect(part(page, "caption")).to_have_text(f"{FEW} points in sight")
    expect(part(page, "tbody tr")).to_have_count(20)
    page.get_by_role("button", name="Next").click()
    expect(part(page, ".pager span")).to_have_text(f"21 to 40 of {FEW}")
    expect(part(page, "tbody")).to_contain_text("onerror=alert(1)")
    expect(part(page, "img")).to_have_count(0)
    part(page, "td button").nth(3).click()
    expect(part(page, "caption")).to_have_text("1 point selected")
    look(page, "table")
    watched.clean()


def test_colours_names_and_what_a_saved_page_lacks(saved, watch):
    watched, page = opened(watch, saved)
    part(page, "select").select_option("neighbours kept")
    expect(part(page, ".ramp")).to_be_visible()
    page.get_by_label("Fade points").check()
    box = part(page, ".search input")
    box.fill("17")
    box.press("Enter")
    expect(part(page, ".found li")).to_have_count(1)
    box.fill("zebra")
    box.press("Enter")
    expect(part(page, ".notice")).to_have_text(re.compile("“zebra” is not among them"))
    look(page, "colours")
    watched.clean()


def test_without_webgl_and_when_it_is_lost_the_map_is_still_drawn(saved, watch):
    watched = watch("file:")
    page = watched.page
    page.add_init_script(
        """const get = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
            const made = kind === 'webgl2' && window.none ? null : get.call(this, kind, ...more);
            if (kind === 'webgl2' && made) window.made = made;
            return made;
        };
        window.none = location.hash === '#none';"""
    )
    page.goto(saved.as_uri() + "#none")
    drawn(page, "canvas")
    look(page, "without-webgl")
    page.goto("about:blank")
    page.goto(saved.as_uri())
    drawn(page)
    page.evaluate("window.made.getExtension('WEBGL_lose_context').loseContext()")
    drawn(page, "canvas")
    page.get_by_role("button", name="Lasso").click()
    lasso(page, [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)])
    expect(part(page, ".count")).to_have_text(f"{FEW} points selected")
    watched.clean()


def test_views_tell_each_other_what_was_chosen(saved, proj, watch):
    watched, page = opened(watch, saved)
    name = named_for(None, proj.points.picture(7))
    page.evaluate(
        """(name) => { window.heard = [];
        window.addEventListener('lens:choose', ({ detail }) =>
            window.heard.push([detail.kind, detail.id]));
        window.dispatchEvent(new CustomEvent('lens:choose',
            { detail: { origin: 'another view', kind: 'image', id: name } }));
        }""",
        name,
    )
    expect(part(page, ".count")).to_have_text("1 point selected")
    part(page, "summary").click()
    expect(part(page, "tbody td").first).to_have_text("7")
    page.wait_for_timeout(400)
    box = part(page, "canvas.over").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_function("() => window.heard.length > 1")
    assert page.evaluate("window.heard[1]") == ["image", name]
    watched.clean()


def fingers(client: CDPSession, page: Page, kind: str, *spots: tuple[float, float]) -> None:
    """Touch the map as a touch screen does: shares of its width and height."""
    box = part(page, "canvas.over").bounding_box()
    points = [
        {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"], "id": i}
        for i, (x, y) in enumerate(spots)
    ]
    client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def until(page: Page, holds: Callable[[], bool]) -> None:
    """Wait until something is so."""
    for _ in range(100):
        if holds():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it never came to be")


def test_two_fingers_zoom_and_one_moves(saved, watch):
    watched, page = opened(watch, saved, has_touch=True)
    part(page, "summary").click()
    expect(part(page, "caption")).to_have_text(f"{FEW} points in sight")
    part(page, "canvas.over").scroll_into_view_if_needed()
    touch = partial(fingers, page.context.new_cdp_session(page), page)
    # Apart, about the middle of the left third: fewer points stay in sight.
    touch("touchStart", (0.15, 0.5))
    touch("touchStart", (0.15, 0.5), (0.25, 0.5))
    for step in range(1, 9):
        touch("touchMove", (0.15 - 0.01 * step, 0.5), (0.25 + 0.04 * step, 0.5))
    touch("touchEnd")
    expect(part(page, "caption")).not_to_have_text(f"{FEW} points in sight")
    expect(part(page, ".count")).to_contain_text("Nothing is selected")  # a pinch is no tap
    # One finger drags the map; a second one beside a lasso ends the lasso and zooms.
    page.wait_for_timeout(500)  # until it rests
    seen = part(page, "canvas.base").screenshot()
    touch("touchStart", (0.2, 0.2))
    for step in range(1, 6):
        touch("touchMove", (0.2 + 0.12 * step, 0.2))
    touch("touchEnd")
    until(page, lambda: part(page, "canvas.base").screenshot() != seen)
    part(page, "canvas.over").focus()
    page.keyboard.press("0")
    page.keyboard.press("l")
    expect(part(page, "caption")).to_have_text(f"{FEW} points in sight")
    touch("touchStart", (0.1, 0.1))
    touch("touchMove", (0.3, 0.3))
    touch("touchStart", (0.3, 0.3), (0.6, 0.6))
    for step in range(1, 5):
        touch("touchMove", (0.3 - 0.05 * step, 0.3), (0.6 + 0.05 * step, 0.6))
    touch("touchEnd")
    expect(part(page, "caption")).not_to_have_text(f"{FEW} points in sight")
    expect(part(page, ".count")).to_contain_text("Nothing is selected")
    # And together again, from there: everything comes back into sight.
    part(page, "canvas.over").scroll_into_view_if_needed()
    touch("touchStart", (0.02, 0.5), (0.98, 0.5))
    for step in range(1, 9):
        touch("touchMove", (0.02 + 0.055 * step, 0.5), (0.98 - 0.055 * step, 0.5))
    touch("touchEnd")
    expect(part(page, "caption")).to_have_text(f"{FEW} points in sight")
    watched.clean()


def test_near_enough_dots_are_pictures(saved, watch):
    watched = watch("file:")
    page = watched.page
    page.add_init_script(
        """window.pictures = 0;
        const draw = CanvasRenderingContext2D.prototype.drawImage;
        CanvasRenderingContext2D.prototype.drawImage = function (image, ...more) {
            if (this.canvas.className === 'over' && image instanceof ImageBitmap) pictures += 1;
            return draw.call(this, image, ...more);
        };"""
    )
    page.goto(saved.as_uri())
    drawn(page)
    page.wait_for_timeout(300)
    assert page.evaluate("window.pictures") == 0
    part(page, "canvas.over").focus()
    page.keyboard.press("+")
    page.wait_for_function("() => window.pictures > 0")
    look(page, "pictures")
    watched.clean()


def test_a_cluster_is_chosen_by_its_name_on_the_map(saved, proj, watch):
    watched, page = opened(watch, saved)
    box = part(page, "canvas.over").bounding_box()
    page.evaluate(
        """window.heard = []; window.addEventListener('lens:choose',
        ({ detail }) => window.heard.push([detail.kind, detail.id]))"""
    )
    clusters = proj.view().clusters
    side = min(box["width"], box["height"]) - 56
    first = clusters[0]
    x = box["x"] + box["width"] / 2 + (first["x"] / 65535 - 0.5) * side
    y = box["y"] + box["height"] / 2 - (first["y"] / 65535 - 0.5) * side
    page.mouse.click(x, y)
    name = first["name"]
    own = [one["n"] for one in clusters if one["name"] == name]
    expect(part(page, ".count")).to_have_text(f"{sum(own)} points selected")
    assert page.evaluate("window.heard") == [["cluster", name]]
    look(page, "cluster")
    watched.clean()


def test_what_is_like_a_point_is_found(saved, proj, watch):
    watched, page = opened(watch, saved)
    expect(page.get_by_role("button", name="The nearest points")).to_be_hidden()
    part(page, "summary").click()
    part(page, "td button").nth(3).click()
    expect(part(page, "caption")).to_have_text("1 point selected")
    point = int(part(page, "tbody td").first.inner_text())
    page.get_by_role("button", name="The nearest points").click()
    expect(part(page, ".found li")).to_have_count(6)
    part(page, ".found li button").first.click()
    expect(part(page, "tbody td").first).to_have_text(str(proj.neighbours(point, 1)["point"][0]))
    watched.clean()


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """More points than a frame draws at once."""
    random = np.random.default_rng(1)
    n = 90_000
    rows = random.normal(size=(n, 2)).astype(np.float32)
    points = Points(
        rows, [str(i) for i in range(n)], np.full(n, "point"),
        columns_of(None, n, None, "points"), None, np.full(n, -1), [],
    )  # fmt: skip
    made = Projection(Gathered(points, None), pca(rows), in_space(points, "euclidean"), None, 0)
    made._clusters = np.full(n, -1), made.clusters_of(np.full(n, -1))
    return made.view().save(tmp_path_factory.mktemp("many") / "map.html")


def test_a_part_of_many_points_moves_and_all_of_them_rest(many, watch):
    watched, page = opened(watch, many)
    base = part(page, "canvas.base")
    expect(base).to_have_attribute("data-points", "90000")
    page.evaluate(
        """window.parts = []; new MutationObserver(([{ target }]) =>
        window.parts.push(Number(target.dataset.points))).observe(
        document.querySelector('.base'), { attributes: true })"""
    )
    part(page, "canvas.over").focus()
    for _ in range(4):
        page.keyboard.press("+")
        page.wait_for_timeout(30)
    page.wait_for_function("() => window.parts.some((n) => n < 90000)")
    page.wait_for_function("() => window.parts.at(-1) === 90000")
    look(page, "many")
    watched.clean()


def test_ten_thousand_points(large, watch):
    watched, page = opened(watch, large)
    expect(part(page, "h2")).to_contain_text("10,000 points")
    page.get_by_role("button", name="Rectangle").click()
    lasso(page, [(0.02, 0.02), (0.98, 0.98)])
    expect(part(page, ".count")).to_have_text("10,000 points selected")
    look(page, "large")
    watched.clean()


SETUP = """
import numpy as np, lens
rows = np.random.default_rng(0).normal(size=(60, 6))
proj = lens.project(rows, "pca", labels=["a", "b", "c"] * 20, progress=False)
view = proj.view()
"""


def test_live_in_jupyterlab(lab, watch):
    watched = watch(lab.address)
    page = watched.page
    lab.run(page, lab.notebook("map.ipynb", [SETUP, "proj"]))
    lab.finished(page)
    drawn(page)
    for theme in ("Dark", "Light"):
        lab.theme(page, f"JupyterLab {theme}")
        expect(part(page, "")).to_have_attribute("data-theme", theme.lower())
        readable(page)
        look(page, f"lab-{theme.lower()}")
    part(page, ".legend button").first.click()
    expect(part(page, ".count")).to_have_text("20 points selected")
    name = part(page, ".give input")
    name.fill("mine")
    name.press("Enter")
    expect(part(page, ".labels b")).to_have_text("20")
    part(page, "select").select_option("cluster")
    part(page, ".search input").fill("17")
    part(page, ".search input").press("Enter")
    expect(part(page, ".found li")).to_have_count(1)
    # A kernel that has died: the page says so where it asks, and what it shows stays.
    page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.shutdown()")
    part(page, ".search input").fill("18")
    part(page, ".search input").press("Enter")
    expect(part(page, ".notice")).to_have_text(re.compile("The kernel does not answer"))
    drawn(page)
    watched.errors.clear()  # JupyterLab itself says that the kernel is gone
    watched.clean()
