import numpy as np
import pytest
import torch

from lens.errors import BadInput
from lens.featurevis.parameterization import Pyramid


def enlarged(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear, by a plain loop over places: pixel i of n lies at (i + 1/2) / n."""
    out = np.empty((3, *size))
    for i in range(size[0]):
        for j in range(size[1]):
            y, x = (
                np.clip((k + 0.5) * n / m - 0.5, 0, n - 1)
                for k, n, m in zip((i, j), plane.shape[1:], size, strict=True)
            )
            top, left = int(y), int(x)
            below, right = min(top + 1, plane.shape[1] - 1), min(left + 1, plane.shape[2] - 1)
            v, u = y - top, x - left
            out[:, i, j] = (1 - v) * ((1 - u) * plane[:, top, left] + u * plane[:, top, right])
            out[:, i, j] += v * ((1 - u) * plane[:, below, left] + u * plane[:, below, right])
    return out


@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_the_levels_add_up(size):
    kind = Pyramid(levels=3, gain=1.7, decorrelate=False)
    sizes = [size, (-(-size[0] // 2), -(-size[1] // 2)), (2, -(-size[1] // 4))]
    levels = [np.random.default_rng(i).normal(size=(3, *s)) for i, s in enumerate(sizes)]
    z = torch.from_numpy(np.concatenate([level.ravel() for level in levels]))[None]
    plane = levels[2]
    for level in (levels[1], levels[0]):
        plane = 1.7 * enlarged(plane, level.shape[1:]) + level
    want = 1 / (1 + np.exp(-plane))
    np.testing.assert_allclose(kind.pixels(z, size)[0].numpy(), want, atol=1e-12)


def test_a_corner_leaves_the_others_alone():
    kind = Pyramid(levels=3)
    z = kind.start((32, 32), [torch.Generator().manual_seed(0)]).requires_grad_(True)
    kind.pixels(z, (32, 32))[0, :, :4, :4].sum().backward()
    finest = z.grad[0, : 3 * 32 * 32].view(3, 32, 32)
    assert finest[:, :4, :4].all() and not finest[:, 4:].any() and not finest[:, :, 4:].any()


def test_no_levels_is_refused():
    with pytest.raises(BadInput, match="levels is a whole number, at least 1, not 0"):
        Pyramid(levels=0)
