"""What is empty, endless or no number, in every view: drawn, and no wider than the page."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image
from playwright.sync_api import expect

import lens
from lens import widgets
from lens.data import glyphs
from lens.featurevis import facets
from lens.featurevis import objectives as o
from lens.neurons.card import card
from lens.neurons.responses import responses
from lens.widgets.neuron.page import NeuronPage

pytestmark = pytest.mark.browser

LONG = "word " * 1000 + "x" * 5000  # 10,000 characters, half of them without a break


@pytest.fixture(scope="module")
def saved(tmp_path_factory, tiny_rn, tiny_vit) -> Path:
    """All views of things that are not as one wishes, in one page."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(12, 4))
    rows[3, 2] = np.nan
    maps = [
        lens.project(some, "pca", labels=labels, progress=False).view()
        for some, labels in [(np.zeros((0, 4)), None), (rows[:1], [LONG]), (rows, [LONG] * 12)]
    ]
    for chosen in ([0], []):
        maps[1].chosen = chosen
    site = tiny_rn.site("image.layer4")
    measured = responses(
        site, glyphs().stimuli(per_cell=4, size=64, concepts=glyphs().concepts[:3])
    )
    alone = dataclasses.replace(card(site.unit(3), measured), examples=[], statistics=None)
    table = pd.DataFrame({"unit": [3], "concept": [LONG], "score": [np.nan], "q": [np.nan]})
    pictures = [Image.fromarray(rng.integers(0, 255, (64, 64, 3), np.uint8)) for _ in range(8)]
    picture = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    tokens = open_clip.SimpleTokenizer(context_length=16)
    named = lens.wrap(tiny_rn.module, tokenizer=tokens, name=LONG)
    long = sum((0.0001 * o.total_variation() for _ in range(300)), o.unit(site.unit(0)))
    assert len(repr(long)) > 5000
    live = widgets.live([long], steps=1)
    live.wait(60)
    views = [
        *maps,
        widgets.units(table),
        NeuronPage(3, lambda index: alone, place=LONG),
        widgets.layers(named),
        facets(
            site.units([3]), stimuli=(pictures, [LONG, "b"] * 4), steps=1, progress=False
        ).view(),
        live,
        lens.attribute(tiny_rn, picture, LONG, "saliency").view(),
        lens.attribute(tiny_rn, picture, LONG, "saliency", explain="text").view(),
        lens.attention(tiny_vit, picture[None, :, :32, :32], LONG).explore(),
        lens.attention(tiny_vit, picture[None, :, :32, :32], "").explore(layer="text.blocks.1"),
    ]
    return widgets.save(tmp_path_factory.mktemp("bad") / "x.html", *views)


@pytest.mark.parametrize("width", [480, 1400])
def test_every_view_is_drawn_and_no_wider_than_its_page(saved, watch, width):
    watched = watch(saved.as_uri(), viewport={"width": width, "height": 900}, offline=True)
    page = watched.page
    page.goto(saved.as_uri())
    roots = page.locator("main > div > .lens")
    expect(roots).to_have_count(12)
    for i in range(12):
        expect(roots.nth(i).get_by_role("heading").first).to_be_visible()
    maps = page.locator(".lens-map")
    expect(maps.nth(0)).to_contain_text("There are no points")
    expect(maps.nth(1)).to_contain_text("one point")
    expect(maps.nth(1).locator(".count")).to_contain_text("Nothing is selected")
    expect(maps.nth(2)).to_contain_text("NaN or infinite")
    expect(page.locator(".lens-neuron .thumb")).to_have_count(0)
    expect(page.locator(".lens-live .spark")).to_have_count(1)  # one step is a dot
    # What is wider than the page without a box that scrolls or cuts it.
    wide = page.evaluate(
        """() => [...document.querySelectorAll("main > div > .lens *")].filter((node) => {
            if (node.getBoundingClientRect().right <= innerWidth + 1) return false;
            for (let at = node.parentElement; at !== document.body; at = at.parentElement)
                if (getComputedStyle(at).overflowX !== "visible") return false;
            return true;
        }).map((node) => `${node.closest(".lens").className} ${node.tagName} ${node.className}`)"""
    )
    assert not wide, wide[:20]
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    high = page.evaluate(
        """() => [...document.querySelectorAll("main > div > .lens")]
        .filter((root) => root.offsetHeight > 6000).map((root) => root.className)"""
    )
    assert not high, high
    if folder := os.environ.get("LENS_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"bad-{width}.png", full_page=True)
    watched.clean()
