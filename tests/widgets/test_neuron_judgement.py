"""The line below a picture: what is measured, what is said, and what is left unsaid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import lens
from lens.featurevis.judged import quality as room
from lens.featurevis.judged.reference import Reference
from lens.neurons.responses import responses
from lens.widgets.neuron.judgement import judging
from lens.widgets.neuron.pictures import drawing
from lens.widgets.neuron.traits import picture_traits


class Few:
    """Twelve noisy pictures."""

    key = "few for judgement"

    def __init__(self):
        cells = [(c, r) for c in ("dog", "cat") for r in ("icon", "word")] * 3
        self.table = pd.DataFrame(cells, columns=["concept", "rendering"])

    def __len__(self):
        return 12

    def __getitem__(self, i):
        pixels = np.random.default_rng(i).integers(0, 256, (96, 96, 3), dtype=np.uint8)
        return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def site():
    return lens.load("glyph-rn").site("image.layer4")


def test_a_picture_is_judged_among_the_pages_own_stimuli(site):
    stimuli = Few()
    vis = lens.visualize(site.units([3, 8]), steps=2, size=32, progress=False)
    measured = responses(site, stimuli, progress=False)
    said = judging(measured)(vis)
    known = Reference(site.pre_activation, "mean", measured.values)
    plain = room.quality(vis, known, other=None, progress=False).images["percentile"]
    assert [one["percentile"] for one in said] == plain.tolist()
    assert {one["n"] for one in said} == {12} and {one["by"] for one in said} == {"glyph-vit"}
    assert all(one["answer"] in lens.data.glyphs().concepts for one in said)


def test_it_comes_with_the_picture(site):
    draw = drawing(site, {"steps": 1, "size": 32}, lambda found: [{"percentile": 7.0}])
    assert draw([3])[0]["quality"] == {"percentile": 7.0}


def test_what_can_not_be_compared_is_left_unsaid(site):
    vis = lens.visualize(site.unit(3), at="max", steps=1, size=32, progress=False)
    assert judging(responses(site, Few(), progress=False))(vis) == [None]
    pixels = np.zeros((8, 8, 3), np.uint8)
    assert "quality" not in picture_traits(3, pixels, 1.0, {}, None)
