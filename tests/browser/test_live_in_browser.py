"""The live grid in a notebook while it runs, and as a file without a network."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from accessible import accessible
from playwright.sync_api import Locator, expect

from lens.widgets.live import live

pytestmark = pytest.mark.browser

SETUP = """import lens
from lens.widgets.live import live
model = lens.load("glyph-rn")
units = model.site("image.layer4").units(range(6))"""
RUN = "grid = live(units, steps=100_000, every=1, batch_size=4, size=48)\ngrid"


def look(root: Locator, name: str) -> None:
    folder = os.environ.get("LENS_SCREENSHOTS")
    if folder:
        root.screenshot(path=Path(folder) / f"live-{name}.png")


@pytest.fixture(scope="module")
def saved(tmp_path_factory, tiny_rn) -> Path:
    grid = live(tiny_rn.site("image.layer2").units(range(5)), steps=6, size=48)
    grid.wait(120)
    return grid.save(tmp_path_factory.mktemp("live") / "live.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_saved_and_opened_without_a_network(saved, watch, scheme):
    own = saved.as_uri()
    watched = watch(own, color_scheme=scheme, offline=True)
    page = watched.page
    page.goto(own)
    root = page.locator(".lens-live")
    expect(root.locator(".told")).to_have_text("done, 6 steps")
    expect(root.locator("canvas")).to_have_count(5)
    expect(root.get_by_role("button")).to_have_count(0)
    shades = page.evaluate(
        """() => [...document.querySelectorAll('canvas')].map((canvas) => {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size;
    })"""
    )
    assert min(shades) > 50
    accessible(page, ".lens-live")
    look(root, scheme)
    watched.clean()


def test_it_runs_in_jupyterlab_and_is_stopped(lab, watch):
    watched = watch(lab.address)
    page = watched.page
    lab.run(page, lab.notebook("live.ipynb", [SETUP, RUN]))
    root = page.locator(".lens-live")
    told = root.locator(".told")
    expect(told).to_have_text(re.compile(r"^step [1-9]\d* of 100000"))
    before = told.inner_text()
    expect(told).not_to_have_text(before)
    expect(root.locator("canvas")).to_have_count(4)
    expect(root.locator("li")).to_have_count(6)
    look(root, "running")
    accessible(page, ".lens-live")
    root.get_by_role("button", name="Stop").click()
    expect(told).to_have_text(re.compile(r"^stopped at step \d+ of 100000"))
    expect(root.locator("canvas")).to_have_count(4)
    expect(root.get_by_role("button")).to_have_count(0)
    lab.theme(page, "JupyterLab Dark")
    look(root, "stopped")
    watched.clean()
