"""Memory that runs out, and numbers that half precision does not hold."""

import numpy as np
import pytest
import torch
from torch import nn

import lens
from lens.errors import BadInput, TooLarge


class Hungry(nn.Module):
    """Has room for so many inputs at once."""

    def __init__(self, room):
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.room = room
        self.sizes = []

    def forward(self, x):
        self.sizes.append(len(x))
        if len(x) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return self.layer(x)


def test_a_batch_that_does_not_fit_is_halved_and_later_ones_are_no_larger():
    module = Hungry(3)
    model = lens.wrap(module)
    inputs = torch.randn(20, 3)
    with torch.no_grad():
        expected = module.layer(inputs)
    assert model.site("layer").n_units == 4
    module.sizes.clear()
    with pytest.warns(UserWarning, match="batch of 8; going on with 4") as said:
        acts = lens.capture(model, inputs, "layer", batch_size=8, progress=False)
    np.testing.assert_allclose(acts["layer"], expected, rtol=1e-6)
    assert module.sizes == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    assert len(said) == 2 and len(acts.inputs) == 20


def test_one_input_that_does_not_fit_is_refused_with_what_was_done():
    module = Hungry(2)
    model = lens.wrap(module)
    assert model.site("layer").n_units == 4
    module.room = 0
    with pytest.warns(UserWarning, match="going on with 1"), pytest.raises(TooLarge, match="One"):
        lens.capture(model, torch.randn(2, 3), "layer", progress=False)


def test_nan_in_half_precision_is_spoken():
    model = lens.wrap(nn.Sequential(nn.Linear(3, 4).half()))
    large = torch.ones(5, 3)
    large[3] = 60000.0
    with torch.no_grad():
        model.module[0].weight[:] = torch.tensor([1.0, 1.0, -1.0]) * 1000
    with pytest.raises(BadInput, match=r"in float16 for 1 of 5 inputs; .*bfloat16 or float32"):
        lens.capture(model, large, "0", progress=False)
    model.module.float()
    assert np.isfinite(lens.capture(model, large, "0", progress=False)["0"]).all()
