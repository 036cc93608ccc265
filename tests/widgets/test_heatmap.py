"""The heat map as a Python object: the numbers of the attribution, a byte a pixel."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import lens
from lens.attribution.overlay import strength
from lens.errors import BadInput
from lens.widgets.heatmap import heatmap
from lens.widgets.heatmap.view import signed_bytes


@pytest.fixture(scope="module")
def picture():
    return torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def heat(tiny_rn, picture):
    return lens.attribute(tiny_rn, picture, "a dog", "grad_cam")


def test_the_map_is_the_attributions(heat):
    view = heat.view()
    told = view.picture
    values = np.frombuffer(told["heat"], np.int8).reshape(told["height"], told["width"])
    most = strength(heat.heat)
    close = np.abs(values / 127 * most - np.clip(heat.heat, -most, most))
    assert close.max() <= most / 254 * (1 + 1e-5)
    row, column, score = view.places[0]
    assert score == pytest.approx(float(heat.places[row, column]), rel=1e-6)
    assert abs(score) == pytest.approx(float(np.abs(heat.places).max()), rel=1e-6)


def test_what_is_beyond_is_cut_and_zero_stays_zero():
    assert signed_bytes(np.zeros((2, 2), np.float32)).tolist() == [[0, 0], [0, 0]]
    many = np.zeros((40, 40), np.float32)
    many[0, :20], many[0, 20] = 1, -50
    assert signed_bytes(many).min() == -127
    assert signed_bytes(many).max() == 127


def test_a_text_has_its_tokens(tiny_rn, picture):
    found = lens.attribute(tiny_rn, picture, "a dog", "saliency", explain="text")
    view = found.view()
    assert view.picture == {}
    assert [token for token, _ in view.words] == found.tokens
    assert [score for _, score in view.words] == pytest.approx(list(found.scores), rel=1e-6)
    json.dumps(view.words, allow_nan=False)


def test_the_sanity_check_is_made_when_it_is_asked(heat):
    view = heat.view()
    assert view.sanity == []
    view.checked = True
    table = heat.sanity()
    assert [row["spearman"] for row in view.sanity] == pytest.approx(list(table["spearman"]))
    json.dumps(view.sanity, allow_nan=False)


def test_a_check_that_cannot_be_made_says_so(heat):
    import pickle

    view = pickle.loads(pickle.dumps(heat)).view()
    assert view.about["checkable"] is False
    view.checked = True
    assert view.notice.startswith("No sanity check: This attribution has lost its model")


def test_it_is_saved_by_the_attribution(heat, tmp_path):
    page = heat.save(tmp_path / "heat.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    with pytest.raises(BadInput, match=r"\.pdf or \.html"):
        heat.save(tmp_path / "heat.gif")


def test_bad_input():
    with pytest.raises(BadInput, match="not a dict"):
        heatmap({})
