import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import lens
from lens.errors import BadInput
from lens.featurevis import Facets, facets, facets_again, rerun
from lens.featurevis import objectives as o

quick = {"steps": 3, "progress": False, "precision": "fp32"}


@pytest.fixture(scope="module")
def coloured():
    rng = np.random.default_rng(0)
    images = []
    for i in range(24):
        pixels = rng.integers(0, 100, (32, 32, 3), dtype=np.uint8)
        pixels[..., 2 * (i % 2)] += 120
        images.append(Image.fromarray(pixels))
    return images, ["red", "blue"] * 12


@pytest.fixture(scope="module")
def found(resnet, coloured):
    return facets(resnet.site("image.layer4").units([3, 8]), stimuli=coloured, **quick)


def test_every_facet_of_every_unit_is_there(found):
    assert isinstance(found, Facets) and found.facets == ("red", "blue")
    table = found.table
    assert len(table) == 2 * (1 + 2 * 2) == len(found.visualization)
    assert table["facet"].tolist() == ["unguided", "red", "red", "blue", "blue"] * 2
    assert table["strength"].tolist() == [0, 0.3, 1, 0.3, 1] * 2
    assert table["site"].unique().tolist() == ["image.layer4"]
    np.testing.assert_allclose(table["looks_red"] + table["looks_blue"], 1, atol=1e-5)
    np.testing.assert_allclose(table["activation"], found.visualization.values)
    assert table["share"].iloc[[0, 5]].tolist() == [1, 1]
    assert found.image(8, "blue").size == (32, 32)
    assert found.image(8, "unguided") == found.visualization[5]


def test_what_is_shown(found, tmp_path):
    sheet = found.sheet()
    assert sheet.height > 2 * 128 and sheet.width > 5 * 128
    assert found.sheet(captions=False).height < sheet.height
    assert "red, blue and unguided, 10 images after 3 steps" in repr(found)
    page = found._repr_html_()
    assert page.count("<img") == 10 and "strength 0.3" in page
    saved = found.save(tmp_path / "facets.png")
    assert Image.open(saved).size == sheet.size
    with pytest.raises(BadInput, match=r"\.png"):
        found.save(tmp_path / "facets.jpg")
    with pytest.raises(BadInput, match="no facet 'reed'; the nearest are: red"):
        found.image(3, "reed")


def test_again_without_the_stimuli(found, resnet, tmp_path):
    json.dumps(found.recipe)
    again = facets_again(found.save(tmp_path / "facets.png"), resnet, progress=False)
    np.testing.assert_array_equal(again.visualization.images, found.visualization.images)
    np.testing.assert_allclose(again.looks, found.looks, atol=5e-3)  # half-precision weights
    assert again.probes[0].accuracy == found.probes[0].accuracy
    images = rerun(found.recipe, resnet, progress=False)
    np.testing.assert_array_equal(images.images, found.visualization.images)
    with pytest.raises(BadInput, match="no recipe of facets"):
        facets_again({"model": "small-rn"}, resnet)


def test_alone_as_in_a_batch(found, resnet):
    alone = facets(resnet.site("image.layer4").unit(8), probes=found.probes, **quick)
    apart = alone.visualization.images.astype(int) - found.visualization.images[5:]
    assert np.abs(apart).max() <= 1


def test_a_facet_is_reached(resnet, coloured):
    many = {**quick, "steps": 24}
    made = facets(resnet.site("image.layer4").units([3, 8]), stimuli=coloured, strengths=5, **many)
    table = made.table.set_index("facet")
    assert table.loc["red", "looks_red"].min() > table.loc["blue", "looks_red"].max()


def test_several_layers_guide_and_a_transformer_too(vit, coloured, resnet):
    made = facets(vit.site("image.blocks.1.mlp.neurons").unit(3), stimuli=coloured, **quick)
    assert made.probes[0].site.name == "image.blocks.0"
    assert made.visualization.units[0].options == (("at", "cls"),)
    both = ["image.layer1", resnet.site("image.layer2")]
    target = o.direction(resnet.site("image.layer4"), np.ones(256))
    made = facets(target, stimuli=coloured, site=both, strengths=[1], **quick)
    assert len(made.probes) == 2 and len(made.visualization) == 3


def test_any_module(coloured):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 6, 3, 2), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.Tanh()]
    model = lens.wrap(nn.Sequential(*layers), name="any", example=torch.zeros(2, 3, 32, 32))
    made = facets(model.site("3").unit(1), stimuli=coloured, site="1", **quick)
    assert len(made.visualization) == 5
    with pytest.raises(BadInput, match="no stage or block before 3"):
        facets(model.site("3").unit(1), stimuli=coloured, **quick)


def test_the_embedded_model():
    model = lens.load("glyph-rn")
    stimuli = lens.data.glyphs().stimuli(per_cell=2, concepts=["apple", "dog", "key", "pizza"])
    made = facets(model.site("image.layer4").unit(77), stimuli=stimuli, size=48, **quick)
    assert made.facets == ("picture", "drawing", "word")
    assert len(made.visualization) == 7 and np.isfinite(made.visualization.values).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"site": "image.layer4"}, "does not depend on image.layer4"),
        ({"site": "text.blocks.0"}, "can't guide"),
        ({"site": []}, "list is empty"),
        ({"strengths": (0.0,)}, "numbers above 0"),
        ({"strengths": (1, 1)}, "every strength once"),
        ({"stimuli": ([], [])}, "two or more"),
        ({"at": "cls"}, "'mean' or 'max'"),
        ({"steps": 0}, "steps"),
    ],
)
def test_what_is_refused(resnet, coloured, options, sentence):
    with pytest.raises(BadInput, match=sentence):
        facets(resnet.site("image.layer3").unit(0), **{"stimuli": coloured, **quick, **options})


def test_targets_that_are_refused(resnet, vit, coloured):
    with pytest.raises(BadInput, match=r"lens\.featurevis\.texts"):
        facets(resnet.site("text.blocks.0").unit(0), stimuli=coloured)
    with pytest.raises(BadInput, match="takes a unit"):
        facets([], stimuli=coloured)
    with pytest.raises(BadInput, match="units and directions"):
        facets([17], stimuli=coloured)
    one_each = [resnet.site("image.layer4").unit(0), vit.site("image.blocks.1").unit(0)]
    with pytest.raises(BadInput, match="one model"):
        facets(one_each, stimuli=coloured)
