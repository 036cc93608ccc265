"""What a map answers, and what is saved of it."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import lens
from lens.errors import BadInput

HOSTILE = "</title><script>alert(1)</script>\x00\"'&\u202e\U0001f600"


def test_neighbours_are_those_of_the_space_whatever_the_map_shows(proj, groups):
    rows, _ = groups
    found = proj.neighbours(7, 5)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosine = unit.astype(np.float64) @ unit[7]
    order = [i for i in np.argsort(-cosine) if i != 7][:5]
    assert found["point"].tolist() == order
    np.testing.assert_allclose(found["similarity"], cosine[order], atol=1e-6)
    far = ((proj.coordinates - proj.coordinates[7]) ** 2).sum(1)
    assert found["in_map"][0] == sorted(far).index(far[order[0]])
    with pytest.raises(BadInput, match="points 0 to 99, not 100"):
        proj.neighbours(100)


def test_search_by_text_and_by_picture(seen, few, tiny_rn):
    found = seen.search("dog", 4)
    cosine = seen.points.vectors @ tiny_rn.embed("dog")[0]
    kinds = seen.points.kinds
    over = cosine - np.array([cosine[kinds == kind].mean() for kind in kinds])
    assert found["point"].tolist() == np.argsort(-over, kind="stable")[:4].tolist()
    np.testing.assert_allclose(found["similarity"], np.sort(over)[::-1][:4], atol=1e-6)
    np.testing.assert_allclose(seen.phrase("dog"), over, atol=1e-6)
    found = seen.search(few[5], len(seen))
    cosine = found.set_index("point")["cosine"]
    assert cosine[5] == pytest.approx(1, abs=1e-5)
    assert cosine.max() <= cosine[5] + 1e-5  # of a random model, many pictures look alike


def test_texts_need_the_model_of_the_space(proj, tiny_rn, groups):
    with pytest.raises(BadInput, match="Texts need the model"):
        proj.search("dog")
    other = lens.project(groups[0], "pca", model=tiny_rn, progress=False)
    with pytest.raises(BadInput, match=r"12 numbers and tiny-rn gives texts 24"):
        other.phrase("red")


def test_what_the_colours_stand_for(seen):
    assert seen.colourings == ["concept", "rendering", "split", "kind", "cluster",
                               "neighbours kept"]  # fmt: skip
    assert seen.colour().name == "concept"
    assert seen.colour("kind").names == ["image", "text"]
    np.testing.assert_array_equal(seen.colour('"red"').values, seen.phrase("red"))
    assert seen.colour("how red?").name == "how red?"
    layer = seen.colour("image.layer4/3")
    np.testing.assert_array_equal(layer.values, seen.activation("image.layer4/3"))
    assert seen.colour(np.arange(len(seen)) / 2).is_number
    with pytest.raises(BadInput, match=r"nothing called 'concpt'.*Did you mean concept"):
        seen.colour("concpt")
    with pytest.raises(BadInput, match="cannot have 3 colours"):
        seen.colour([1, 2, 3])


def test_clusters_are_the_groups(proj, groups):
    found = proj.cluster(on="vectors", smallest=10)
    assert sorted(found["name"]) == ["a", "b", "c", "d"]
    assert (found["share_of_it"] == 1).all()
    own = proj.cluster_numbers
    for row in found.itertuples():
        assert set(groups[1][own == row.cluster]) == {row.name}
        assert row.n == (own == row.cluster).sum()
    with pytest.raises(BadInput, match="'map' or 'vectors'"):
        proj.cluster(on="moon")


def test_the_table_has_a_row_a_point(proj):
    table = proj.table
    assert list(table) == ["id", "kind", "x", "y", "label", "cluster", "cluster_name", "preserved",
                           "labels"]  # fmt: skip
    assert len(table) == 100
    np.testing.assert_array_equal(table["preserved"], proj.quality.preserved)


@pytest.fixture
def hostile():
    rows = np.random.default_rng(0).normal(size=(30, 4))
    names = [HOSTILE, "two\nlines", "x" * 10_000] * 10
    return lens.project(rows, "pca", labels=names, progress=False)


def test_figures_are_drawn_and_stay_the_same(hostile, tmp_path):
    drawn = {}
    for kind in ("svg", "pdf", "png"):
        path = hostile.save(tmp_path / "new" / f"map.{kind}")
        drawn[kind] = path.read_bytes()
        assert hostile.save(path).read_bytes() == drawn[kind]
    text = drawn["svg"].decode()
    assert "<script" not in text
    assert "&lt;/title&gt;" in text
    figure = lens.figures.embedding_map(hostile)
    (points,) = (
        d for axes in figure.drawing.axes for d in axes.collections if len(d.get_offsets()) == 30
    )
    np.testing.assert_allclose(
        np.sort(points.get_offsets()[:, 0]), np.sort(hostile.coordinates[:, 0]), rtol=1e-6
    )
    assert list(figure.frame["x"]) == hostile.coordinates[:, 0].tolist()
    with Image.open(tmp_path / "new" / "map.png") as image:
        assert image.width == round(178 / 25.4 * 300)
        assert len(image.convert("RGB").getcolors(1 << 20)) > 50
    assert drawn["pdf"].startswith(b"%PDF-1.4")


def test_many_points_are_one_picture_behind_vector_words(hostile, monkeypatch):
    plain = lens.figures.embedding_map(hostile).svg
    assert "<image" not in plain
    monkeypatch.setattr(import_module("lens.figures.embedding_map"), "VECTORS", 10)
    many = lens.figures.embedding_map(hostile).svg
    assert many.count("<image") == 1 and many.count("<text") == plain.count("<text")
    assert many == lens.figures.embedding_map(hostile).svg


def test_tables_and_arrays_are_saved(seen, tmp_path):
    seen.labels.add("odd ones", [1, 4])
    table = seen.table
    again = pd.read_csv(seen.save(tmp_path / "map.csv"), keep_default_na=False)
    assert again["labels"].tolist() == table["labels"].tolist()
    packed = pd.read_parquet(seen.save(tmp_path / "map.parquet"))
    np.testing.assert_array_equal(packed["x"], table["x"])
    with np.load(seen.save(tmp_path / "map.npz")) as arrays:
        np.testing.assert_array_equal(arrays["coordinates"], seen.coordinates)
    with pytest.raises(BadInput, match=r"saved as \.html, .*not as 'map\.gif'"):
        seen.save(tmp_path / "map.gif")


def test_a_plotly_figure_has_a_trace_a_category(proj, hostile):
    made = proj.figure()
    assert [trace.name for trace in made.data] == ["a", "b", "c", "d"]
    assert sum(len(trace.x) for trace in made.data) == 100
    assert len(proj.figure("neighbours kept").data) == 1
    assert "<script" not in str(hostile.figure().to_json())


def test_the_map_says_what_it_is(proj):
    said = repr(proj)
    assert said.startswith("Projection of 100 points by PCA, from 12 numbers")
    assert "trustworthiness 0." in said
