"""The table of units on paper: the rows that are listed, bars as long as their scores."""

import numpy as np
import pandas as pd
import pytest

from lens import figures, widgets
from lens.errors import BadInput
from lens.neurons.multimodal import table_of


@pytest.fixture(scope="module")
def table(measured):
    return table_of(measured)


def test_rows_bars_and_marks_are_those_of_the_table(table, texts):
    figure = figures.unit_table(table, rows=7)
    pd.testing.assert_frame_equal(figure.frame, table.head(7))
    (axes,) = (axes for axes in figure.drawing.axes if len(axes.patches) == 7)
    widths = [bar.get_width() for bar in axes.patches]
    np.testing.assert_allclose(widths, table["score"].head(7) - 0.5, atol=1e-9)
    marks = [np.asarray(dots.get_offsets())[:, 0] for dots in axes.collections]
    kinds = [name for name in table if name.startswith("auroc_")]
    for kind, mine in zip(kinds, marks, strict=True):
        np.testing.assert_allclose(mine, table[kind].head(7))
    said = texts(figure.svg)
    assert f"{table['score'].iloc[0]:.3f}" in said
    assert f"the first 7 of {len(table)}; q over {table.attrs['tests']:,} tests" in said
    assert {"unit", "concept", "score", "q", "n"} <= set(said)


def test_pictures_stand_beside_their_units(table, texts):
    first, second = (int(unit) for unit in table["unit"][:2])
    red = np.full((8, 8, 3), (255, 0, 0), np.uint8)
    figure = figures.unit_table(
        table, rows=2, visualization={first: red}, examples={second: [red, red, red, red]}
    )
    assert sum(bool(axes.images) for axes in figure.drawing.axes) == 1 + 3
    narrow = figures.unit_table(table, rows=2, examples={second: [red] * 4}, width="single")
    assert sum(bool(axes.images) for axes in narrow.drawing.axes) == 1
    assert str(table["concept"].iloc[0]) in texts(narrow.svg)


def test_the_view_draws_what_it_lists(table, site):
    view = widgets.units(table, site, examples=0)
    view.order = "unit"
    assert list(view.figure(rows=3).frame["unit"]) == [0, 1, 2]
    view.order, view.search = "-unit", " FISH "
    found = table[table["concept"] == "fish"].sort_values("unit", ascending=False)
    assert list(view.listed["unit"]) == list(found["unit"])
    view.order, view.search = "concept", ""
    assert view.listed["concept"].is_monotonic_increasing
    view.sure = True
    assert (view.listed["q"] <= 0.05).all()
    view.search = "no such word"
    with pytest.raises(BadInput, match="No unit is listed"):
        view.figure()


def test_what_is_unknown_is_listed_last(table, site):
    odd = table.head(6).copy()
    odd.loc[odd.index[0], "score"] = np.nan
    view = widgets.units(odd, site, examples=0)
    assert list(view.listed["unit"])[-1] == odd["unit"].iloc[0]
    view.order = "score"
    assert list(view.listed["unit"])[-1] == odd["unit"].iloc[0]
    assert view.figure().save


def test_names_are_text(table, texts, names):
    odd = table.head(len(names)).assign(concept=names)
    for width in ("single", "double"):
        figure = figures.unit_table(odd, width=width)
        assert "<script" not in figure.svg and "<img" not in figure.svg
    assert names[0][:12] in " ".join(texts(figure.svg))


def test_any_table_with_units_is_drawn_and_others_are_refused(table, texts):
    plain = figures.unit_table(pd.DataFrame({"unit": [3, 4], "size": [0.5, np.nan]}))
    assert {"unit", "size", "0.5", "3", "4"} <= set(texts(plain.svg))
    with pytest.raises(BadInput, match="column 'unit'"):
        figures.unit_table(table.drop(columns="unit"))
    with pytest.raises(BadInput, match="no units"):
        figures.unit_table(table.head(0))
    with pytest.raises(BadInput, match="1 to 100 rows of units, not 0"):
        figures.unit_table(table, rows=0)
