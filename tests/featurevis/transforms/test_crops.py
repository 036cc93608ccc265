import numpy as np
import pytest
import torch

from lens.errors import BadInput
from lens.featurevis.loop.optimize import generator
from lens.featurevis.transforms import crops


def generators(*units: int) -> list[torch.Generator]:
    return [generator(0, unit, 0) for unit in units]


def cropped(image: np.ndarray, centre: np.ndarray, side: float) -> np.ndarray:
    """Bilinear, by a plain loop over places; ``centre`` is (x, y) as shares of the image."""
    _, height, width = image.shape
    x0, y0 = np.clip(centre, side / 2, 1 - side / 2) - side / 2
    out = np.empty_like(image)
    for i in range(height):
        for j in range(width):
            y = np.clip((y0 + side * (i + 0.5) / height) * height - 0.5, 0, height - 1)
            x = np.clip((x0 + side * (j + 0.5) / width) * width - 0.5, 0, width - 1)
            top, left = int(y), int(x)
            below, right = min(top + 1, height - 1), min(left + 1, width - 1)
            v, u = y - top, x - left
            out[:, i, j] = (1 - v) * ((1 - u) * image[:, top, left] + u * image[:, top, right])
            out[:, i, j] += v * ((1 - u) * image[:, below, left] + u * image[:, below, right])
    return out


@pytest.mark.parametrize(("progress", "side"), [(0.0, 0.6), (0.5, 0.4), (1.0, 0.2)])
def test_crops_by_a_plain_loop(progress, side):
    images = torch.rand(2, 3, 10, 14, dtype=torch.float64)
    got = crops(views=3, start=0.6, end=0.2, spread=0.3)(images, generators(4, 5), progress)
    assert got.shape == (6, 3, 10, 14)
    for i, own in enumerate(generators(4, 5)):
        centres = 0.5 + 0.3 * torch.randn(3, 2, generator=own).numpy().astype(float)
        for view, centre in enumerate(centres):
            want = cropped(images[i].numpy(), centre, side)
            np.testing.assert_allclose(got[3 * i + view], want, atol=1e-5)


def test_a_whole_crop_is_the_image():
    images = torch.rand(1, 3, 8, 8)
    got = crops(views=2, start=1)(images, generators(0))
    torch.testing.assert_close(got, images.expand(2, -1, -1, -1), atol=1e-5, rtol=0)


def test_an_image_has_the_same_crops_alone_and_among_others():
    images = torch.rand(3, 3, 8, 8)
    together = crops(4)(images, generators(7, 8, 9), 0.3)
    assert torch.equal(together[4:8], crops(4)(images[1:2], generators(8), 0.3))


def test_wrong_crops_are_said():
    with pytest.raises(BadInput, match="views is a whole number, at least 1, not 0"):
        crops(0)
    with pytest.raises(BadInput, match="a size above 0 and up to 1"):
        crops(start=1.5)
