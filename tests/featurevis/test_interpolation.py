import json

import numpy as np
import pytest
import torch

from lens.errors import BadInput
from lens.featurevis import objectives, rerun
from lens.featurevis.interpolation import interpolate
from lens.featurevis.loop.optimize import look
from lens.featurevis.objectives.measures import measure
from lens.featurevis.parameterization import Aligned, Fourier, from_recipe


@pytest.fixture(scope="module")
def row(resnet):
    site = resnet.site("image.layer2")
    return interpolate(site.unit(1), site.unit(5), k=4, steps=20, progress=False)


def values(model, objective, images):
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    every = [objective] * len(pixels)
    with torch.no_grad():
        scene = look(model, every, pixels, pixels, torch.arange(len(pixels)))
        return measure(every, scene).numpy()


def test_the_ends_are_the_units_own_objectives(row, resnet):
    site = resnet.site("image.layer2")
    first = values(resnet, objectives.unit(site.unit(1)), row.images)
    last = values(resnet, objectives.unit(site.unit(5)), row.images)
    assert len(row) == 4
    assert np.isclose(row.values[0], first[0], atol=1e-4)
    assert np.isclose(row.values[3], last[3], atol=1e-4)
    assert np.allclose(
        row.values, (1 - np.arange(4) / 3) * first + np.arange(4) / 3 * last, atol=1e-4
    )
    assert (row.values > row.start_values).all()
    assert first[0] > first[3]
    assert last[3] > last[0]


def test_aligned_images_lie_nearer_to_each_other(resnet):
    site = resnet.site("image.layer3")

    def distance(aligned):
        made = interpolate(
            site.unit(0), site.unit(3), k=4, steps=30, aligned=aligned, progress=False
        )
        return np.abs(np.diff(made.images.astype(float), axis=0)).mean()

    assert distance(True) < distance(False)


def test_a_base_of_no_strength_leaves_images_to_themselves():
    z = torch.randn(3, 3, 16, 9, 2, generator=torch.Generator().manual_seed(0))
    plain = Fourier().pixels(z, (16, 16))
    assert torch.allclose(Aligned(strength=0.0).pixels(z, (16, 16)), plain)
    shared = Aligned(strength=4.0).pixels(z, (16, 16))
    assert (
        shared.diff(dim=0).abs().mean() / shared.std()
        < plain.diff(dim=0).abs().mean() / plain.std()
    )


def test_it_can_be_made_again(row, resnet):
    recipe = json.loads(json.dumps(row.recipe))
    assert np.array_equal(rerun(recipe, resnet, progress=False).images, row.images)
    kind = Aligned(Fourier(decay=0.5), 1.5, 3.0)
    assert from_recipe(json.loads(json.dumps(kind.recipe()))) == kind


def test_texts_and_directions_are_ends_too(resnet):
    ends = [objectives.similarity(resnet, text) for text in ("a dog", "the sea")]
    made = interpolate(*ends, k=3, steps=3, progress=False)
    assert len(made) == 3
    assert made.shares == (0, 0.5, 1)
    assert made.sheet().width == 3 * 102 + 6
    assert made._repr_html_().startswith("<div>")


def test_bad_input(resnet, vit):
    unit = resnet.site("image.layer2").unit(1)
    for call, sentence in (
        (lambda: interpolate(unit, unit, k=1), "at least the 2 ends"),
        (lambda: interpolate(unit, "a dog"), "not str"),
        (lambda: interpolate(unit, unit, copies=2), "leave out"),
        (lambda: interpolate(unit, vit.site("image.embedding").unit(0)), "one model"),
    ):
        with pytest.raises(BadInput, match=sentence):
            call()
