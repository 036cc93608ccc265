"""The sheet of facets as data."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from lens.errors import BadInput
from lens.featurevis import facets
from lens.neurons.responses import pictures, responses
from lens.widgets.facet_sheet import FacetSheet


@pytest.fixture(scope="module")
def coloured():
    rng = np.random.default_rng(0)
    images = []
    for i in range(24):
        pixels = rng.integers(0, 100, (64, 64, 3), dtype=np.uint8)
        pixels[..., 2 * (i % 2)] += 120
        images.append(Image.fromarray(pixels))
    return images, ["red", "<b>blue"] * 12


@pytest.fixture(scope="module")
def found(tiny_rn, coloured):
    units = tiny_rn.site("image.layer4").units([17, 3])
    return facets(units, stimuli=coloured, steps=3, progress=False)


def test_every_image_has_its_numbers(found):
    view = found.view()
    assert isinstance(view, FacetSheet) and "2 units, 5 images each" in repr(view)
    assert [row["unit"] for row in view.rows] == ["17", "3"]
    assert view.rows[0]["place"] == "image.layer4.1/17"
    table = found.table
    names = set(view.about["facets"])
    assert names == {"red", "<b>blue"}
    for row in view.rows:
        for (facet, strength), cell in zip(view.about["columns"], row["cells"], strict=True):
            mine = table.iloc[cell["tile"]]
            assert (mine["unit"], mine["facet"], mine["strength"]) == (row["unit"], facet, strength)
            assert cell["activation"] == pytest.approx(mine["activation"], rel=1e-4)
            assert cell["looks"] == pytest.approx(
                [mine[f"looks_{name}"] for name in view.about["facets"]], rel=1e-4
            )
    assert not view.about["real"] and view.rows[0]["examples"] == [0, 0]
    accuracy = found.probes[0].accuracy
    assert view.about["probes"][0]["accuracy"] == pytest.approx(accuracy)


def test_real_examples_stand_beside(found, tiny_rn, few, coloured):
    measured = responses(tiny_rn.site("image.layer4"), few)
    view = found.view(measured)
    assert view.about["real"] and [row["examples"] for row in view.rows] == [[0, 4], [4, 4]]
    best = int(measured.values[:, 17].argmax())
    from lens.widgets.facet_sheet.view import _examples

    first = _examples("17", "image.layer4", measured)[0]
    np.testing.assert_array_equal(first, pictures(few, np.array([best]))[0])
    own = found.view({3: coloured[0][:2]})
    assert [row["examples"] for row in own.rows] == [[0, 0], [0, 2]]
    elsewhere = responses(tiny_rn.site("image.layer3"), few)
    assert not found.view(elsewhere).about["real"]  # they would be another unit's


def test_saved_as_a_page_too(found, tmp_path):
    page = found.save(tmp_path / "facets.html")
    assert page.stat().st_size > 10_000
    with pytest.raises(BadInput, match=r"\.pdf or \.html"):
        found.save(tmp_path / "facets.gif")


def test_mistakes_are_said(found):
    view = found.view()
    view.order = "red"
    with pytest.raises(BadInput, match="not by 'green'"):
        view.order = "green"
    with pytest.raises(BadInput, match="not a list"):
        found.view([1])
    from lens.widgets.facet_sheet import facets as sheet

    with pytest.raises(BadInput, match="not a int"):
        sheet(3)
