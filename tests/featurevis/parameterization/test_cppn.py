import numpy as np
import pytest
import torch

from lens.errors import BadInput
from lens.featurevis.parameterization import Cppn


def test_the_network_by_a_plain_loop_over_pixels():
    kind, size = Cppn(layers=2, width=3), (4, 6)
    z = torch.randn(1, sum(i * o + o for i, o in [(2, 3), (6, 3), (6, 3)]), dtype=torch.float64)
    got = kind.pixels(z, size)[0].numpy()
    numbers = z[0].numpy()
    weights, at = [], 0
    for i, o in [(2, 3), (6, 3), (6, 3)]:
        weights.append((numbers[at : at + i * o].reshape(i, o), numbers[at + i * o :][:o]))
        at += i * o + o
    for row in range(4):
        for column in range(6):
            # From the image's centre, in units of the longer side's standard deviation.
            place = np.array([column + 0.5 - 3, row + 0.5 - 2]) / (6 / 12**0.5)
            for number, (W, b) in enumerate(weights):
                place = place @ W + b
                if number < 2:
                    bent = np.arctan(place)
                    place = np.concatenate([bent / 0.6706, (bent**2 - 0.4497) / 0.3961])
            want = 1 / (1 + np.exp(-place))
            np.testing.assert_allclose(got[:, row, column], want, atol=1e-10)


def test_what_goes_on_to_the_next_layer_keeps_its_variance():
    a = torch.randn(10**6, generator=torch.Generator().manual_seed(0), dtype=torch.float64).atan()
    assert (a / 0.6706).std() == pytest.approx(1, abs=0.01)
    square = (a**2 - 0.4497) / 0.3961
    assert square.mean() == pytest.approx(0, abs=0.01)
    assert square.std() == pytest.approx(1, abs=0.01)


def test_the_same_picture_at_another_size():
    kind = Cppn()
    z = kind.start((8, 8), [torch.Generator().manual_seed(0)])
    small, large = kind.pixels(z, (33, 33)), kind.pixels(z, (99, 99))
    torch.testing.assert_close(large[:, :, 1::3, 1::3], small, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["layers", "width"])
def test_no_network_is_refused(name):
    with pytest.raises(BadInput, match=f"{name} is a whole number, at least 1, not 0"):
        Cppn(**{name: 0})
