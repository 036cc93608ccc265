import json

import numpy as np
import pytest
import torch

from lens import zoo
from lens.capture.hooks import forward_to
from lens.data import glyphs
from lens.errors import BadInput, UnknownSite
from lens.featurevis import rerun
from lens.featurevis.inversion import invert


@pytest.fixture(scope="module")
def model():
    return zoo.load("glyph-rn")


@pytest.fixture(scope="module")
def made(model):
    image = glyphs().images("guitar", "cartoon")[0]
    return invert(model, image, ["image.layer1", "image.layer4"], steps=60, progress=False)


def test_an_early_site_gives_more_of_the_image_back_than_a_late_one(made):
    assert (made.errors < made.start_errors).all()
    assert made.errors[0] < 0.5 * made.start_errors[0]
    assert made.correlation[0] > made.correlation[1] + 0.1
    assert made.ssim[0] > made.ssim[1]
    assert made.made.curve.shape == (2, 60)


def test_errors_are_those_of_the_images_as_they_stand(made, model):
    for i, site in enumerate(made.sites):
        found = []
        for image in (made.images[i], made.original):
            pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
            found.append(forward_to(site, model.normalize(pixels))[site.name].double())
        error = float((found[0] - found[1]).square().sum() / found[1].square().sum())
        assert np.isclose(error, made.errors[i], rtol=1e-3)
    cosine = model.embed([made.images[1]])[0] @ model.embed([made.original])[0]
    assert np.isclose(cosine, made.similarity[1], atol=1e-5)


def test_it_can_be_made_again(made, model):
    again = rerun(json.loads(json.dumps(made.made.recipe)), model, progress=False)
    assert np.array_equal(again.images, made.images)


def test_it_can_be_read_and_shown(made):
    table = made.table
    assert table["site"].tolist() == ["image.layer1", "image.layer4"]
    assert np.allclose(table["error"], made.errors)
    assert "2 sites" in repr(made)
    assert "image.layer1" in made._repr_html_()
    assert made.sheet().width > 3 * 96
    assert made[0].size == (96, 96)


def test_sites_together_are_as_each_alone_and_seeds_count(resnet):
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    options = {"steps": 5, "progress": False}
    both = invert(resnet, image, "image.layer[12]", **options)
    one = invert(resnet, image, resnet.site("image.layer2"), **options)
    assert np.abs(both.images[1].astype(int) - one.images[0]).max() <= 2
    other = invert(resnet, image, "image.layer2", seed=1, **options)
    assert (other.images != one.images).any()


def test_bad_input(model, resnet):
    image = glyphs().images("guitar", "cartoon")[0]
    for sites, sentence in (
        ([], "no site of glyph-rn"),
        ("image.layer9*", "No site is called like"),
        (resnet.site("image.layer1"), "site of small-rn"),
        (model.site("text.embedding"), "sees no image"),
        ([3], "not int"),
    ):
        with pytest.raises((BadInput, UnknownSite), match=sentence):
            invert(model, image, sites, steps=2, progress=False)
    with pytest.raises(UnknownSite):
        invert(model, image, "image.layer9", steps=2, progress=False)
    with pytest.raises(BadInput, match="steps is a whole"):
        invert(model, image, "image.layer1", steps=0)
    with pytest.raises(BadInput, match="total_variation"):
        invert(model, image, "image.layer1", total_variation=-1)
