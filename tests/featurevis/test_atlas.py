import sys

import numpy as np
import pytest

from lens.capture.run import capture
from lens.errors import BadInput, MissingOption
from lens.featurevis.atlas import _unmixing, activation_atlas

QUICK = {"steps": 2, "progress": False, "grid": 3, "least": 2}


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    blocks = random.integers(0, 255, (60, 4, 4, 3), dtype=np.uint8)
    return [block.repeat(8, 0).repeat(8, 1) for block in blocks]


@pytest.fixture(scope="module")
def made(resnet, images):
    return activation_atlas(resnet.site("image.layer2"), images, layout="pca", per_image=2, **QUICK)


def test_every_activation_lies_in_one_cell(made):
    assert made.positions.shape == (120, 2)
    assert made.counts.sum() == 120
    assert (made.positions >= 0).all()
    assert (made.positions <= 1).all()
    members = [made.members(r, c) for r in range(3) for c in range(3)]
    assert sum(len(m) for m in members) == 120
    assert len({tuple(one) for m in members for one in m.tolist()}) == 120
    assert [len(m) for m in members] == made.counts.ravel().tolist()
    assert made.cells.tolist() == np.argwhere(made.counts >= 2).tolist()
    assert len(made.pictures) == len(made) == len(made.cells)


def test_means_are_those_of_the_members(made, resnet, images):
    site = resnet.site("image.layer2")
    maps = capture(resnet, images, [site], progress=False)[site]
    placed = maps.reshape(len(maps), maps.shape[1], -1)
    for cell, mean in zip(made.cells, made.means, strict=True):
        own = made.members(*cell)
        assert np.allclose(placed[own[:, 0], :, own[:, 1]].mean(0), mean, atol=1e-4)


def test_it_is_shown_and_seeded(made, resnet, images):
    assert made.sheet(tile=32).size == (96, 96)
    assert "120 activations by pca" in repr(made)
    assert made._repr_html_().startswith("<div>")
    again = activation_atlas(
        resnet.site("image.layer2"), images, layout="pca", per_image=2, **QUICK
    )
    assert np.array_equal(again.positions, made.positions)
    assert np.array_equal(again.source, made.source)
    other = activation_atlas(
        resnet.site("image.layer2"), images, layout="pca", per_image=2, seed=1, **QUICK
    )
    assert not np.array_equal(other.source, made.source)


def test_umap_lays_out_and_is_seeded(resnet, images):
    pytest.importorskip("umap")
    site = resnet.site("image.layer2")
    one, two = (activation_atlas(site, images, **QUICK) for _ in range(2))
    assert one.counts.sum() == 60
    assert np.array_equal(one.positions, two.positions)


def test_unmixing_gives_every_direction_the_same_standing():
    random = np.random.default_rng(0)
    values = random.standard_normal((5000, 4)) * [10, 1, 1, 1]
    found = _unmixing(values)
    assert np.allclose(found, found.T)
    assert found[0, 0] < 0.05 * found[1, 1]


def test_sites_without_places_have_one(resnet, images):
    flat = activation_atlas(resnet.site("image.embedding"), images, layout="pca", **QUICK)
    assert set(flat.source[:, 1]) == {0}


def test_bad_input(resnet, images, monkeypatch):
    site = resnet.site("image.layer2")
    for call, sentence in (
        (lambda: activation_atlas("image.layer2", images), "not of str"),
        (lambda: activation_atlas(site, images[:3], **QUICK), "too few"),
        (lambda: activation_atlas(site, images, layout="tsne"), "'umap' or 'pca'"),
        (lambda: activation_atlas(site, images, grid=0), "grid is a whole number"),
        (
            lambda: activation_atlas(site, images, layout="pca", **{**QUICK, "least": 100}),
            "no cell holds",
        ),
        (lambda: activation_atlas(resnet.site("text.embedding"), images), "sees no image"),
    ):
        with pytest.raises(BadInput, match=sentence):
            call()
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingOption, match="umap-learn"):
        activation_atlas(site, images, **QUICK)
