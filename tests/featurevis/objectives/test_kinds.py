"""Each kind of objective against the same formula in numpy and float64, or in plain loops."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from lens.errors import BadImage, BadInput, UnitOutOfRange
from lens.featurevis import objectives as o
from lens.featurevis import visualize
from lens.featurevis.objectives.looking import look, undisturbed
from lens.featurevis.objectives.measures import MEASURES, measure
from lens.featurevis.transforms import crops

close = {"rtol": 1e-3, "atol": 1e-5}


def flat(maps: np.ndarray) -> np.ndarray:
    return maps.reshape(*maps.shape[:2], -1).transpose(0, 2, 1)


def test_a_head_is_the_length_of_what_it_gives(vit, captured, valued):
    site = vit.site("image.blocks.1.attention.heads")
    array = captured(site)  # images, heads, tokens, features
    for at, tokens in (("mean", slice(1, None)), ("cls", slice(0, 1)), ("max", slice(1, None))):
        got = valued([o.head(site, i, at=at) for i in (0, 1, 1, 0)])
        for row, head in enumerate((0, 1, 1, 0)):
            lengths = [np.sqrt((vector**2).sum()) for vector in array[row, head, tokens]]
            want = max(lengths) if at == "max" else sum(lengths) / len(lengths)
            assert got[row] == pytest.approx(want, rel=1e-4)
    along = np.random.default_rng(0).normal(size=array.shape[3])
    want = array[:, 1, 1:].mean(1) @ along
    np.testing.assert_allclose(valued(o.head(site, 1, along)), want, **close)
    with pytest.raises(UnitOutOfRange, match="heads 0 to 1, not 2"):
        o.head(site, 2)
    with pytest.raises(BadInput, match=r"has no heads' outputs; 'image.blocks.0.attention.heads'"):
        o.head(vit.site("image.blocks.1"), 0)


def test_focus_is_minus_the_entropy(vit, captured, valued):
    site = vit.site("image.blocks.0.attention.pattern")
    pattern = captured(site)[:, 1]
    want = (pattern * np.log(pattern)).sum(-1).mean(-1)
    np.testing.assert_allclose(valued(o.focus(site, 1)), want, **close)
    with pytest.raises(BadInput, match="is no attention pattern"):
        o.focus(vit.site("image.blocks.0"), 0)


def test_latents_are_rows_or_columns_of_an_encoder(vit, captured, valued):
    site = vit.site("image.blocks.1")
    rng = np.random.default_rng(0)
    encoder, bias = rng.normal(size=(32, 50)), rng.normal(size=50)
    before = captured(site)[:, 1:] @ encoder[:, 7] + bias[7]
    np.testing.assert_allclose(
        valued(o.latents(site, encoder, 7, bias=bias)), before.mean(1), **close
    )
    after = np.maximum(before, 0)
    got = valued(o.latents(site, torch.tensor(encoder.T), 7, bias=torch.tensor(bias), relu=True))
    np.testing.assert_allclose(got, after.mean(1), **close)
    got = valued(o.latents(site, encoder, 7, relu=True, bias=bias, at="max"))
    np.testing.assert_allclose(got, after.max(1), **close)
    with pytest.raises(BadInput, match="is 32 x K or K x 32 numbers, not an array of shape"):
        o.latents(site, np.ones((3, 4)), 0)
    with pytest.raises(UnitOutOfRange, match="latents 0 to 49, not 50"):
        o.latents(site, encoder, 50)
    with pytest.raises(BadInput, match="bias needs 50 numbers"):
        o.latents(site, encoder, 0, bias=[1.0])


def test_logit_is_the_log_odds_of_the_softmax(resnet, pixels, valued):
    texts = ["dog", "cat", "a car"]
    embedded = resnet.embed(list(resnet.normalize(pixels))).astype(float)
    scores = 20 * embedded @ resnet.embed(texts).astype(float).T
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    got = valued(o.logit(resnet, texts, 1, scale=20))
    np.testing.assert_allclose(got, np.log(p[:, 1] / (1 - p[:, 1])), rtol=1e-3, atol=1e-4)
    own = resnet.module.logit_scale.exp().item()
    assert o.logit(resnet, texts, 1).option("scale") == pytest.approx(own, rel=1e-4)
    with pytest.raises(BadInput, match="at least two, in a list"):
        o.logit(resnet, "dog")
    with pytest.raises(BadInput, match="prompts 0 to 2, not 3"):
        o.logit(resnet, texts, 3)


def test_whole_sites(resnet, captured, valued):
    site = resnet.site("image.layer3")
    maps = captured(site)
    np.testing.assert_allclose(valued(o.layer(site)), (maps**2).mean((1, 2, 3)), **close)
    np.testing.assert_allclose(valued(o.activation_l1(site)), abs(maps).mean((1, 2, 3)), **close)


def test_caricature_and_inversion(resnet, captured, valued, photo, as_pixels):
    site = resnet.site("image.layer3")
    ours, theirs = flat(captured(site)), flat(captured(site, as_pixels(photo)))[0]
    dots, cosines, away = [], [], []
    for a in ours:
        dots.append((a * theirs).sum() / len(theirs))
        cosines.append((a * theirs).sum() / np.sqrt((a**2).sum() * (theirs**2).sum()))
        away.append(((a - theirs) ** 2).sum() / (theirs**2).sum())
    want = np.array(dots) * np.maximum(cosines, 0.1) ** 2
    np.testing.assert_allclose(valued(o.caricature(site, photo, power=2)), want, **close)
    np.testing.assert_allclose(valued(o.caricature(site, photo, power=0)), dots, **close)
    got = valued(o.caricature(site, photo, compare="cosine"))
    np.testing.assert_allclose(got, cosines, **close)
    np.testing.assert_allclose(valued(o.inversion(site, photo)), -np.array(away), **close)
    with pytest.raises(BadInput, match="compare is 'dot' or 'cosine', not 'l2'"):
        o.caricature(site, photo, compare="l2")
    with pytest.raises(BadImage):
        o.inversion(site, "no such file.png")


def test_style_compares_gram_matrices(resnet, captured, valued, photo, as_pixels):
    sites = [resnet.site("image.layer1"), resnet.site("image.layer3")]
    want = np.zeros(4)
    for site in sites:
        theirs = flat(captured(site, as_pixels(photo)))[0]
        gram = sum(np.outer(a, a) for a in theirs) / len(theirs)
        for row, places in enumerate(flat(captured(site))):
            own = sum(np.outer(a, a) for a in places) / len(places)
            want[row] -= ((own - gram) ** 2).sum() / (gram**2).sum() / len(sites)
    np.testing.assert_allclose(valued(o.style(sites, photo)), want, **close)
    with pytest.raises(BadInput, match="at least one site"):
        o.style([], photo)


def test_an_inversion_comes_close_and_a_caricature_goes_beyond(resnet, photo):
    site = resnet.site("image.layer1")
    found = visualize(o.inversion(site, photo), steps=60, progress=False)
    assert found.values[0] > 0.5 * found.start_values[0]  # both below zero
    more = visualize(o.caricature(site, photo), start=photo, steps=20, progress=False)
    assert more.values[0] > more.start_values[0]


class Bright(nn.Module):
    """A score with weights and dropout: they have to stay as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(self.weight * x).mean((1, 2, 3))[:, None]


