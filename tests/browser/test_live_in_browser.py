"""Feature visualization watched in JupyterLab, stopped with its button, and saved."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from accessible import accessible
from playwright.sync_api import expect

from lens import widgets

pytestmark = pytest.mark.browser

SETUP = """
import warnings
warnings.simplefilter("ignore")
import open_clip, torch, lens
torch.manual_seed(0)
clip = open_clip.CLIP(
    embed_dim=32,
    vision_cfg=dict(layers=[1, 1, 1, 1], width=8, image_size=64, patch_size=None),
    text_cfg=dict(context_length=16, vocab_size=49408, width=32, heads=2, layers=1),
).eval()
model = lens.wrap(clip, name="tiny-rn")
"""
LIVE = """
view = lens.widgets.live(model.site("image.layer4").units(range(6)), steps=100_000)
view
"""
RESULT = "len(view.wait(60))"


def test_watched_and_stopped_in_jupyterlab(lab, watch):
    watched = watch(lab.address)
    page = watched.page
    lab.run(page, lab.notebook("live.ipynb", [SETUP, LIVE]))
    root = page.locator(".lens-live").first
    expect(root.locator(".state")).to_contain_text("of 100000")
    expect(root.locator("canvas").first).to_be_visible()
    expect(root.locator(".images li")).to_have_count(6)
    before = root.locator(".state").inner_text()
    expect(root.locator(".state")).not_to_have_text(before)  # it moves
    if folder := os.environ.get("LENS_SCREENSHOTS"):
        root.screenshot(path=Path(folder) / "live-lab.png")
    root.get_by_role("button", name="Stop and keep").click()
    expect(root.locator(".state")).to_contain_text("Stopped after")
    expect(root.get_by_role("button", name="Stop and keep")).to_be_hidden()
    watched.clean()


@pytest.fixture(scope="module")
def saved(tmp_path_factory, tiny_rn) -> Path:
    view = widgets.live(tiny_rn.site("image.layer4").units(range(12)), steps=24, every=2)
    view.wait(60)
    while view.phase == "running":
        pass
    return view.save(tmp_path_factory.mktemp("live") / "x.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_saved_and_opened_without_a_network(saved, watch, scheme):
    watched = watch(saved.as_uri(), color_scheme=scheme, offline=True)
    page = watched.page
    page.goto(saved.as_uri())
    root = page.locator(".lens-live")
    expect(root.locator(".state")).to_contain_text("24 steps in")
    expect(root.locator(".images canvas")).to_have_count(12)
    expect(root.locator(".spark")).to_have_count(12)
    page.wait_for_function(
        """() => [...document.querySelectorAll('.lens-live canvas')]
        .every((c) => c.getContext('2d').getImageData(24, 24, 1, 1).data[3] === 255)"""
    )
    third = root.get_by_role("button").nth(2)
    third.focus()
    page.keyboard.press("Enter")
    expect(third).to_have_attribute("aria-pressed", "true")
    slider = root.get_by_label("Size of the images")
    wide = root.locator(".images li").first.bounding_box()["width"]
    slider.focus()
    page.keyboard.press("End")
    assert root.locator(".images li").first.bounding_box()["width"] > wide
    page.keyboard.press("Home")
    accessible(page, ".lens-live")
    if folder := os.environ.get("LENS_SCREENSHOTS"):
        root.screenshot(path=Path(folder) / f"live-{scheme}.png")
    watched.clean()
