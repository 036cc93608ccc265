import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from lens.capture.hooks import forward_to
from lens.errors import BadInput
from lens.featurevis.faceted import probes as p


def coloured(count=24, seed=0):
    """Noise that is mostly red or mostly blue, by turns."""
    rng = np.random.default_rng(seed)
    images, labels = [], []
    for i in range(count):
        pixels = rng.integers(0, 100, (32, 32, 3), dtype=np.uint8)
        pixels[..., 2 * (i % 2)] += 120
        images.append(Image.fromarray(pixels))
        labels.append("blue" if i % 2 else "red")
    return images, labels


def newton(x, labels, penalty, steps=30):
    """Class-balanced multinomial logistic regression in float64, by Newton's method."""
    count, dim = labels.max() + 1, x.shape[1]
    share = 1 / (count * np.bincount(labels))[labels]
    w = np.zeros((count, dim))
    for _ in range(steps):
        logits = x @ w.T
        chance = np.exp(logits - logits.max(1, keepdims=True))
        chance /= chance.sum(1, keepdims=True)
        slope = ((chance - np.eye(count)[labels]) * share[:, None]).T @ x + penalty * w
        curve = penalty * np.eye(count * dim)
        for row, c, s in zip(x, chance, share, strict=True):
            curve += s * np.kron(np.diag(c) - np.outer(c, c), np.outer(row, row))
        w -= np.linalg.solve(curve, slope.ravel()).reshape(w.shape)
    return w


def test_the_fit_is_newtons():
    rng = np.random.default_rng(0)
    labels = np.array([0] * 20 + [1] * 7 + [2] * 5)
    x = rng.normal(size=(32, 6)) + np.eye(3, 6)[labels] * 2
    got = p.fit(torch.from_numpy(x), torch.from_numpy(labels), penalty=0.01)
    scale = np.sqrt((x**2).sum(1).mean())
    np.testing.assert_allclose(got.numpy() * scale, newton(x / scale, labels, 0.01), atol=1e-5)
    same = p.fit(torch.from_numpy(1000 * x), torch.from_numpy(labels), penalty=0.01)
    np.testing.assert_allclose(same.numpy() * 1000, got.numpy(), rtol=1e-4)  # scale-free


def test_a_probe_tells_colours_apart(resnet):
    site = resnet.site("image.layer1")
    probe = p.train(site, coloured())
    assert probe.facets == ("red", "blue")
    assert probe.n == (16, 8) and probe.accuracy == 1
    assert probe.weights.shape == (2, site.n_units, 4, 4)
    assert "chance 50.0%" in repr(probe)

    images, labels = coloured(6, seed=9)
    batch = torch.stack([resnet.picture(image) for image in images])
    tensor = forward_to(site, batch)[site.name]
    said = probe.probabilities(tensor).numpy()
    assert [probe.facets[k] for k in said.argmax(1)] == labels
    pooled = tensor.double().numpy().reshape(6, site.n_units, 4, 2, 4, 2).mean((3, 5))
    logits = np.einsum("nchw,kchw->nk", pooled, probe.weights.astype(float))
    np.testing.assert_allclose(said[:, 1], 1 / (1 + np.exp(logits[:, 0] - logits[:, 1])), atol=1e-5)


def test_a_transformers_class_token_has_no_place(vit):
    probe = p.train(vit.site("image.blocks.0"), coloured())
    assert probe.weights.shape == (2, 32, 4, 4) and probe.accuracy == 1


def test_training_leaves_no_trace_and_repeats(resnet):
    before = torch.get_rng_state(), resnet.module.training
    first, second = (p.train(resnet.site("image.layer2"), coloured()) for _ in range(2))
    np.testing.assert_array_equal(first.weights, second.weights)
    assert torch.equal(torch.get_rng_state(), before[0]) and resnet.module.training == before[1]
    with torch.inference_mode():
        p.train(resnet.site("image.layer2"), coloured())


def test_where_to_guide_from(resnet, vit):
    assert p.early_site(resnet.site("image.layer4")).name == "image.layer2"
    assert p.early_site(resnet.site("image.layer2")).name == "image.layer1"
    assert p.early_site(vit.site("image.embedding")).name == "image.blocks.0"
    assert p.is_before(resnet.site("image.layer3"), resnet.site("image.embedding"))
    assert not p.is_before(resnet.site("image.layer4"), resnet.site("image.layer4.pre_relu"))
    assert not p.is_before(resnet.site("image.layer3"), resnet.site("image.layer3"))
    with pytest.raises(BadInput, match=r"no stage or block before image\.stem"):
        p.early_site(resnet.site("image.stem"))


class Unlabelled(list):
    table = pd.DataFrame({"colour": ["a", "b"]})


@pytest.mark.parametrize(
    ("stimuli", "facets", "sentence"),
    [
        ([Image.new("RGB", (8, 8))], None, "no labels"),
        (Unlabelled("ab"), None, "column `facet` or `rendering`"),
        (Unlabelled("ab"), "color", "no column 'color'; the nearest: colour"),
        ((coloured(6)[0], ["red"] * 6), None, "two or more; there is 'red'"),
        ((coloured(6)[0], ["red"] * 5), None, "6 images and 5 labels"),
        ((coloured(4)[0], ["a", "b", "b", "b"]), None, "'a' has 1 stimuli"),
    ],
)
def test_what_is_refused(resnet, stimuli, facets, sentence):
    with pytest.raises(BadInput, match=sentence):
        p.train(resnet.site("image.layer2"), stimuli, facets)


def test_texts_have_no_facets(resnet):
    with pytest.raises(BadInput, match="text tower"):
        p.train(resnet.site("text.blocks.0"), coloured())
