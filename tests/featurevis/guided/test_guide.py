import json

import numpy as np
import pytest
import torch
from torch import nn

from lens import zoo
from lens.errors import BadInput
from lens.featurevis import rerun
from lens.featurevis.guided.guide import guide, objective
from lens.featurevis.guided.prompts import weights
from lens.featurevis.guided.ranking import rank
from lens.featurevis.loop.optimize import generator
from lens.featurevis.objectives.measures import Scene, measure
from lens.featurevis.parameterization import Fourier, Pixel


@pytest.fixture(scope="module")
def model():
    return zoo.load("glyph-rn")


@pytest.fixture(scope="module")
def shipped():
    return zoo.generator()


QUICK = {"steps": 8, "copies": 2, "cutouts": 3, "candidates": 4, "progress": False}


def test_guidance_comes_nearer_than_any_draw_did(model, shipped):
    free = rank(model, shipped, "a picture of a pizza", n=16)
    made = guide(model, "a picture of a pizza", shipped, **{**QUICK, "steps": 12})
    assert (made.values > made.start_values).all()
    assert made.values.mean() > free.scores.mean() + 0.1
    # The values are those of the images as they stand.
    seen = model.embed([*made.images])
    text = model.embed(["a picture of a pizza"])[0]
    assert np.allclose(seen @ text, made.values, atol=1e-4)
    assert made.curve.shape == (2, 12)
    assert '"a picture of a pizza"' in repr(made.units[0])
    assert made.recipe["parameterization"]["own"]["module"] == "Generator"
    assert made.importance.shape == (2, 96, 96)


def test_every_copy_begins_at_the_best_of_its_draws(model, shipped):
    made = guide(model, "a dog", shipped, **{**QUICK, "steps": 1})
    text = model.embed(["a dog"])[0]
    for copy in range(2):
        own = generator(0, 0, copy)
        z = torch.stack([torch.randn(128, generator=own) for _ in range(4)])
        with torch.no_grad():
            images = (shipped(z) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        scores = model.embed([*images]) @ text
        assert made.start_values[copy] == pytest.approx(max(scores), abs=1e-4)
        seed, draw = made.recipe["parameterization"]["draws"][copy]
        assert (seed, draw) == (own.initial_seed(), int(np.argmax(scores)))


def test_it_is_made_again_from_its_recipe(model, shipped):
    judge = zoo.discriminator()
    options = {**QUICK, "steps": 4, "discriminator": 0.05, "avoid": "a cat"}
    made = guide(model, "a dog", shipped, judge=judge, **options)
    recipe = json.loads(json.dumps(made.recipe))
    again = rerun(recipe, model, modules=[judge, zoo.generator()], progress=False)
    apart = guide(model, "a dog", shipped, judge=judge, batch_size=1, **options)
    assert np.abs(apart.images.astype(int) - made.images).mean() < 1
    assert np.array_equal(again.images, made.images)
    assert again.recipe == made.recipe
    with pytest.raises(BadInput, match="needs the generator Generator"):
        rerun(recipe, model, modules=[judge], progress=False)


def test_it_can_be_watched_and_stopped(model, shipped):
    seen = []

    def watch(step, images, values):
        seen.append((step, images.shape))
        return step < 3

    with pytest.warns(UserWarning, match="on_step said so"):
        made = guide(model, "a dog", shipped, on_step=watch, **QUICK)
    assert seen == [(1, (2, 96, 96, 3)), (2, (2, 96, 96, 3)), (3, (2, 96, 96, 3))]
    assert made.curve.shape == (2, 3)


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
    found = weights({"a dog": 3, "the sea": 1}, avoid="writing")
    assert found == {"a dog": 3 / 4.5, "the sea": 1 / 4.5, "writing": -0.5 / 4.5}
    x = torch.randn(4, 256, generator=torch.Generator().manual_seed(0))
    unit = x / x.norm(dim=1, keepdim=True)
    by_hand = sum(w * unit @ torch.from_numpy(model.embed([t])[0]) for t, w in found.items())
    site = model.site("image.embedding")
    scene = Scene(torch.zeros(4, 3, 96, 96), {site: x}, torch.zeros(4).long())
    assert torch.allclose(measure([objective(model, found)] * 4, scene), by_hand, atol=1e-6)
    assert weights(["a dog", "a cat"]) == {"a dog": 0.5, "a cat": 0.5}


def test_a_judge_has_its_say(model, shipped):
    class Dark(nn.Module):
        def forward(self, pixels):
            return -20 * pixels.mean((1, 2, 3))

    plain = guide(model, "a dog", Pixel(), lr=0.2, **QUICK)
    dark = guide(model, "a dog", Pixel(), lr=0.2, discriminator=5.0, judge=Dark(), **QUICK)
    assert dark.images.mean() < plain.images.mean() - 10
    own = guide(model, "a dog", shipped, discriminator=0.05, **QUICK)
    assert "0.05 * score(Discriminator, logit=True)" in repr(own.units[0])


def test_bad_input_is_told_in_one_sentence(model):
    for call, sentence in (
        (lambda: guide(model, "", **QUICK), "at least one letter"),
        (lambda: guide(model, [], **QUICK), "no text to guide by"),
        (lambda: guide(model, {"a dog": "much"}, **QUICK), "weight of 'a dog'"),
        (lambda: guide(model, {"a dog": 0}, **QUICK), "nothing to come near"),
        (lambda: guide(model, 3, **QUICK), "not int"),
        (lambda: guide(model, "a dog", size=8, **QUICK), "leave out size"),
        (lambda: guide(model, "a dog", **{**QUICK, "cutouts": 0}), "cutouts is a whole number"),
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
