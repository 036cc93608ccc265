import numpy as np
import pytest
import torch

from lens.errors import BadInput
from lens.featurevis import rerun, visualize
from lens.featurevis.loop import starting
from lens.featurevis.parameterization import Fourier, Pixel


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [(16, 16), (15, 22), (9, 9)])
@pytest.mark.parametrize(
    "way", [Fourier(), Fourier(decay=0.5, decorrelate=False), Pixel(), Pixel(decorrelate=False)]
)
def test_the_start_is_the_image(way, size):
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)) * 0.98 + 0.01
    z = starting.from_image(way, image, 3)
    assert z.shape == way.start(size, [torch.Generator()] * 3).shape and z.dtype == torch.float32
    torch.testing.assert_close(way.pixels(z, size), image.repeat(3, 1, 1, 1), atol=1e-4, rtol=0)


def test_black_and_white_are_as_near_as_a_sigmoid_comes(photo):
    image = torch.from_numpy(np.where(photo > 127, 1.0, 0.0)).permute(2, 0, 1)[None].float()
    made = Fourier().pixels(starting.from_image(Fourier(), image, 1), (32, 32))
    assert (made - image).abs().max() < 0.5 / 255 + 1e-4


def test_a_run_starts_there_and_runs_again(resnet, photo):
    unit = resnet.site("image.layer2").unit(3)
    vis = visualize(unit, start=photo, steps=3, snapshots=[1], progress=False)
    noise = visualize(unit, steps=3, progress=False)
    assert vis.start_values[0] != noise.start_values[0]
    away = np.abs(vis.snapshots[1].astype(int) - photo).mean()
    assert away < np.abs(noise.images.astype(int) - photo).mean() / 2
    again = rerun(vis, resnet, progress=False)
    assert np.array_equal(again.images, vis.images) and again.recipe == vis.recipe


def test_what_can_not_start_at_an_image_says_so(resnet, photo):
    class Grey:
        lr, averaging = 0.1, 0.0

    with pytest.raises(BadInput, match=r"Grey can't start at an image: Fourier\(\) and Pixel\(\)"):
        visualize(resnet.site("image.layer2").unit(3), start=photo, parameterization=Grey())
