import math

import numpy as np
import pytest
import torch

from lens.errors import BadInput
from lens.featurevis.parameterization import Maco, Spectrum
from lens.featurevis.parameterization.spectrum import corner_area, corner_share


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


@pytest.mark.parametrize("size", [(16, 16), (15, 16), (16, 15), (9, 11), (8, 20)])
def test_the_magnitudes_stay_whatever_the_phases(size):
    kind = Maco()
    want = kind._spectrum.at(size).double()
    for seed in range(3):
        z = 50 * torch.randn(2, 3, size[0], size[1] // 2 + 1, dtype=torch.float64)
        z = z + seed
        got = torch.fft.rfft2(kind.planes(z, size))
        torch.testing.assert_close(got.abs(), want.abs().expand_as(got), atol=1e-9, rtol=1e-9)
        # Where nothing mirrors, the phases are those that were asked for.
        inner = torch.polar(torch.ones(()).double(), z)[..., 1:-1]
        torch.testing.assert_close((got / want)[..., 1:-1], inner, atol=1e-8, rtol=0)


def test_an_image_of_a_small_spectrum_by_numpy():
    R = np.abs(np.fft.rfft2(np.random.default_rng(0).normal(size=(3, 128, 128))))
    kind = Maco(Spectrum.of(R))
    z = kind.start((128, 128), generators(1)).double()
    kept = kind._spectrum.at((128, 128)).double().numpy()
    phase = z[0].numpy().copy()
    for column in (0, 64):
        for row in range(65, 128):
            phase[:, row, column] = -phase[:, 128 - row, column]
        phase[:, [0, 64], column] = 0
    want = np.fft.irfft2(kept * np.exp(1j * phase), s=(128, 128))
    np.testing.assert_allclose(kind.planes(z, (128, 128))[0].numpy(), want, atol=1e-9)


def test_the_start_is_uniform_on_a_full_turn():
    z = Maco().start((64, 64), generators(4))
    assert z.min() < -3.1 and z.max() > 3.1 and z.abs().max() <= math.pi
    assert z.std() == pytest.approx(math.pi / 3**0.5, abs=0.03)


@pytest.mark.parametrize("size", [(96, 96), (128, 128), (224, 224), (120, 160)])
def test_no_bright_corner_at_the_start(size):
    kind = Maco()
    uniform = [corner_share(image) for image in kind.planes(kind.start(size, generators(96)), size)]
    area, error = corner_area(size), np.std(uniform) / len(uniform) ** 0.5
    assert area < 0.006 and np.mean(uniform) < 0.01
    # Energy without a preference: the area's share, but for the draw of the images.
    assert abs(np.mean(uniform) - area) < 4 * error and error < area / 4
    normal = torch.randn(2, 3, size[0], size[1] // 2 + 1, generator=generators(1)[0])
    assert min(corner_share(image) for image in kind.planes(normal, size)) > 0.08


def test_the_start_looks_like_a_photograph_in_contrast_and_colour():
    kind = Maco()
    pixels = kind.pixels(kind.start((96, 96), generators(4)), (96, 96))
    assert 0.1 < pixels.std() < 0.35
    channels = pixels.transpose(0, 1).flatten(1)
    assert torch.corrcoef(channels)[0, 1] > 0.5


def test_wrong_spectra_are_said():
    with pytest.raises(BadInput, match=r"no spectrum 'photos': .*Did you mean photographs"):
        Maco("photos")
    with pytest.raises(BadInput, match="a name, a Spectrum or an array, not int"):
        Maco(3)
    with pytest.raises(BadInput, match=r"not \(2, 16, 9\)"):
        Maco(np.ones((2, 16, 9)))
    with pytest.raises(BadInput, match="finite and not below zero"):
        Maco(-np.ones((3, 16, 9)))
