"""The numbers that figures draw, against plain loops; and what they refuse."""

import math

import numpy as np
import pytest

import lens
from lens import figures
from lens.data import glyphs
from lens.errors import BadInput


def test_conditional_shares_are_those_of_a_plain_loop():
    rng = np.random.default_rng(3)
    values = rng.normal(-1, 2, 500)
    labels = rng.choice(["a", "b", "c"], 500)
    frame = figures.conditional_shares(values, labels, 0.5)
    spread = math.sqrt(sum((v - sum(values) / 500) ** 2 for v in values) / 500)
    for row in frame.to_dict("records"):
        inside = [
            label for value, label in zip(values, labels, strict=True)
            if row["low"] <= value / spread < row["high"]
        ]  # fmt: skip
        assert row["n"] == len(inside)
        for name in "abc":
            if inside:
                assert row[name] == pytest.approx(inside.count(name) / len(inside))
            else:
                assert math.isnan(row[name])
    assert frame["n"].sum() == 500
    assert (frame["low"] == 0).any()  # zero is an edge, whatever the mean


def test_more_categories_than_colours_become_other(site, measured):
    table = measured.table
    labels = np.array([f"kind {i % 11}" for i in range(len(table))])
    figure = figures.conditional_plot(measured.values[:, 0], labels)
    shares = figure.frame.drop(columns=["low", "high", "n"])
    assert shares.shape[1] == 8 and "other" in shares
    assert np.allclose(shares.sum(axis=1)[figure.frame["n"] > 0], 1)


def test_named_concepts_against_all_others(site, measured):
    figure = figures.conditional_plot(site.unit(2), ["dog", "pizza"], measured=measured)
    assert list(figure.frame.columns[3:]) == ["dog", "pizza", "other"]
    shown = (measured.table["concept"] == "dog").sum()
    assert (figure.frame["dog"] * figure.frame["n"]).sum() == pytest.approx(shown)


def test_cell_means_are_those_of_a_plain_loop(measured):
    frame = figures.cell_means(measured, [1, 4], ["fish", "dog"], ["word", "cartoon"])
    assert len(frame) == 8
    for row in frame.to_dict("records"):
        values = measured.values[:, row["unit"]].astype(float)
        table = measured.table
        mine = [
            values[i] for i in range(len(table))
            if (table["concept"][i], table["rendering"][i]) == (row["concept"], row["rendering"])
        ]  # fmt: skip
        assert row["n"] == len(mine) == 4
        assert row["z"] == pytest.approx((sum(mine) / 4 - values.mean()) / values.std())


def test_what_lower_rooms_made_is_saved_as_a_figure(tiny_rn, site, tmp_path):
    vis = lens.visualize(site.units([0, 1]), steps=2, size=64, progress=False)
    dog = glyphs().images("dog", "cartoon")[0]
    heat = lens.attribute(tiny_rn, dog, ["a dog", "a cat"], "grad_cam")
    words = lens.attribute(tiny_rn, dog, "a dog", "integrated_gradients", explain="text", steps=2)
    for result in (vis, heat, words):
        for kind in ("svg", "pdf"):
            path = result.save(tmp_path / f"a.{kind}")
            first = path.read_bytes()
            assert first[:5] in (b"<?xml", b"%PDF-")
            assert result.save(path).read_bytes() == first


def test_facets_keep_their_rows_and_columns(tiny_rn, site, tmp_path):
    stimuli = glyphs().stimuli(
        per_cell=8, size=64, concepts=["dog", "pizza", "fish"],
        renderings=["cartoon", "drawing", "word"],
    )  # fmt: skip
    facets = lens.featurevis.facets(
        site.units([0, 1]), stimuli=stimuli, site="image.layer2", steps=2, size=64,
        strengths=[1.0], progress=False,
    )  # fmt: skip
    figure = figures.facet_sheet(facets)
    assert figure.frame.equals(facets.table)
    assert figure.svg.count("<image") == len(facets.table)
    assert facets.save(tmp_path / "facets.svg").read_text() == figure.svg
    many = lens.featurevis.facets(
        site.unit(0), stimuli=stimuli, site="image.layer2", steps=1, size=64,
        strengths=[0.2, 0.4, 0.6, 0.8], progress=False,
    )  # fmt: skip
    with pytest.raises(BadInput, match="don't fit 60 mm"):
        figures.facet_sheet(many, width=60)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda u, m: figures.conditional_plot(u, "colour", measured=m), "no column 'colour'"),
        (lambda u, m: figures.conditional_plot(u, ["dgo"], measured=m), "nearest are: dog"),
        (lambda u, m: figures.conditional_plot(u, ["dog", "cta"], measured=m), "shows 'cta'"),
        (lambda u, m: figures.conditional_plot(u, measured=m, step=0), "wider than 0"),
        (lambda u, m: figures.conditional_plot(np.ones(4), list("abcd")), "not all the same"),
        (lambda u, m: figures.conditional_plot(np.arange(4.0), list("abc")), "needs a category"),
        (lambda u, m: figures.response_table([], ["dog"], measured=m), "at least one unit"),
        (lambda u, m: figures.response_table([u], ["dgo"], measured=m), "nearest are: dog"),
        (lambda u, m: figures.response_table([u], [], measured=m), "at least one concept"),
        (
            lambda u, m: figures.response_table([u, u.model.site("image.layer3").unit(0)], ["dog"]),
            "one site",
        ),
        (
            lambda u, m: figures.unit_card(
                u.model.site("image.layer3").unit(0), measured=m, visualization=False
            ),
            "measured at",
        ),
    ],
)
def test_refusals(site, measured, call, said):
    with pytest.raises(BadInput, match=said):
        call(site.unit(0), measured)
