from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lens.errors import BadInput
from lens.featurevis import objectives as o
from lens.featurevis.loop.optimize import Settings, climb, generator, undisturbed
from lens.featurevis.parameterization import Fourier
from lens.featurevis.transforms import moves, standard
from lens.opening import wrap
from lens.precision import takes_bf16


def settings(size=(32, 32), steps=4, lr=0.05, transforms=None, bf16=False) -> Settings:
    moved = standard(size) if transforms is None else transforms
    return Settings(steps, size, 0, lr, Fourier(), moved, bf16)


def test_seeds_tell_units_and_copies_apart():
    draws = {
        tuple(torch.rand(2, generator=generator(*key)).tolist())
        for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (2**60, 0, 0)]
    }
    assert len(draws) == 6
    assert torch.equal(
        torch.rand(3, generator=generator(7, 8, 9)), torch.rand(3, generator=generator(7, 8, 9))
    )


def test_a_known_optimum_is_reached(colours):
    site = colours.site("0")
    units = [o.unit(site.unit(i)) for i in range(3)]
    # From an even grey: at this learning rate, pixels that begin apart may end in a corner of the
    # colours, where the sigmoid holds them.
    grey = replace(settings((16, 16), steps=250, lr=0.2), parameterization=Fourier(spread=0.01))
    made = climb(colours, units, [(i, 0) for i in range(3)], grey)
    # Redness is r - (g + b) / 2 of normalised pixels: pure red, green, blue are the best there is.
    for own in range(3):
        # Looked at in the middle: the moves take the corners out of view most of the time.
        colour = made.images[own, 4:12, 4:12].mean((0, 1)) / 255
        assert colour[own] > 0.75
        assert np.delete(colour, own).max() < 0.35
    assert (made.values > made.start_values + 0.5).all()
    assert (made.curve[:, -20:].mean(1) > made.curve[:, :20].mean(1)).all()


def test_an_image_is_the_same_alone_and_in_a_batch(resnet):
    site = resnet.site("image.layer3")
    indices = [3, 17, 40, 60, 90]
    units = [o.unit(site.unit(i)) for i in indices]
    together = climb(resnet, units, [(i, 0) for i in indices], settings(steps=12))
    for row in (0, 4):
        alone = climb(resnet, units[row : row + 1], [(indices[row], 0)], settings(steps=12))
        # Convolutions may add up in another order for another batch size: one level of 255.
        difference = np.abs(alone.images[0].astype(int) - together.images[row])
        assert difference.max() <= 1 and difference.mean() < 0.02
        np.testing.assert_allclose(alone.curve[0], together.curve[row], atol=1e-4)
    assert np.abs(together.images[0].astype(int) - together.images[1]).mean() > 2


@pytest.mark.skipif(not takes_bf16(torch.device("cpu")), reason="this CPU has no bfloat16")
def test_in_bf16_it_is_the_same_to_the_bit(resnet):
    site = resnet.site("image.layer4")
    units, streams = [o.unit(site.unit(i)) for i in range(5)], [(i, 0) for i in range(5)]
    together = climb(resnet, units, streams, settings(steps=24, bf16=True))
    alone = climb(resnet, units[3:4], streams[3:4], settings(steps=24, bf16=True))
    assert np.array_equal(alone.images[0], together.images[3])


def test_values_are_what_the_model_says_of_the_image(resnet):
    site = resnet.site("image.layer4")
    made = climb(resnet, [o.unit(site.unit(5))], [(5, 0)], settings())
    pixels = torch.from_numpy(made.images[0]).permute(2, 0, 1)[None] / 255
    seen: list[torch.Tensor] = []
    # Read by a plain hook of torch: the input of the block's last ReLU.
    relu = site.pre_activation.module
    handle = relu.register_forward_pre_hook(lambda module, args: seen.append(args[0].clone()))
    with torch.no_grad():
        resnet.module.encode_image(resnet.normalize(pixels))
    handle.remove()
    assert made.values[0] == pytest.approx(seen[-1][0, 5].mean().item(), abs=1e-5)


def test_bf16_climbs_as_fp32_does(resnet):
    site = resnet.site("image.layer4")
    units, streams = [o.unit(site.unit(i)) for i in range(8)], [(i, 0) for i in range(8)]
    full = climb(resnet, units, streams, settings(steps=16))
    half = climb(resnet, units, streams, settings(steps=16, bf16=True))
    gains = [made.values - made.start_values for made in (full, half)]
    assert gains[1].mean() > 0.9 * gains[0].mean() > 0


def test_the_model_is_left_as_it_was(resnet):
    module = resnet.module
    module.train()
    frozen = module.visual.conv1.weight.requires_grad_(False)
    own = module.visual.layer2.register_forward_hook(lambda *args: None)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    try:
        unit = o.unit(resnet.site("image.layer4").unit(0))
        with pytest.raises(ZeroDivisionError):
            climb(resnet, [unit], [(0, 0)], settings(), after_step=lambda: 1 / 0)
        assert all(part.training for part in module.modules())
        assert not frozen.requires_grad
        assert module.visual.conv2.weight.requires_grad
        assert all(p.grad is None for p in module.parameters())
        assert sum(len(part._forward_hooks) for part in module.modules()) == 1
        assert sum(len(part._forward_pre_hooks) for part in module.modules()) == 0
        after = module.state_dict()  # batch norm's running statistics among them
        assert all(torch.equal(before[name], after[name]) for name in before)
    finally:
        own.remove()
        frozen.requires_grad_(True)
        module.eval()


