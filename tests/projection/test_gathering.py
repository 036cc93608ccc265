"""Everything that `lens.project` takes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import lens
from lens.errors import BadInput


def quick(*args, **settings):
    return lens.project(*args, **{"method": "pca", "progress": False, **settings})


def test_activations_in_memory_and_in_a_store_make_the_same_map(tiny_rn, few, tmp_path):
    wanted = ["image.embedding", "image.layer4"]
    acts = lens.capture(tiny_rn, few, wanted, reduce="mean", progress=False)
    path = tmp_path / "acts.zarr"
    lens.capture(tiny_rn, few, wanted, reduce="mean", progress=False, store=path)
    store = lens.store.open(path)
    one = quick(acts, site="image.layer4", images=few)
    two = quick(store, site="image.layer4", images=few)
    np.testing.assert_array_equal(one.coordinates, two.coordinates)
    np.testing.assert_array_equal(one.points.vectors, acts["image.layer4"])
    assert one.colourings[:2] == ["concept", "rendering"]
    np.testing.assert_array_equal(two.activation("image.layer4/3"), acts["image.layer4"][:, 3])
    # Of the joint space, the model comes with the activations.
    assert quick(acts, site="image.embedding").model is tiny_rn
    with pytest.raises(lens.errors.UnknownSite, match="Which site"):
        quick(acts)


def test_rows_of_a_store_that_were_skipped_are_left_out(tiny_rn, few, tmp_path):
    broken = [few[0], few[1], np.full((8, 8, 3), 7.5), few[2], few[3]]
    path = tmp_path / "acts.zarr"
    with pytest.warns(UserWarning, match="skipped"):
        lens.capture(tiny_rn, broken, "image.embedding", reduce="mean", progress=False, store=path)
    proj = quick(lens.store.open(path))
    assert proj.points.ids == ["0", "1", "3", "4"]
    assert [name for name, _ in proj.points.left_out] == ["2"]


def test_pictures_texts_and_units_on_one_map(tiny_rn, few):
    site = tiny_rn.site("image.layer4")
    proj = quick(few, model=tiny_rn, texts=["dog", "cat"], units=site.units([4, 9]))
    kinds = proj.points.kinds.tolist()
    assert [kinds.count(kind) for kind in ("image", "text", "unit")] == [len(few), 2, 2]
    assert proj.points.ids[-4:-2] == ["image.layer4/4", "image.layer4/9"]
    assert proj.points.ids[-2:] == ["dog", "cat"]
    images = [few[i] for i in range(len(few))]
    np.testing.assert_allclose(proj.points.vectors[: len(few)], tiny_rn.embed(images), atol=1e-5)
    np.testing.assert_allclose(proj.points.vectors[-2:], tiny_rn.embed(["dog", "cat"]), atol=1e-5)
    # A unit stands at the mean of the nine pictures that excite it most.
    found = lens.capture(tiny_rn, images, site.pre_activation, reduce="mean", progress=False)
    values = found[site.pre_activation.name][:, 9]
    expected = proj.points.vectors[np.argsort(-values, kind="stable")[:9]].mean(0)
    np.testing.assert_allclose(proj.points.vectors[len(few) + 1], expected, atol=1e-6)
    activation = proj.activation(site.unit(9))
    np.testing.assert_allclose(activation[: len(few)], values, atol=1e-5)
    assert np.isnan(activation[len(few) :]).all()
    # Each kind is centred: the map does not show the gap between pictures and texts.
    for kind in ("image", "text", "unit"):
        centred = proj.points.vectors[proj.points.kinds == kind] - proj.space.means[kind]
        assert np.abs(centred.mean(0)).max() < 1e-6


def test_units_alone_are_placed_by_the_glyphs(tiny_rn):
    site = tiny_rn.site("image.layer4")
    proj = quick(units=site.units(range(6)), batch_size=256)
    assert proj.points.kinds.tolist() == ["unit"] * 6
    assert proj.points.vectors.shape == (6, 24)


def test_strings_are_texts(tiny_rn):
    proj = quick(["a dog", "a cat", "a tree", "a car"], model=tiny_rn, labels=list("abcd"))
    assert set(proj.points.kinds) == {"text"}
    assert proj.table["label"].tolist() == list("abcd")


def test_rows_that_are_not_numbers_are_named(groups):
    rows = groups[0].copy()
    rows[3, 2], rows[7, :2] = np.nan, np.inf
    proj = quick(rows, labels=range(100))
    assert len(proj) == 98
    assert proj.points.left_out == [
        ("3", "1 of its 12 values are NaN or infinite"),
        ("7", "2 of its 12 values are NaN or infinite"),
    ]
    assert "Left out: 3 (1 of its 12 values" in repr(proj)
    assert proj.table["label"].tolist()[3] == 4
    nothing = quick(np.full((5, 4), np.nan))
    assert len(nothing) == 0
    assert "no points to show" in repr(nothing)


@pytest.mark.parametrize(
    "rows", [np.eye(6), torch.eye(6), pd.DataFrame(np.eye(6)), np.eye(6).tolist(), list(np.eye(6))]
)
def test_vectors_come_as_arrays_tensors_tables_and_lists(rows):
    assert quick(rows).points.vectors.shape == (6, 6)


def test_labels_come_in_several_ways(groups):
    rows, names = groups
    assert quick(rows, labels=names).colourings[0] == "label"
    assert quick(rows, labels=pd.Series(names, name="group")).colourings[0] == "group"
    both = quick(rows, labels={"group": names, "size": np.linspace(0, 1, 100)})
    assert both.colourings[:2] == ["group", "size"]
    assert both.colour("size").is_number
    assert both.colour("group").names == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        ([], {}, "nothing to project"),
        ([np.eye(5)], {"labels": list("abcd")}, "'label' has 4 labels, and there are 5 vectors"),
        ([np.eye(5)], {"images": [1, 2]}, "2 images and 5 vectors"),
        ([np.zeros((2, 3, 0))], {}, "not as an array of 2 x 3 x 0"),
        ([np.eye(5) * 1j], {}, "real numbers"),
        ([np.zeros((3, 0))], {}, "have no numbers"),
        ([["a", "b"]], {}, "Texts are embedded by a model"),
        ([np.zeros((4, 8, 8, 3), np.uint8)], {}, r"model=lens\.load\(\)"),
        ([np.eye(5)], {"units": [3]}, "units are units of a site"),
        ([np.eye(5)], {"labels": "concept"}, "no column 'concept'"),
    ],
)
def test_refusals(arguments, settings, said):
    with pytest.raises(BadInput, match=said):
        quick(*arguments, **settings)


def test_vectors_of_two_lengths_are_refused(tiny_rn):
    with pytest.raises(BadInput, match=r"each point has 5, each text has 24"):
        quick(np.eye(5), model=tiny_rn, texts=["a", "b"])
