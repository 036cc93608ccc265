import copy
import json

import numpy as np
import pytest
import torch

from lens.errors import BadInput
from lens.featurevis import objectives as o
from lens.featurevis.faceted.probes import Probe
from lens.featurevis.loop.optimize import look
from lens.featurevis.objectives.facets import facet, packed, weights_of
from lens.featurevis.objectives.measures import measure


def probe_at(site, seed=0, grid=(2, 2)):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(3, site.n_units, *grid)).astype(np.float32)
    return Probe(site, ("picture", "drawing", "word"), weights, 0.9, (10, 5))


@pytest.fixture
def pixels():
    return torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def measured(model, objectives, pixels):
    x = pixels.clone().requires_grad_(True)
    scene = look(model, objectives, x, x, torch.arange(len(pixels)))
    return x, measure(objectives, scene)


def stretched(small, size):
    """Bilinear, place by place, edges held."""
    out = np.zeros((len(small), size, size))
    ratio = small.shape[1] / size
    for r in range(size):
        for c in range(size):
            y, x = (r + 0.5) * ratio - 0.5, (c + 0.5) * ratio - 0.5
            for i in range(small.shape[1]):
                for j in range(small.shape[2]):
                    near_y = max(0, 1 - abs(np.clip(y, 0, small.shape[1] - 1) - i))
                    near_x = max(0, 1 - abs(np.clip(x, 0, small.shape[2] - 1) - j))
                    out[:, r, c] += near_y * near_x * small[:, i, j]
    return out


def by_hand(model, probes, pixels, unit, k, strength):
    """The formula for one image and a unit of the last stage, in float64 and plain loops."""
    visual = copy.deepcopy(model.module.visual).double()
    x = (pixels.double() - model.mean.double()[:, None, None]) / model.std.double()[:, None, None]
    first = visual.layer1(visual.stem(x[None])).detach().requires_grad_(True)
    second = visual.layer2(first)
    second.retain_grad()
    excited = visual.layer4(visual.layer3(second))[0, unit].mean()
    excited.backward()
    excited = float(excited.detach())
    guide = 0.0
    for probe, layer in zip(probes, (first, second), strict=False):
        weights = weights_of(packed(probe.weights[k])).astype(float)
        weights = stretched(weights / np.sqrt((weights**2).mean()), layer.shape[2])
        seen, slope = layer.detach()[0].numpy(), layer.grad[0].numpy()
        for u in range(seen.shape[0]):
            for r in range(seen.shape[1]):
                for c in range(seen.shape[2]):
                    guide += seen[u, r, c] * max(slope[u, r, c], 0) * weights[u, r, c]
    grey = ((pixels.double() - 0.5) ** 2).mean()
    return excited + 5 / len(probes) * strength * guide - 10 * float(grey)


def test_the_formula_by_hand(resnet, pixels):
    probes = [probe_at(resnet.site("image.layer1")), probe_at(resnet.site("image.layer2"), 1)]
    layer = resnet.site("image.layer4")
    with torch.no_grad():
        seen = look(resnet, [o.unit(layer.unit(0))], pixels, pixels, torch.arange(3))
    loud = seen.activations[layer.pre_activation].amax((2, 3)).min(0).values > 0
    units = loud.nonzero()[:3, 0].tolist()
    asked = [("word", 0.3), ("picture", 4.0), ("drawing", 1.0)]
    aims = [facet(layer.unit(u), probes, *each) for u, each in zip(units, asked, strict=True)]
    got = measured(resnet, aims, pixels)[1].detach().numpy()
    for i, (u, (name, strength)) in enumerate(zip(units, asked, strict=True)):
        k = probes[0].facets.index(name)
        expected = by_hand(resnet, probes, pixels[i], u, k, strength)
        np.testing.assert_allclose(got[i], expected, rtol=2e-4, atol=2e-5)


def test_the_guide_moves_the_image_and_its_slope_is_fixed(resnet, pixels):
    layer, probes = resnet.site("image.layer4"), [probe_at(resnet.site("image.layer2"))]
    slopes = []
    for name in ("unguided", "word", "picture"):
        x, values = measured(resnet, [facet(layer.unit(3), probes, name)] * 3, pixels)
        slopes.append(torch.autograd.grad(values.sum(), x)[0])
    assert not torch.allclose(slopes[0], slopes[1]) and not torch.allclose(slopes[1], slopes[2])


def test_images_do_not_feel_each_other(resnet, pixels):
    layer, probes = resnet.site("image.layer4"), [probe_at(resnet.site("image.layer2"))]
    aims = [facet(layer.unit(i), probes, "word", 2.0) for i in (1, 5, 9)]
    together = measured(resnet, aims, pixels)[1]
    for i in range(3):
        alone = measured(resnet, aims[i : i + 1], pixels[i : i + 1])[1]
        torch.testing.assert_close(alone[0], together[i], rtol=1e-4, atol=1e-5)


