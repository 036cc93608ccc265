"""Each way of laying points out: the same again, the right frame for new points, refusals."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import lens
from lens.errors import BadInput, MissingOption
from lens.projection.methods import fit, pca


@pytest.mark.parametrize("shape", [(40, 6), (6, 40)])
def test_pca_is_the_singular_value_decomposition(shape):
    rows = np.random.default_rng(0).normal(size=shape)
    found = pca(rows.astype(np.float32))
    left, values, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    expected = (left * values)[:, :2]
    signs = np.sign((expected * found.placed).sum(0))
    np.testing.assert_allclose(found.placed, expected * signs, atol=1e-5)
    share = values[:2] ** 2 / (values**2).sum()
    np.testing.assert_allclose(found.settings["explained"], share, rtol=1e-5)


def test_pca_puts_its_own_points_where_they_are(groups, proj):
    rows, _ = groups
    np.testing.assert_array_equal(proj.transform(rows[:9]), proj.coordinates[:9])


@pytest.mark.parametrize("method", ["umap", "tsne"])
def test_the_same_seed_makes_the_same_map(groups, method):
    rows, names = groups
    one, two = (lens.project(rows, method, seed=5, progress=False) for _ in range(2))
    np.testing.assert_array_equal(one.coordinates, two.coordinates)
    assert one.settings == two.settings
    assert one.quality.trustworthiness > 0.8
    # New points come to lie among their own group, and at the same place when asked again.
    again = rows[::5] + np.float32(0.01)
    placed = one.transform(again)
    np.testing.assert_array_equal(placed, one.transform(again))
    near = ((placed[:, None] - one.coordinates) ** 2).sum(2).argmin(1)
    assert (names[near] == names[::5]).mean() > 0.95


def test_another_seed_makes_another_map(groups):
    rows, _ = groups
    one, two = (lens.project(rows, seed=seed, progress=False) for seed in (1, 2))
    assert np.abs(one.coordinates - two.coordinates).max() > 0.01


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_a_few_points_are_shown_with_a_sentence(n):
    rows = np.random.default_rng(0).normal(size=(n, 5))
    proj = lens.project(rows, progress=False)
    assert proj.coordinates.shape == (n, 2)
    assert np.isfinite(proj.coordinates).all()
    assert len(proj.notes) == 1
    said = {0: "There are no points", 1: "one point", 3: "3 points are too few for UMAP"}
    assert said.get(n, "") in repr(proj)
    assert (proj.quality is None) == (n < 4)
    assert len(proj.table) == n
    assert len(proj.clusters) == 0


def test_fewer_points_than_neighbours_are_told():
    rows = np.random.default_rng(0).normal(size=(9, 5))
    proj = lens.project(rows, progress=False)
    assert proj.notes == ["There are 9 points, so each has 8 neighbours, not 15."]
    assert np.isfinite(proj.coordinates).all()


@pytest.mark.parametrize("method", ["umap", "pca", "tsne"])
def test_points_that_are_all_the_same_are_shown(method):
    found = fit(method, np.ones((12, 4), np.float32), neighbours=5, seed=0)
    assert np.isfinite(found.placed).all()


def test_refusals(groups, monkeypatch):
    rows, _ = groups
    with pytest.raises(BadInput, match=r"no projection 'umpa'.*Did you mean umap"):
        lens.project(rows, "umpa")
    with pytest.raises(BadInput, match=r"no setting 'min_dits'.*Did you mean min_dist"):
        lens.project(rows, "umap", min_dits=0.5, progress=False)
    with pytest.raises(BadInput, match="metric is 'cosine' or 'euclidean'"):
        lens.project(rows, metric="manhattan")
    with pytest.raises(BadInput, match="neighbours is at least 2"):
        lens.project(rows, neighbours=1)
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    with pytest.raises(MissingOption, match=r"pip install 'lens-workbench\[tsne\]'"):
        lens.project(rows, "t-SNE", progress=False)
