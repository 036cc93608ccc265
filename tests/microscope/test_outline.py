import re

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lens.microscope.outline import FINE, SIDE, outline


def rings(path):
    return [
        np.array(part.split(), dtype=float).reshape(-1, 2)
        for part in re.findall(r"M([^Z]*)Z", path)
    ]


def filled(path):
    """Fill a path by the even-odd rule."""
    inside = np.zeros((SIDE, SIDE), dtype=bool)
    for ring in rings(path):
        sheet = Image.new("1", (SIDE, SIDE))
        ImageDraw.Draw(sheet).polygon([tuple(point) for point in ring], fill=1)
        inside ^= np.asarray(sheet)
    return inside


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", [(3, 3), (7, 5), (12, 12)])
def test_it_encloses_what_is_above_half_of_the_peak(seed, shape):
    heat = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    clipped = np.maximum(heat, 0) / heat.max()
    resized = Image.fromarray(clipped).resize((FINE, FINE), Image.Resampling.BICUBIC)
    smooth = np.asarray(resized)
    above = smooth >= 0.5 * smooth.max()
    centres = ((np.arange(FINE) + 0.5) * SIDE / FINE).astype(int)
    inside = filled(outline(heat))[np.ix_(centres, centres)]
    doubt = np.abs(smooth - 0.5 * smooth.max()) < 0.12  # within a rounding of the line itself
    assert (inside == above)[~doubt].all()
    assert above.any()


def test_a_hole_stays_open():
    heat = np.ones((8, 8), np.float32)
    heat[3:5, 3:5] = 0
    path = outline(heat)
    assert len(rings(path)) == 2
    inside = filled(path)
    assert not inside[48, 48] and inside[10, 10] and inside[85, 48]


def test_where_all_is_negative_the_least_negative_place_counts():
    heat = -np.ones((6, 6), np.float32)
    heat[1, 4] = -0.1
    inside = filled(outline(heat))
    assert inside[24, 72] and not inside[72, 24]


def test_nothing_to_outline():
    assert outline(np.zeros((3, 3), np.float32)) == ""
    assert outline(np.full((3, 3), -1, np.float32)) == ""
    assert outline(np.full((3, 3), np.nan, np.float32)) == ""
    assert outline(np.ones((1, 1), np.float32)) == ""
