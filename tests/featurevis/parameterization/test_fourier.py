import numpy as np
import pytest
import torch

from lens.featurevis.loop.optimize import generator
from lens.featurevis.parameterization import Fourier


def generators(count: int) -> list[torch.Generator]:
    return [generator(0, unit, 0) for unit in range(count)]


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (10, 6)])
def test_fourier_is_the_published_formula(size):
    height, width = size
    z = torch.randn(1, 3, height, width // 2 + 1, 2, generator=torch.Generator().manual_seed(1))
    got = Fourier().pixels(z, size)[0].numpy()

    # By numpy, from the formula: x = sigmoid(M irfft2(S z) / 4).
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    scale = np.sqrt(width * height) / np.maximum(np.hypot(fy, fx), 1 / max(width, height))
    half = z[0].numpy()
    planes = np.fft.irfft2(scale * (half[..., 0] + 1j * half[..., 1]), s=size) / 4
    matrix = np.array([[0.26, 0.09, 0.02], [0.27, 0, -0.05], [0.27, -0.09, 0.03]])
    matrix = matrix / np.linalg.norm(matrix, axis=0).max()
    want = 1 / (1 + np.exp(-np.tensordot(matrix, planes, 1)))
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_fourier_starts_with_more_at_coarse_scales():
    z = Fourier().start((32, 32), generators(8))
    spectrum = torch.fft.rfft2(Fourier().pixels(z, (32, 32)) - 0.5).abs().mean((0, 1))
    assert spectrum[1:3, 1:3].mean() > 4 * spectrum[10:16, 10:16].mean()


def test_decorrelated_channels_give_photographic_colours():
    z = Fourier().start((16, 16), generators(16))
    channels = Fourier().pixels(z, (16, 16)).transpose(0, 1).flatten(1)
    assert torch.corrcoef(channels)[0, 1] > 0.5  # red and green go together
    plain = Fourier(decorrelate=False).pixels(z, (16, 16)).transpose(0, 1).flatten(1)
    assert abs(torch.corrcoef(plain)[0, 1]) < 0.2