def test_other_objectives_in_the_same_call(resnet, pixels):
    layer, probes = resnet.site("image.layer4"), [probe_at(resnet.site("image.layer2"))]
    guided = facet(layer.unit(5), probes, "word", 2.0)
    later = [probe_at(resnet.site("image.layer3"), 1)]  # of another form, and guided from elsewhere
    aims = [
        o.unit(layer.unit(1)),
        guided + o.unit(layer.unit(2)),
        facet(layer.unit(5), later, "word"),
    ]
    for order in ([0, 1, 2], [2, 1, 0]):
        mixed = [aims[i] for i in order]
        x, together = measured(resnet, mixed, pixels)
        slope = torch.autograd.grad(together.sum(), x)[0]
        for i in range(3):
            x, alone = measured(resnet, mixed[i : i + 1], pixels[i : i + 1])
            torch.testing.assert_close(alone[0], together[i], rtol=1e-4, atol=1e-5)
            own = torch.autograd.grad(alone.sum(), x)[0]
            torch.testing.assert_close(own[0], slope[i], rtol=1e-3, atol=1e-6)


def test_a_finished_image_is_worth_what_it_excites(resnet, pixels):
    layer, probes = resnet.site("image.layer4"), [probe_at(resnet.site("image.layer2"))]
    aims = [facet(layer.unit(3), probes, name, 5.0) for name in ("word", "picture", "unguided")]
    alike = pixels[:1].expand(3, -1, -1, -1)
    with torch.no_grad():
        scene = look(resnet, aims, alike, alike, torch.arange(3))
        values = measure(aims, scene)
    map_ = scene.activations[layer.pre_activation][0, 3]
    expected = map_.relu().mean() if (map_ > 0).any() else map_.mean()
    torch.testing.assert_close(values, expected.expand(3))


def test_a_silent_unit_has_a_slope(resnet, pixels):
    layer, probes = resnet.site("image.layer4"), [probe_at(resnet.site("image.layer2"))]
    with torch.no_grad():
        seen = look(resnet, [o.unit(layer.unit(0))], pixels, pixels, torch.arange(3))
    before = seen.activations[layer.pre_activation]
    unit = int((before.amax((2, 3)) <= 0).all(0).nonzero()[0])
    x, values = measured(resnet, [facet(layer.unit(unit), probes, "unguided")] * 3, pixels)
    grey = 10 * (pixels - 0.5).square().mean((1, 2, 3))
    torch.testing.assert_close(values + grey, before[:, unit].mean((1, 2)))
    expected = -10 * 2 * (pixels - 0.5) / pixels[0].numel()
    slope = torch.autograd.grad(values.sum(), x)[0]
    assert (slope - expected).abs().max() > 10 * expected.abs().max() * 1e-3


def test_directions_and_places(resnet, vit, pixels):
    site = resnet.site("image.layer4")
    probes = [probe_at(resnet.site("image.layer2"))]
    one_hot = np.eye(site.n_units)[4]
    aims = [facet(o.direction(site, one_hot), probes, "word", 1.0, at="max")] * 3
    same = [facet(site.unit(4), probes, "word", 1.0, at="max")] * 3
    torch.testing.assert_close(measured(resnet, aims, pixels)[1], measured(resnet, same, pixels)[1])
    probes = [probe_at(vit.site("image.blocks.0"))]
    aims = [facet(vit.site("image.blocks.1").unit(4), probes, "word", 1.0, at="cls")] * 3
    assert measured(vit, aims, pixels)[1].requires_grad


def test_recipes(resnet, pixels):
    probes = [probe_at(resnet.site("image.layer2"))]
    aim = facet(resnet.site("image.layer4").unit(4), probes, "word", 0.5)
    assert repr(aim).endswith("4, word, strength=0.5)")
    again = o.from_recipe(json.loads(json.dumps(aim.recipe())), resnet)
    assert again.form == aim.form
    torch.testing.assert_close(
        measured(resnet, [again] * 3, pixels)[1], measured(resnet, [aim] * 3, pixels)[1]
    )


def test_weights_travel_as_text():
    weights = np.random.default_rng(0).normal(size=(5, 3, 2)).astype(np.float32) * 1e-6
    np.testing.assert_allclose(weights_of(packed(weights)), weights, rtol=1e-3, atol=1e-9)
    assert not weights_of(packed(np.zeros((2, 1, 1), np.float32))).any()


def test_what_is_refused(resnet, vit, pixels):
    layer, probes = resnet.site("image.layer4"), [probe_at(resnet.site("image.layer2"))]
    with pytest.raises(BadInput, match="no facet 'words'; they know picture, drawing, word"):
        facet(layer.unit(0), probes, "words")
    with pytest.raises(BadInput, match="there is none"):
        facet(layer.unit(0), [], "word")
    with pytest.raises(BadInput, match="another model"):
        facet(vit.site("image.blocks.1").unit(0), probes, "word")
    with pytest.raises(BadInput, match="unit or a direction"):
        facet(o.unit(layer.unit(0)) * 2, probes, "word")
    with pytest.raises(BadInput, match="'mean' or 'max'"):
        facet(layer.unit(0), probes, "word", at="cls")
    late = [probe_at(layer)]
    with pytest.raises(BadInput, match="does not come before"):
        measured(resnet, [facet(resnet.site("image.layer3").unit(0), late, "word")] * 3, pixels)
