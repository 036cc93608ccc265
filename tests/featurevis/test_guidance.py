import numpy as np
import pytest
import torch
from torch import nn

from lens import zoo
from lens.errors import BadInput
from lens.featurevis.guidance import _cut, aim, guide
from lens.featurevis.parameterization import Fourier, Pixel
from lens.featurevis.ranking import rank


@pytest.fixture(scope="module")
def model():
    return zoo.load("glyph-rn")


@pytest.fixture(scope="module")
def shipped():
    return zoo.generator()


QUICK = {"steps": 8, "copies": 2, "cutouts": 3, "candidates": 4, "progress": False}


def test_guidance_comes_nearer_than_any_draw_did(model, shipped):
    free = rank(model, shipped, "a picture of a pizza", n=16)
    made = guide(model, "a picture of a pizza", shipped, **{**QUICK, "steps": 20})
    assert (made.values > made.start_values).all()
    assert made.values.mean() > free.scores.mean() + 0.1
    # The values are those of the images as they stand.
    seen = model.embed([*made.images])
    text = model.embed(["a picture of a pizza"])[0]
    assert np.allclose(seen @ text, made.values, atol=1e-4)
    assert made.curve.shape == (2, 20)
    assert '"a picture of a pizza"' in repr(made.units[0])
    assert made.recipe["parameterization"]["name"] == "stylegan"


def test_the_same_seed_makes_the_same_images_and_nothing_else_moves(model, shipped):
    before, flags = torch.get_rng_state(), [p.requires_grad for p in model.module.parameters()]
    modes = [p.training for p in shipped.modules()]
    first = guide(model, "a dog", shipped, **QUICK)
    again = guide(model, "a dog", shipped, **QUICK)
    other = guide(model, "a dog", shipped, seed=1, **QUICK)
    assert np.abs(first.images.astype(int) - again.images).max() <= 1
    assert (first.images != other.images).any()
    assert torch.equal(before, torch.get_rng_state())
    assert [p.requires_grad for p in model.module.parameters()] == flags
    assert [p.training for p in shipped.modules()] == modes
    assert all(p.grad is None for p in shipped.parameters())


def test_weights_and_avoidance_make_one_score(model):
    found = aim(model, {"a dog": 3, "the sea": 1}, avoid="writing")
    assert found.texts == ("a dog", "the sea", "writing")
    assert torch.allclose(found.weights, torch.tensor([3, 1, -0.5]) / 4.5)
    x = torch.randn(4, 256, generator=torch.Generator().manual_seed(0))
    unit = x / x.norm(dim=1, keepdim=True)
    by_hand = sum(
        float(w) * unit @ torch.from_numpy(model.embed([t])[0])
        for w, t in zip(found.weights, found.texts, strict=True)
    )
    assert torch.allclose(found(x), by_hand, atol=1e-6)
    both = aim(model, ["a dog", "a cat"])
    assert both.weights.tolist() == [0.5, 0.5]


def test_a_judge_has_its_say(model, shipped):
    class Dark(nn.Module):
        def forward(self, pixels):
            return -20 * pixels.mean((1, 2, 3))

    plain = guide(model, "a dog", Pixel(), lr=0.2, **QUICK)
    dark = guide(model, "a dog", Pixel(), lr=0.2, discriminator=5.0, judge=Dark(), **QUICK)
    assert dark.images.mean() < plain.images.mean() - 10
    own = guide(model, "a dog", shipped, discriminator=0.05, **QUICK)
    assert own.recipe["discriminator"] == 0.05


def test_cutouts_begin_with_the_whole_image_and_stay_inside_it():
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    own = [torch.Generator().manual_seed(i) for i in range(2)]
    views = _cut(images, 5, own)
    assert views.shape == (10, 3, 32, 32)
    assert (views[0] - images[0]).abs().mean() < 0.03
    assert (views[5] - images[1]).abs().mean() < 0.03
    assert (views[1] - images[0]).abs().mean() > 0.1
    # An image's views do not depend on its neighbours.
    alone = _cut(images[1:], 5, [torch.Generator().manual_seed(1)])
    assert torch.equal(alone, views[5:])


def test_bad_input_is_told_in_one_sentence(model):
    for call, sentence in (
        (lambda: guide(model, "", **QUICK), "at least one letter"),
        (lambda: guide(model, [], **QUICK), "no text to guide by"),
        (lambda: guide(model, {"a dog": "much"}, **QUICK), "weight of 'a dog'"),
        (lambda: guide(model, {"a dog": 0}, **QUICK), "nothing to come near"),
        (lambda: guide(model, "a dog", 3, **QUICK), "not int"),
        (lambda: guide(model, "a dog", **{**QUICK, "steps": 0}), "steps is a whole number"),
        (lambda: guide(model, "a dog", nn.Identity(), **QUICK), "z_dim"),
    ):
        with pytest.raises(BadInput, match=sentence):
            call()


def test_a_model_without_texts_says_so(colours):
    from lens.errors import LensError

    with pytest.raises(LensError):
        guide(colours, "a dog", Fourier(), **QUICK)
