from types import SimpleNamespace

import numpy as np
import pytest
import torch

import lens
from lens.errors import BadInput
from lens.featurevis.judged.reference import reference


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, size=(14, 32, 32, 3), dtype=np.uint8)


def test_pictures_are_measured_before_the_relu(resnet, pictures):
    site = resnet.site("image.layer4")
    found = reference(site, pictures, precision="fp32", progress=False)
    acts = lens.capture(resnet, pictures, [site.pre_activation], reduce="mean", progress=False)
    assert found.site == site.pre_activation and len(found) == 14
    assert np.allclose(found.values, acts[site.pre_activation], atol=1e-5)
    assert np.allclose(found.features, resnet.embed(list(pictures)), atol=1e-5)
    assert found.other is None and found.other_features is None


def test_a_second_model_sees_the_same_pictures(resnet, vit, pictures):
    site = resnet.site("image.layer3")
    found = reference(site, pictures, other=vit, precision="fp32", progress=False)
    assert np.allclose(found.other_features, vit.embed(list(pictures)), atol=1e-5)


def test_any_place_can_be_looked_at(vit, pictures):
    site = vit.site("image.blocks.1")
    found = reference(site, pictures, at="cls", precision="fp32", progress=False)
    acts = lens.capture(vit, pictures, [site], reduce="cls", progress=False)
    assert np.allclose(found.values, acts[site], atol=1e-5)


def test_the_best_come_first(resnet):
    site = resnet.site("image.layer1")
    values = np.random.default_rng(0).normal(size=(9, site.n_units)).astype(np.float32)
    found = reference(site, values)
    assert found.top(3, 4).tolist() == sorted(range(9), key=lambda i: -values[i, 3])[:4]


def test_what_was_captured_before_is_taken(resnet, pictures, tmp_path):
    site = resnet.site("image.layer4")
    wanted = reference(site, pictures, precision="fp32", progress=False)
    names = [site.pre_activation.name, "image.embedding"]
    acts = lens.capture(resnet, pictures, names, reduce="mean", progress=False)
    store = lens.capture(
        resnet, pictures, names, reduce="mean", progress=False, store=tmp_path / "a.zarr"
    )
    for given in (acts, store):
        found = reference(site, given)
        assert found.site == site.pre_activation
        assert np.allclose(found.values, wanted.values, atol=1e-5)
        assert np.allclose(found.features, wanted.features, atol=1e-5)


def test_what_was_captured_after_the_relu_is_compared_there(resnet, pictures):
    site = resnet.site("image.layer4")
    acts = lens.capture(resnet, pictures, [site], reduce="mean", progress=False)
    found = reference(site, acts)
    assert found.site == site and found.values.min() >= 0


def test_responses_of_neurons_are_taken(resnet):
    site = resnet.site("image.layer4").pre_activation
    values = np.ones((5, site.n_units), np.float32)
    given = SimpleNamespace(site=site, pool="mean", values=values, embeddings=np.eye(5))
    found = reference(resnet.site("image.layer4"), given)
    assert found.values is values and found.features.shape == (5, 5)
    with pytest.raises(BadInput, match="at='max'"):
        reference(site, given, at="max")


def test_rows_that_could_not_be_read_are_left_out(resnet):
    site = resnet.site("image.layer1")
    values = np.ones((6, site.n_units), np.float32)
    values[2] = np.nan
    assert len(reference(site, torch.from_numpy(values))) == 5


def test_a_reference_is_taken_as_it_is(resnet):
    site = resnet.site("image.layer4")
    found = reference(site, np.ones((6, site.n_units), np.float32))
    assert reference(site, found) is found
    with pytest.raises(BadInput, match=r"the reference is of image.layer4.*image.layer3"):
        reference(resnet.site("image.layer3"), found)


def test_bad_input(resnet):
    site = resnet.site("image.layer1")
    with pytest.raises(BadInput, match=rf"{site.n_units} columns"):
        reference(site, np.ones((6, 3), np.float32))
    with pytest.raises(BadInput, match="two stimuli or more"):
        reference(site, np.ones((1, site.n_units), np.float32))
    other = lens.capture(
        resnet, np.zeros((2, 32, 32, 3), np.uint8), ["image.layer3"], reduce="mean", progress=False
    )
    with pytest.raises(BadInput, match=r"was not captured: there are image.layer3"):
        reference(site, other)
