import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from lens.featurevis.judged import held_out
from lens.featurevis.loop.optimize import generator as of_a_run


@pytest.fixture
def images():
    return torch.rand(3, 3, 24, 24, generator=torch.Generator().manual_seed(5))


def drawn(kind, images, units=(0, 1, 2), seed=0):
    return held_out.changed(kind, images, [held_out.generator(seed, u, 0) for u in units])


@pytest.mark.parametrize("kind", held_out.CHANGES)
def test_every_change_keeps_shape_range_and_seed(kind, images):
    found = drawn(kind, images)
    assert found.shape == images.shape
    assert found.min() >= 0 and found.max() <= 1
    assert not torch.equal(found, images)
    assert torch.equal(found, drawn(kind, images))
    # One image alone is changed as it is among others.
    alone = drawn(kind, images[1:2], units=[1])
    assert torch.allclose(alone, found[1:2], atol=1e-6)
    if kind != "mirrored":
        assert not torch.equal(found, drawn(kind, images, seed=1))


def test_mirrored_twice_is_nothing(images):
    assert torch.equal(drawn("mirrored", drawn("mirrored", images)), images)


def test_blurred_is_a_gaussian(images):
    own = held_out.generator(0, 7, 0)
    longer = 24
    low, high = longer / 192, longer / 64
    sigma = low + (high - low) * float(torch.rand((), generator=held_out.generator(0, 7, 0)))
    found = held_out.blurred(images[:1], [own])[0].numpy()
    plain = np.stack(
        [gaussian_filter(c.numpy(), sigma, mode="nearest", radius=1) for c in images[0]]
    )
    assert np.allclose(found, plain, atol=1e-5)


def test_noisy_adds_what_it_says():
    grey = torch.full((40, 3, 32, 32), 0.5)
    found = held_out.noisy(grey, [held_out.generator(0, unit, 0) for unit in range(40)])
    strength = (found - 0.5).flatten(1).std(1)
    assert strength.min() > 0.028 and strength.max() < 0.105
    assert strength.max() > 1.5 * strength.min()
    assert abs(float((found - 0.5).mean())) < 1e-3


def test_recoloured_leaves_a_flat_grey_flat():
    grey = torch.full((4, 3, 8, 8), 0.5)
    found = held_out.recoloured(grey, [held_out.generator(0, unit, 0) for unit in range(4)])
    assert torch.allclose(found.flatten(1).std(1), torch.zeros(4), atol=1e-6)
    assert (found.mean((1, 2, 3)) - 0.5).abs().max() <= 0.1


def test_a_run_never_draws_the_same():
    assert held_out.generator(3, 4, 5).initial_seed() != of_a_run(3, 4, 5).initial_seed()
