"""The table of units as data: pictures, numbers and names as the page takes them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import lens
from lens import widgets
from lens.errors import BadInput, UnitOutOfRange
from lens.neurons.responses import responses
from lens.widgets.unit_table import UnitTable, traits


@pytest.fixture(scope="module")
def table(tiny_rn, few):
    return lens.multimodal(tiny_rn, "image.layer4", few, progress=False)


@pytest.fixture(scope="module")
def view(table, tiny_rn, few):
    return widgets.units(table, tiny_rn.site("image.layer4"), stimuli=few)


def test_every_row_is_there(view, table, tiny_rn, few):
    assert isinstance(view, UnitTable) and view.about["n"] == len(table)
    assert view.about["site"] == "image.layer4"
    page = lens.neuron(tiny_rn.site("image.layer4").unit(3), stimuli=few, visualize=False)
    assert view.about["place"] == page.place == "image.layer4.1"  # the stage is its last block
    assert view.about["tests"] == table.attrs["tests"]
    score = np.frombuffer(view.numbers["score"], "<f8")
    np.testing.assert_array_equal(score, table["score"])
    told = view.texts["concept"]
    codes = np.frombuffer(told["codes"], "<u4")
    assert [told["names"][code] for code in codes] == table["concept"].tolist()
    kinds = {column["name"]: column["kind"] for column in view.about["columns"]}
    assert kinds["score"] == kinds["auroc_word"] == "area"
    assert kinds["q"] == "chance" and kinds["concept"] == "text" and kinds["gap"] == "number"


def test_examples_are_the_strongest_of_different_cells(view, table, tiny_rn, few):
    measured = responses(tiny_rn.site("image.layer4"), few)
    cells = (few.table["concept"] + "/" + few.table["rendering"]).to_numpy()
    places, shown = traits.excited(
        tiny_rn.site("image.layer4"), table["unit"].tolist(), 3, few, None
    )
    for row, unit in enumerate(table["unit"].head(5)):
        best, seen = [], set()
        for stimulus in sorted(range(len(few)), key=lambda i: -measured.values[i, unit]):
            if cells[stimulus] not in seen:
                seen.add(cells[stimulus])
                best.append(stimulus)
        wanted = few.pixels(best[:3])
        for place, pixels in zip(places[row], wanted, strict=True):
            np.testing.assert_array_equal(shown[place], pixels)
    tiles = np.frombuffer(view.thumbs["examples"], "<i4").reshape(-1, 3)
    assert tiles.shape == places.shape and (tiles == places).all()


def test_visualizations_stand_before_the_examples(table, tiny_rn, few):
    made = {int(table["unit"][2]): np.full((8, 8, 3), 200, np.uint8)}
    view = widgets.units(
        table, tiny_rn.site("image.layer4"), visualization=made, examples=1, stimuli=few
    )
    own = np.frombuffer(view.thumbs["made"], "<i4")
    assert own[2] == 0 and (np.delete(own, 2) == -1).all()
    assert np.frombuffer(view.thumbs["examples"], "<i4").min() == 1


def test_without_a_model_the_table_alone(table):
    view = widgets.units(table)
    assert view.thumbs["sheets"] == [] and view.about["site"] == "image.layer4.1"
    plain = widgets.units(pd.DataFrame({"unit": [3, 1], "q": [0.5, np.nan], "why": [None, "<b>"]}))
    assert plain.order == "unit" and plain.about["site"] == ""
    assert plain.texts["why"]["names"] == ["", "<b>"]


def test_choosing_and_sorting_from_python(table):
    view = widgets.units(table)
    assert view.chosen is None
    view.chosen = 17
    assert view.state()["chosen"] == 17
    view.order = "q"
    with pytest.raises(BadInput, match="no column '-best'"):
        view.order = "-best"
    assert view.order == "q"


def test_four_thousand_units_fit(table):
    rng = np.random.default_rng(0)
    many = pd.DataFrame({"unit": np.arange(4096), "score": rng.random(4096)})
    many["concept"] = "a"
    pictures = {i: rng.integers(0, 255, (8, 8, 3), np.uint8) for i in range(2000)}
    view = widgets.units(many, visualization=pictures)
    assert len(view.thumbs["sheets"]) == 2 and view.thumbs["page"] == 42**2
    assert len(view.hosted().state["numbers"]["unit"]) == 8 * 4096


def test_mistakes_are_said(table, tiny_rn):
    with pytest.raises(BadInput, match="column 'unit'"):
        widgets.units(pd.DataFrame({"neuron": [1]}))
    with pytest.raises(BadInput, match="no units"):
        widgets.units(table.iloc[:0])
    with pytest.raises(BadInput, match=r"of image\.layer4\.1, not of image\.layer3"):
        widgets.units(table, tiny_rn.site("image.layer3"))
    with pytest.raises(UnitOutOfRange):
        widgets.units(pd.DataFrame({"unit": [10**6]}), tiny_rn.site("image.layer4"))
    with pytest.raises(BadInput, match=r"what lens\.visualize returns"):
        widgets.units(table, visualization=3)