def test_a_modules_score(resnet, pixels, tmp_path):
    judge = Bright().train()
    unit = resnet.site("image.layer1").unit(0)
    whole = 0 * o.unit(unit) + o.score(judge, "bright")
    assert repr(whole).endswith("+ score(bright)")
    vis = visualize(whole, steps=12, progress=False)
    assert vis.values[0] == pytest.approx(vis.images[0].mean() / 255, rel=1e-4)
    assert vis.values[0] > vis.start_values[0] + 0.01
    assert judge.training and judge.weight.requires_grad and judge.weight.grad is None
    with pytest.raises(BadInput, match=r"rerun\(recipe, modules="):
        o.from_recipe(whole.recipe(), resnet)
    back = o.from_recipe(json.loads(json.dumps(whole.recipe())), resnet, [judge])
    assert back.recipe() == whole.recipe()
    with pytest.raises(BadInput, match=r"takes a torch.nn.Module, not int"):
        o.score(3)
    with pytest.raises(BadInput, match="one number an image: 1, not"):
        visualize(o.unit(unit) + o.score(nn.Identity()), steps=1, progress=False)


def test_a_logit_counts_once_an_image_and_as_the_log_of_its_probability(resnet):
    calls = []
    judge = Bright().eval()
    judge.register_forward_hook(lambda module, args, out: calls.append(len(args[0])))
    whole = 0 * o.unit(resnet.site("image.layer1").unit(0)) + o.score(judge, logit=True)
    assert "score(Bright, logit=True)" in repr(whole)
    vis = visualize([whole] * 2, steps=1, transforms=crops(3), progress=False)
    assert set(calls) == {2}
    logits = judge(torch.from_numpy(vis.images).permute(0, 3, 1, 2).float() / 255).flatten()
    assert vis.values == pytest.approx(-np.log1p(np.exp(-logits.detach().numpy())), abs=1e-5)
    back = o.from_recipe(json.loads(json.dumps(whole.recipe())), resnet, [judge])
    assert back.recipe() == whole.recipe()