def test_nothing_past_the_site_is_computed(resnet):
    ran: list[str] = []
    later = resnet.module.visual.layer3
    handle = later.register_forward_hook(lambda *args: ran.append("layer3"))
    try:
        climb(resnet, [o.unit(resnet.site("image.layer2").unit(0))], [(0, 0)], settings(steps=2))
        assert not ran
    finally:
        handle.remove()


def test_gradients_switched_off_outside_do_not_matter(resnet):
    unit = o.unit(resnet.site("image.layer2").unit(0))
    with torch.no_grad():
        made = climb(resnet, [unit], [(0, 0)], settings(steps=3))
    same = climb(resnet, [unit], [(0, 0)], settings(steps=3))
    assert np.array_equal(made.images, same.images)


def test_ctrl_c_gives_the_images_as_far_as_they_got(resnet):
    unit = o.unit(resnet.site("image.layer3").unit(1))
    steps = iter(range(10))

    def stop_after_three() -> None:
        if next(steps) == 2:
            raise KeyboardInterrupt

    cut = climb(resnet, [unit], [(1, 0)], settings(steps=9), after_step=stop_after_three)
    whole = climb(resnet, [unit], [(1, 0)], settings(steps=3))
    assert cut.interrupted and not whole.interrupted
    assert np.array_equal(cut.images, whole.images)
    assert np.array_equal(cut.curve, whole.curve)


def test_one_spoilt_image_does_not_spoil_its_neighbours(resnet):
    site = resnet.site("image.layer3")
    good, bad = o.unit(site.unit(0)), o.unit(site.unit(1)) * float("nan")
    both = climb(resnet, [good, bad], [(0, 0), (1, 0)], settings())
    alone = climb(resnet, [good], [(0, 0)], settings())
    assert np.isnan(both.values[1])
    np.testing.assert_allclose(both.curve[0], alone.curve[0], atol=1e-4)


def test_an_objective_that_can_not_be_climbed_is_named(resnet):
    unit = o.unit(resnet.site("image.layer3").unit(0))
    with pytest.raises(BadInput, match=r"unit\(.*\) \* nan is nan at the first step"):
        climb(resnet, [unit * float("nan")], [(0, 0)], settings())

    class Deaf(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x.detach())

    deaf = wrap(Deaf(), example=torch.zeros(2, 3, 8, 8))
    with pytest.raises(BadInput, match="does not depend on the image"):
        climb(deaf, [o.unit(deaf.site("conv").unit(0))], [(0, 0)], settings((8, 8)))


def test_undisturbed_after_an_exception(resnet):
    with pytest.raises(KeyError), undisturbed(resnet.module):
        assert not any(p.requires_grad for p in resnet.module.parameters())
        raise KeyError
    assert all(p.requires_grad for p in resnet.module.parameters())


def test_without_moves_the_image_is_seen_as_it_is(colours):
    unit = o.unit(colours.site("0").unit(0))
    made = climb(colours, [unit], [(0, 0)], settings((16, 16), steps=2, transforms=moves()))
    # The first step's value is the start itself, but for the rounding to eight bits.
    assert made.curve[0, 0] == pytest.approx(made.start_values[0], abs=0.01)


def test_the_share_of_the_run_is_told_to_the_transforms(resnet):
    told: list[float] = []

    class Listening:
        views = 1

        def __call__(self, images, generators, progress):
            told.append(progress)
            return images

    unit = o.unit(resnet.site("image.layer2").unit(0))
    climb(resnet, [unit], [(0, 0)], settings(steps=4, transforms=Listening()))
    assert told == [0.0, 0.25, 0.5, 0.75]


def test_no_module_past_the_target_is_called(resnet):
    called: list[str] = []
    handles = [
        part.register_forward_pre_hook(lambda *_, path=path: called.append(path))
        for path, part in resnet.module.named_modules()
        if path.startswith(("visual.layer3", "visual.layer4", "visual.attnpool", "transformer"))
    ]
    try:
        unit = o.unit(resnet.site("image.layer2").unit(0)) - 0.1 * o.activation_l1(
            resnet.site("image.layer1")
        )
        climb(resnet, [unit], [(0, 0)], settings(steps=3))
        assert handles and not called
    finally:
        for handle in handles:
            handle.remove()


def test_importance_is_the_gradient_summed_over_the_steps(colours):
    # The value at one place of a 1 x 1 convolution depends on one pixel.
    unit = o.unit(colours.site("0").unit(0), at=(3, 5))
    made = climb(colours, [unit], [(0, 0)], settings((16, 16), steps=3, transforms=moves()))
    assert np.count_nonzero(made.importance) == 1
    scale = 1 / colours.std.numpy()
    each = colours.module[0].weight.detach().numpy()[0, :, 0, 0] * scale
    assert made.importance[0, 3, 5] == pytest.approx(3 * np.abs(each).mean(), rel=1e-4)
