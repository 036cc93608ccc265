"""The heat map as a file without a network."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch
from accessible import accessible
from playwright.sync_api import expect

import lens

pytestmark = pytest.mark.browser

HOSTILE = "</script><img src=x onerror=alert(1)> & \u05e9\u05dc\u05d5\u05dd"


@pytest.fixture(scope="module")
def saved(tmp_path_factory, tiny_rn) -> dict[str, Path]:
    """The maps of a picture and of a text, saved; the first with its sanity check."""
    folder = tmp_path_factory.mktemp("heat")
    picture = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(3))
    image = lens.attribute(tiny_rn, picture, HOSTILE, "integrated_gradients", steps=4).view()
    image.check(stages=2)
    text = lens.attribute(tiny_rn, picture, HOSTILE, "saliency", explain="text")
    return {"image": image.save(folder / "i.html"), "text": text.save(folder / "t.html")}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("what", ["image", "text"])
def test_saved_and_opened_without_a_network(saved, watch, scheme, what):
    own = saved[what].as_uri()
    watched = watch(own, color_scheme=scheme, offline=True)
    page = watched.page
    page.goto(own)
    root = page.locator(".lens-heatmap")
    expect(root.locator("h1")).to_contain_text("<img src=x")
    expect(page.locator("img")).to_have_count(0)
    readout, threshold = root.locator(".readout"), root.get_by_label("Hide what is weaker than")
    before = readout.inner_text()
    threshold.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    expect(readout).not_to_have_text(before)
    page.keyboard.press("Home")
    expect(readout).to_have_text(before)
    if what == "image":
        count = page.evaluate(
            """() => {
            const canvas = document.querySelector('.frame canvas');
            const pen = canvas.getContext('2d');
            const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
            return new Set(new Uint32Array(data.buffer)).size;
        }"""
        )
        assert count > 100
        expect(root.locator(".verdict")).to_have_text(re.compile("model|undecided|Beware"))
    accessible(page, ".lens-heatmap")
    folder = os.environ.get("LENS_SCREENSHOTS")
    if folder:
        root.screenshot(path=Path(folder) / f"heat-{what}-{scheme}.png")
    watched.clean()
