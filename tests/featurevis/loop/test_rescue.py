"""Units that are silent at the start, and what is done for them."""

import numpy as np
import pytest
import torch
from torch import nn

from lens.featurevis import objectives as o
from lens.featurevis import visualize
from lens.featurevis.loop.optimize import Settings, climb
from lens.featurevis.loop.rescue import functions_before, rescued
from lens.featurevis.parameterization import Fourier
from lens.featurevis.transforms import standard
from lens.opening import wrap


def shy(activation: nn.Module, bias: float = -2.0):
    """Three colours behind an activation function; grey pictures leave them silent."""
    conv = nn.Conv2d(3, 3, 1)
    conv.weight.data = 3 * (1.5 * torch.eye(3) - 0.5)[:, :, None, None]
    conv.bias.data[:] = bias
    return wrap(nn.Sequential(conv, activation), name="shy", example=torch.zeros(2, 3, 16, 16))


@pytest.mark.parametrize("activation", [nn.GELU(), nn.SiLU(), nn.ReLU(), nn.ReLU(inplace=True)])
def test_a_silent_unit_wakes(activation):
    model = shy(activation)
    site = model.site("1")
    # Latents look at the site itself, after the function.
    aims = [o.latents(site, np.eye(3), i) for i in range(3)]
    found = {
        rescue: visualize(aims, steps=48, lr=0.2, rescue=rescue, size=16, progress=False)
        for rescue in (False, True)
    }
    assert (found[True].values > 0.1).all()
    assert found[True].values.min() > found[False].values.min() + 0.1


def test_which_functions_values_come_out_of(resnet, vit):
    neurons = vit.site("image.blocks.0.mlp.neurons")
    assert [type(part) for part in functions_before(neurons)] == [nn.GELU]
    stage = resnet.site("image.layer3")
    assert functions_before(stage) == [stage.pre_activation.module]
    assert functions_before(stage.pre_activation) == []
    assert functions_before(vit.site("image.embedding")) == []
    assert functions_before(resnet.site("image.embedding")) == []


def test_an_image_does_not_feel_that_its_neighbour_is_silent(vit):
    site = vit.site("image.blocks.1.mlp.neurons")
    settings = Settings(8, (32, 32), 0, 0.05, Fourier(), standard((32, 32)), False)
    units = [o.unit(site.unit(i)) for i in range(6)]
    together = climb(vit, units, [(i, 0) for i in range(6)], settings)
    for row in (0, 5):
        alone = climb(vit, units[row : row + 1], [(row, 0)], settings)
        np.testing.assert_allclose(alone.curve[0], together.curve[row], atol=1e-4)


def test_only_a_silent_image_gets_its_gradient_past_the_function():
    model = shy(nn.GELU())
    site = model.site("1")
    x = torch.tensor([[-1.0, -2.0, -3.0], [-1.0, 2.0, 3.0]])[:, :, None, None].requires_grad_(True)
    with rescued([[site], [site]]):
        model.module[1](x).sum().backward()
    assert torch.equal(x.grad[0].flatten(), torch.ones(3))
    own = torch.tensor([-1.0, 2.0, 3.0], requires_grad=True)
    nn.functional.gelu(own).sum().backward()
    torch.testing.assert_close(x.grad[1].flatten(), own.grad)
    assert not model.module[1]._forward_hooks and not model.module[1]._forward_pre_hooks


def test_what_others_look_at_is_their_affair():
    model = shy(nn.GELU())
    x = torch.full((2, 3, 1, 1), -2.0, requires_grad=True)
    with rescued([[model.site("0")], [model.site("1"), model.site("0")]]):
        model.module[1](x).sum().backward()
    own = torch.tensor(-2.0, requires_grad=True)
    nn.functional.gelu(own).backward()
    torch.testing.assert_close(x.grad[0].flatten(), own.grad.expand(3))
    assert torch.equal(x.grad[1].flatten(), torch.ones(3))


def test_neurons_below_zero_are_reported_as_silent(vit):
    with torch.no_grad():
        bias = vit.module.visual.transformer.resblocks[0].mlp.c_fc.bias
        kept = bias.clone()
        bias[3] = -50.0
    try:
        site = vit.site("image.blocks.0.mlp.neurons")
        vis = visualize(site.units([3]), steps=4, progress=False)
        assert vis.silent == vis.units and "1 silent" in repr(vis)
        assert ", silent" in vis._repr_html_()
    finally:
        bias.data.copy_(kept)
