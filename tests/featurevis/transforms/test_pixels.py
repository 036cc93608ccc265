import math

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d

from lens.errors import BadInput
from lens.featurevis.loop.optimize import generator
from lens.featurevis.transforms import blur, colour, cutout, noise

ALL = [blur(0.3, 2), noise(0.1), colour(0.2, 0.3, 0.4), cutout(0.4)]


def generators(*units: int) -> list[torch.Generator]:
    return [generator(0, unit, 0) for unit in units]


@pytest.fixture
def images():
    own = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, 12, 10, generator=own, dtype=torch.float64)


def test_blur_is_gaussian(images):
    got = blur(1.3)(images, generators(0, 1))
    places = np.arange(-4, 5)
    kernel = np.exp(-0.5 * (places / 1.3) ** 2)
    kernel /= kernel.sum()
    want = images.numpy()
    for axis in (2, 3):
        want = correlate1d(want, kernel, axis, mode="nearest")
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_no_blur_and_no_noise_change_nothing(images):
    assert torch.equal(blur(0)(images, generators(0, 1)), images)
    assert torch.equal(noise(0)(images, generators(0, 1)), images)
    torch.testing.assert_close(colour()(images, generators(0, 1)), images)


def test_noise_has_its_deviation():
    flat = torch.full((1, 3, 100, 100), 0.5)
    added = noise(0.08)(flat, generators(0)) - flat
    assert added.std() == pytest.approx(0.08, rel=0.02)
    assert added.mean() == pytest.approx(0, abs=0.002)


def test_colour_is_its_formula(images):
    got = colour(0.2, 0.3, 0.4)(images, generators(4, 5)).numpy()
    luma = np.array([0.299, 0.587, 0.114])[:, None, None]
    for i, own in enumerate(generators(4, 5)):
        b, c, s = (2 * torch.rand(3, generator=own).numpy() - 1) * [0.2, 0.3, 0.4]
        x = images[i].numpy() + b
        m = (luma * x).sum(0).mean()
        x = m + (1 + c) * (x - m)
        g = (luma * x).sum(0)
        np.testing.assert_allclose(got[i], g + (1 + s) * (x - g), atol=1e-6)


def test_cutout_hides_a_square(images):
    got = cutout(0.4)(images, generators(4, 5))
    for i, own in enumerate(generators(4, 5)):
        y, x = (torch.rand(2, generator=own) * torch.tensor([12, 10])).tolist()
        for row in range(12):
            for column in range(10):
                hidden = max(abs(row + 0.5 - y), abs(column + 0.5 - x)) < 2
                want = torch.full((3,), 0.5).double() if hidden else images[i, :, row, column]
                assert torch.equal(got[i, :, row, column], want)


@pytest.mark.parametrize("kind", ALL, ids=repr)
def test_every_image_and_view_has_its_own_draw_whatever_its_neighbours(kind, images):
    same = images[:1].expand(6, -1, -1, -1)
    together = kind(same, generators(4, 5, 6))  # two views of each of three images
    assert torch.equal(together[2:4], kind(same[:2], generators(5)))
    assert not torch.equal(together[0], together[1])
    assert not torch.equal(together[0], together[2])


@pytest.mark.parametrize("kind", ALL, ids=repr)
def test_gradients_come_through(kind, images):
    images.requires_grad_(True)
    kind(images, generators(0, 1)).sum().backward()
    assert images.grad.isfinite().all() and images.grad.any()


def test_wrong_amounts_are_said():
    for make, sentence in [
        (lambda: blur(2, 1), "0 <= low <= high, not 2 and 1"),
        (lambda: noise(-1), "at least 0, not -1"),
        (lambda: noise(math.nan), "at least 0, not nan"),
        (lambda: colour(contrast=2), "contrast changes by a share between 0 and 1, not 2"),
        (lambda: cutout(0), "a share above 0 and up to 1, not 0"),
    ]:
        with pytest.raises(BadInput, match=sentence):
            make()
