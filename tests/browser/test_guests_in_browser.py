"""Every view in pages as VS Code and Colab build them, under their limits; see `guests`."""

from __future__ import annotations

import os
from pathlib import Path

import guests
import pytest
from every_view import SETUP, VIEWS
from playwright.sync_api import expect
from themed import wears

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def views() -> list:
    notebook: dict = {}
    exec(SETUP, notebook)
    made = [eval(code, notebook) for code in VIEWS.values()]
    made[list(VIEWS).index("lens-live")].wait(60)
    return made


def look(page, name: str) -> None:
    if folder := os.environ.get("LENS_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"guest-{name}.png", full_page=True)


def test_in_vs_code_views_follow_its_body_and_need_nothing_else(views, tmp_path, watch):
    path = tmp_path / "vscode.html"
    path.write_text(guests.vscode(views, "dark"), encoding="utf-8")
    watched = watch(path.as_uri(), color_scheme="light", offline=True)
    page = watched.page
    page.goto(path.as_uri())
    inside = page.frame_locator("iframe")
    expect(inside.locator("body[data-drawn]")).to_be_attached()
    for name in VIEWS:
        expect(inside.locator(f".{name}").get_by_role("heading").first).to_be_visible()
    wears(inside, "dark", VIEWS)
    look(page, "vscode-dark")
    # One page holds all outputs: what is chosen in one view is chosen in the others.
    inside.locator(".lens-units .rows .row").nth(1).click()
    unit = inside.locator(".lens-units [aria-selected=true] [data-column=unit]").inner_text()
    expect(inside.locator(".lens-facets .act[aria-pressed=true]")).to_have_text(f"unit {unit}")
    kinds = {
        "vscode-light": "light",
        "vscode-high-contrast": "dark",
        "vscode-high-contrast vscode-high-contrast-light": "light",
        "vscode-dark": "dark",
    }
    for kind, theme in kinds.items():
        inside.locator("body").evaluate("(body, kind) => (body.className = kind)", kind)
        wears(inside, theme, VIEWS)
    watched.clean()


@pytest.mark.parametrize(("theme", "system"), [("dark", "light"), ("light", "dark")])
def test_in_colab_each_view_has_a_frame_and_fills_it(views, tmp_path, watch, theme, system):
    path = tmp_path / "colab.html"
    path.write_text(guests.colab(views, theme), encoding="utf-8")
    watched = watch(path.as_uri(), color_scheme=system, offline=True)
    page = watched.page
    page.goto(path.as_uri())
    heights = []
    for i, name in enumerate(VIEWS):
        page.locator("iframe").nth(i).scroll_into_view_if_needed()  # one out of sight does not grow
        inside = page.frame_locator("iframe").nth(i)
        expect(inside.locator("body[data-drawn]")).to_be_attached()
        expect(inside.locator(f".{name}").get_by_role("heading").first).to_be_visible()
        wears(inside, theme, [name])
        for _ in range(50):  # it grows in steps, as its boxes are shares of its height
            height, frame = inside.locator("body").evaluate(
                "body => [body.offsetHeight, innerHeight]"
            )
            if abs(height + 16 - frame) <= 2:
                break
            page.wait_for_timeout(100)
        heights.append((height, frame))
    look(page, f"colab-{theme}")
    # A frame as high as its view: neither cut off, nor driven up by a view as high as its frame.
    assert all(200 < height <= 2600 and height <= frame for height, frame in heights), heights
    watched.clean()
