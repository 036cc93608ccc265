"""The live grid as a Python object: a run in a thread, its looks, its end."""

from __future__ import annotations

import threading
import time
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

import lens
from lens.errors import BadInput
from lens.featurevis import objectives
from lens.widgets.live import live
from lens.widgets.live.frame import frame

QUICK = {"steps": 12, "size": 32, "precision": "fp32"}


def test_it_ends_with_what_visualize_makes_and_leaves_the_model_alone(tiny_rn):
    site = tiny_rn.site("image.layer2")
    units = [site.unit(3), objectives.unit(site.unit(5)) - 0.1 * objectives.total_variation()]
    flags = [p.requires_grad for p in tiny_rn.module.parameters()]
    grid = live(units, every=5, **QUICK)
    made = grid.wait(120)
    assert grid.phase == "done"
    assert grid.result is made
    assert (grid.share, grid.step) == (1.0, 12)
    assert all(a is b for a, b in zip(made.units, units, strict=True))
    again = lens.visualize(units, progress=False, **QUICK)
    assert np.array_equal(made.images, again.images)
    assert grid.values == pytest.approx(list(made.values), rel=1e-3)
    assert grid.about["labels"] == ["unit 3", repr(units[1])]
    assert [p.requires_grad for p in tiny_rn.module.parameters()] == flags
    assert "done, 100%" in repr(grid)


def test_looks_come_on_the_way_with_their_share(tiny_rn):
    units = tiny_rn.site("image.layer2").units([0, 1, 2])
    grid = live(units, every=4, batch_size=2, **QUICK)
    seen = []
    grid.observe(lambda change: seen.append((grid.step, grid.frame["count"])), "share")
    grid.wait(120)
    told = [(4, 2), (8, 2), (12, 2), (4, 3), (8, 3), (12, 3)]
    # The first look may come before anybody listens.
    assert seen[-3:] == told[-3:]
    assert set(seen) <= set(told)


def test_stop_keeps_what_is_there(tiny_rn):
    grid = live(tiny_rn.site("image.layer2").unit(1), every=1, steps=100_000, size=32)
    begun = time.monotonic()
    while not grid.step and time.monotonic() < begun + 60:
        time.sleep(0.01)
    with pytest.raises(TimeoutError, match="not done after"):
        grid.wait(0.01)
    grid.stop()
    made = grid.wait(60)
    assert grid.phase == "stopped"
    assert 0 < grid.share < 1
    assert made.curve.shape[1] == grid.step == made.recipe["steps"] < 100_000


def test_what_goes_wrong_is_said_and_raised(tiny_rn):
    grid = live(tiny_rn.site("image.layer2").unit(1), lr=-1)
    with pytest.raises(BadInput, match="lr is a learning rate"):
        grid.wait(60)
    assert grid.phase == "failed"
    assert grid.notice.startswith("No images: lr is a learning rate")
    assert grid.result is None
    for units, sentence in (
        ([], "no units"),
        ("image.layer2", "not of 'image.layer2'"),
        ([objectives.total_variation()], "of a model"),
    ):
        with pytest.raises(BadInput, match=sentence):
            live(units)
    with pytest.raises(BadInput, match="leave out on_step"):
        live(tiny_rn.site("image.layer2").unit(1), on_step=print)
    with pytest.raises(BadInput, match="every is a whole number"):
        live(tiny_rn.site("image.layer2").unit(1), every=0)
    assert threading.active_count() < 20


def test_images_lie_row_by_row():
    shades = np.arange(5, dtype=np.uint8) * 50
    images = np.broadcast_to(shades[:, None, None, None], (5, 8, 12, 3)).copy()
    found = frame(images)
    page = np.asarray(Image.open(BytesIO(found["image"])).convert("RGB"))
    assert page.shape == (16, 36, 3)
    for i, shade in enumerate(shades):
        y, x = i // 3 * 8, i % 3 * 12
        assert np.abs(page[y + 2 : y + 6, x + 2 : x + 10].astype(int) - shade).max() < 6
    large = frame(np.zeros((2, 300, 600, 3), np.uint8))
    assert (large["width"], large["height"]) == (192, 96)


def test_a_page_shows_it_as_it_was(tiny_rn, tmp_path):
    grid = live(tiny_rn.site("image.layer2").units([1, 2]), **QUICK)
    grid.wait(120)
    page = grid.save(tmp_path / "live.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "2 images of" in page
    assert torch.is_grad_enabled()
