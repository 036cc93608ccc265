import math

import numpy as np
import pytest
import torch

from lens.errors import BadInput
from lens.featurevis.transforms import cutouts, from_recipe


def streams(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def cut(image: np.ndarray, side: float, middle: tuple[float, float], angle: float) -> np.ndarray:
    """Bilinear, by a plain loop over places; ``middle`` is (x, y) in pixels."""
    _, height, width = image.shape
    out = np.empty_like(image)
    for i in range(height):
        for j in range(width):
            across, down = side * (j + 0.5 - width / 2), side * (i + 0.5 - height / 2)
            x = middle[0] + math.cos(angle) * across - math.sin(angle) * down - 0.5
            y = middle[1] + math.sin(angle) * across + math.cos(angle) * down - 0.5
            x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
            top, left = int(y), int(x)
            below, right = min(top + 1, height - 1), min(left + 1, width - 1)
            v, u = y - top, x - left
            out[:, i, j] = (1 - v) * ((1 - u) * image[:, top, left] + u * image[:, top, right])
            out[:, i, j] += v * ((1 - u) * image[:, below, left] + u * image[:, below, right])
    return out


def test_the_whole_image_then_parts_of_it_by_a_plain_loop():
    images = torch.rand(2, 3, 10, 14, dtype=torch.float64)
    got = cutouts(3, 0.5, 30)(images, streams(4, 5))
    assert got.shape == (6, 3, 10, 14)
    for i, own in enumerate(streams(4, 5)):
        drawn = torch.rand(3, 4, generator=own).numpy().astype(float)
        torch.testing.assert_close(got[3 * i], images[i], atol=1e-6, rtol=0)
        for view in (1, 2):
            share, right, down, turn = drawn[view]
            side = 0.5 + 0.5 * share
            middle = (7 + (1 - side) * (2 * right - 1) * 7, 5 + (1 - side) * (2 * down - 1) * 5)
            angle = math.radians(30) * (2 * turn - 1)
            want = cut(images[i].numpy(), side, middle, angle)
            np.testing.assert_allclose(got[3 * i + view], want, atol=1e-5)


def test_an_image_has_the_same_cutouts_alone_and_among_others():
    images = torch.rand(3, 3, 8, 8)
    together = cutouts(4)(images, streams(7, 8, 9))
    assert torch.equal(together[4:8], cutouts(4)(images[1:2], streams(8)))


def test_a_recipe_comes_back():
    assert from_recipe(cutouts(5, 0.4, 3).recipe()) == cutouts(5, 0.4, 3)


def test_wrong_cutouts_are_said():
    with pytest.raises(BadInput, match="cutouts is a whole number, at least 1, not 0"):
        cutouts(0)
    with pytest.raises(BadInput, match="a share above 0 and up to 1"):
        cutouts(3, least=1.5)
