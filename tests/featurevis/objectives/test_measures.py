import numpy as np
import pytest
import torch

from lens.errors import BadInput
from lens.featurevis import objectives as o
from lens.featurevis.loop.optimize import look
from lens.featurevis.objectives.measures import Scene, activation_at, measure
from lens.sites import Site, unit_values


@pytest.fixture(scope="module")
def pixels():
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def seen(resnet, pixels):
    """What four pictures look like to the last stage; the first two are copies for one unit."""
    site = resnet.site("image.layer4").pre_activation
    copy_of = torch.tensor([0, 0, 1, 2])
    with torch.no_grad():
        return look(resnet, [o.diversity(site)], pixels, pixels, copy_of), site


def test_a_unit_is_its_own_channel(seen, resnet):
    scene, site = seen
    layer = resnet.site("image.layer4")
    values = measure([o.unit(layer.unit(i)) for i in (5, 9, 9, 0)], scene)
    expected = scene.activations[site].mean((2, 3))
    torch.testing.assert_close(values, expected[[0, 1, 2, 3], [5, 9, 9, 0]])
    assert (expected < 0).any()  # before the ReLU, so that silence has a slope


def test_directions(seen):
    scene, site = seen
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(4, site.n_units)).astype(np.float32)
    pooled = scene.activations[site].mean((2, 3)).numpy()
    dot = (pooled * vectors).sum(1)
    got = measure([o.direction(site, v) for v in vectors], scene)
    np.testing.assert_allclose(got, dot, rtol=1e-4)

    cosine = dot / np.linalg.norm(pooled, axis=1) / np.linalg.norm(vectors, axis=1)
    got = measure([o.cosine_direction(site, v, power=2) for v in vectors], scene)
    np.testing.assert_allclose(got, dot * np.maximum(0.1, cosine) ** 2, rtol=1e-4)


def test_similarity_is_the_cosine_of_the_embeddings(resnet, pixels):
    objective = o.similarity(resnet, "dog")
    with torch.no_grad():
        scene = look(resnet, [objective], pixels, pixels, torch.arange(4))
    got = measure([objective] * 4, scene)
    embedded = resnet.embed(list(resnet.normalize(pixels)))
    np.testing.assert_allclose(got, embedded @ resnet.embed(["dog"])[0], atol=1e-5)


def test_diversity_compares_normalised_gram_matrices_of_copies_alone(seen):
    scene, site = seen
    got = measure([o.diversity(site)] * 4, scene)
    features = scene.activations[site].flatten(2)
    grams = torch.einsum("nct,ndt->ncd", features, features)
    grams = grams / grams.norm(dim=(1, 2), keepdim=True)
    both = -(grams[0] * grams[1]).sum()
    torch.testing.assert_close(got, torch.stack([both, both, both * 0, both * 0]))


def test_pixel_terms(pixels):
    scene = Scene(pixels, {}, torch.arange(4))
    x = pixels.numpy()
    want = np.abs(np.diff(x, axis=2)).mean((1, 2, 3)) + np.abs(np.diff(x, axis=3)).mean((1, 2, 3))
    np.testing.assert_allclose(measure([o.total_variation()] * 4, scene), want, rtol=1e-4)
    greys = [0.5, 0.0, 1.0, 0.25]
    want = [np.abs(image - grey).mean() for image, grey in zip(x, greys, strict=True)]
    np.testing.assert_allclose(measure([o.l1(grey) for grey in greys], scene), want, rtol=1e-4)


def test_formulas_are_arithmetic(seen, resnet):
    scene, _ = seen
    unit = o.unit(resnet.site("image.layer4").unit(3))
    plain, smooth = measure([unit] * 4, scene), measure([o.total_variation()] * 4, scene)
    got = measure([2 * unit - unit * o.total_variation() + 1] * 4, scene)
    torch.testing.assert_close(got, 2 * plain - plain * smooth + 1)
    torch.testing.assert_close(measure([-unit] * 4, scene), -plain)


def test_different_formulas_in_one_batch_keep_their_places(seen, resnet):
    scene, _ = seen
    layer = resnet.site("image.layer4")
    mixed = [
        o.l1(),
        o.unit(layer.unit(1)),
        o.l1(0.1),
        o.unit(layer.unit(2)) - o.total_variation(),
    ]
    together = measure(mixed, scene)
    for row, objective in enumerate(mixed):
        alone = measure([objective], scene.take(torch.tensor([row])))
        torch.testing.assert_close(together[row : row + 1], alone)
    assert measure([], scene).shape == (0,)


def test_places(resnet, vit):
    layer, block = resnet.site("image.layer2"), vit.site("image.blocks.1")
    maps = torch.randn(2, *layer.shape)
    middle = layer.shape[1] // 2
    assert torch.equal(activation_at(layer, maps, "mean"), unit_values(layer, maps))
    assert torch.equal(activation_at(layer, maps, "max"), maps.amax((2, 3)))
    assert torch.equal(activation_at(layer, maps, "centre"), maps[:, :, middle, middle])
    assert torch.equal(activation_at(layer, maps, (0, 3)), maps[:, :, 0, 3])

    tokens = torch.randn(2, *block.shape)
    assert torch.equal(activation_at(block, tokens, "cls"), tokens[:, 0])
    assert torch.equal(activation_at(block, tokens, 5), tokens[:, 5])
    torch.testing.assert_close(activation_at(block, tokens, "mean"), tokens[:, 1:].mean(1))
    assert torch.equal(activation_at(block, tokens, (1, 2)), tokens[:, 1 + 4 + 2])  # 4 x 4 grid


def test_token_first_layouts_are_told_apart(vit):
    site = vit.site("image.blocks.1")
    parts = {name: getattr(site, name) for name in Site.__dataclass_fields__}
    first = Site(**{**parts, "layout": "TBD"})
    tensor = torch.randn(site.shape[0], 3, site.n_units)
    scene = Scene(torch.zeros(3, 3, 4, 4), {first: tensor}, torch.arange(3))
    picked = scene.take(torch.tensor([2]))
    assert torch.equal(activation_at(first, picked.activations[first], "cls"), tensor[0, 2:])


def test_a_place_that_is_not_there(resnet, vit):
    layer, block = resnet.site("image.layer2"), vit.site("image.blocks.1")
    with pytest.raises(BadInput, match=r"at='cls' is no place in image.layer2; it can be 'mean'"):
        activation_at(layer, torch.zeros(1, *layer.shape), "cls")
    with pytest.raises(BadInput, match="4 x 4 places here, none at"):
        activation_at(layer, torch.zeros(1, *layer.shape), (9, 0))
    with pytest.raises(BadInput, match="tokens 0 to 16, not 17"):
        activation_at(block, torch.zeros(1, *block.shape), 17)
    embedding = resnet.site("image.embedding")
    with pytest.raises(BadInput, match="it can be 'mean' or 'max'"):
        activation_at(embedding, torch.zeros(1, *embedding.shape), "centre")