def test_accentuation_balances_the_two_gradients_once(resnet, photo, as_pixels):
    site, unit = resnet.site("image.layer1"), o.unit(resnet.site("image.layer3").unit(4))
    whole = o.accentuation(unit, site, photo, strength=0.5)
    shown = (as_pixels(photo) + 0.05 * torch.randn(2, 3, 32, 32)).clamp(0, 1)
    memory: dict = {}

    def seen(images):
        rows = images.clone().requires_grad_(True)
        return rows, look(resnet, [whole], rows, rows, torch.arange(2), memory=memory)

    with undisturbed(resnet.module):
        rows, scene = seen(shown)
        got = measure([whole] * 2, scene)
        aim = measure([unit] * 2, scene)
        there = look(resnet, [whole], rows, as_pixels(photo), torch.arange(1)).activations[site]
        far = (scene.activations[site] - there).square().sum((1, 2, 3)).sqrt()
        up, away = (
            torch.autograd.grad(values.sum(), rows, retain_graph=True)[0].abs().sum((1, 2, 3))
            for values in (aim, far)
        )
        torch.testing.assert_close(got, aim - 0.5 * up / away * far, rtol=1e-3, atol=1e-5)
        # Later on it is the same lambda, whatever the gradients are then.
        _, scene = seen(torch.rand(2, 3, 32, 32))
        later = measure([whole] * 2, scene)
        far = (scene.activations[site] - there).square().sum((1, 2, 3)).sqrt()
        want = measure([unit] * 2, scene) - 0.5 * up / away * far
        torch.testing.assert_close(later, want, rtol=1e-3, atol=1e-5)
    with pytest.raises(BadInput, match="strength is a number, at least 0"):
        o.accentuation(unit, site, photo, strength=-1)


def test_accentuation_stays_nearer_than_the_plain_climb(resnet, photo, captured, as_pixels):
    site, unit = resnet.site("image.layer1"), o.unit(resnet.site("image.layer3").unit(4))
    plain = visualize(unit, start=photo, steps=24, progress=False)
    kept = visualize(
        o.accentuation(unit, site, photo, strength=3), start=photo, steps=24, progress=False
    )
    there = captured(site, as_pixels(photo))
    far = [np.linalg.norm(captured(site, as_pixels(v.images[0])) - there) for v in (plain, kept)]
    assert far[1] < 0.85 * far[0]


def test_every_kind_has_a_recipe_that_comes_back(resnet, vit, photo):
    layer, block = resnet.site("image.layer3"), vit.site("image.blocks.1")
    rows = np.random.default_rng(0).normal(size=(layer.n_units, 9))
    for model, objective in [
        (resnet, o.style([layer, resnet.site("image.layer1")], photo)),
        (resnet, o.caricature(layer, photo)),
        (resnet, o.inversion(layer, photo)),
        (resnet, o.accentuation(o.unit(layer.unit(1)) - o.l1(), layer, photo)),
        (resnet, o.layer(layer) - o.activation_l1(layer)),
        (resnet, o.latents(layer, rows, 3, relu=True)),
        (resnet, o.logit(resnet, ["dog", "cat"])),
        (resnet, o.similarity(resnet, "dog")),
        (vit, o.token(block, 3, 5)),
        (vit, o.head(vit.site("image.blocks.0.attention.heads"), 1)),
        (vit, o.focus(vit.site("image.blocks.0.attention.pattern"), 1)),
    ]:
        back = o.from_recipe(json.loads(json.dumps(objective.recipe())), model)
        assert back.recipe() == objective.recipe() and repr(back) == repr(objective)
        assert back.form == objective.form and back.sites == objective.sites
    assert "number" in MEASURES
    formula = repr(o.accentuation(o.unit(layer.unit(1)), layer, photo))
    assert formula == (
        "accentuation(unit(image.layer3.0.pre_relu, 1), image.layer3, <image of 32 x 32>, "
        "strength=1.0)"
    )
