"""The overview of layers as data."""

from __future__ import annotations

import numpy as np
import pytest

import lens
from lens import widgets
from lens.errors import BadInput, UnknownSite


def test_every_site_is_there(tiny_vit):
    view = widgets.layers(tiny_vit)
    assert [site["name"] for site in view.sites] == tiny_vit.sites.names
    assert [site["units"] for site in view.sites] == [site.n_units for site in tiny_vit.sites]
    assert view.about["towers"] == ["image", "text"] and view.chosen == "text.blocks.1"
    assert all(len(site["layout"]) == len(site["shape"]) for site in view.sites)
    view.chosen = "image.blocks.1"
    with pytest.raises(UnknownSite, match=r"image\.blocks\.1"):
        view.chosen = "image.block.1"


def test_what_was_captured_is_summed_up(tiny_rn, pictures):
    acts = lens.capture(tiny_rn, pictures, ["image.layer4", "image.embedding"], progress=False)
    view = widgets.layers(tiny_rn, acts)
    told = {site["name"]: site["activity"] for site in view.sites}
    values = np.asarray(acts["image.layer4"], np.float64).mean((2, 3))
    activity = told["image.layer4"]
    assert activity["inputs"] == 5 and sum(activity["counts"]) == 256
    assert activity["mean"] == pytest.approx(values.mean(), rel=1e-4)
    assert activity["max"] == pytest.approx(values.max(), rel=1e-4)
    best = int(values.max(0).argmax())
    assert activity["top"][0][0] == best
    assert activity["top"][0][1] == pytest.approx(values[:, best].mean(), rel=1e-4)
    assert told["image.layer4.1"] == activity  # the same place by its other name
    assert told["image.layer3"] is None
    assert view.chosen in ("image.embedding", "image.layer4")


def test_multimodal_units_are_counted(tiny_rn, few):
    table = lens.multimodal(tiny_rn, "image.layer4", few, progress=False)
    sure = table.assign(q=np.where(table["unit"] < 7, 0.01, 0.9))
    sure.attrs = table.attrs
    view = widgets.layers(tiny_rn, tables=[sure])
    told = {site["name"]: site["multimodal"] for site in view.sites}["image.layer4"]
    assert told["count"] == 7 and told["of"] == 256
    assert sorted(unit for unit, _, _ in told["top"][:7]) == list(range(7))
    again = widgets.layers(tiny_rn, tables={"image.layer4": sure})
    assert again.sites == view.sites


def test_mistakes_are_said(tiny_rn, few):
    table = lens.multimodal(tiny_rn, "image.layer4", few, progress=False)
    with pytest.raises(BadInput, match="not a str"):
        widgets.layers("glyph-rn")
    with pytest.raises(BadInput, match="this is a list"):
        widgets.layers(tiny_rn, [1])
    with pytest.raises(BadInput, match="unit, concept and q"):
        widgets.layers(tiny_rn, tables=table[["unit"]])
    with pytest.raises(UnknownSite):
        widgets.layers(tiny_rn, tables={"image.layer9": table})
    table.attrs = {}
    with pytest.raises(BadInput, match="of which site"):
        widgets.layers(tiny_rn, tables=table)
