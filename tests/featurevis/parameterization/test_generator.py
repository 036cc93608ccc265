import json

import pytest
import torch
from torch import nn

import lens
from lens.errors import BadInput
from lens.featurevis import rerun
from lens.featurevis.parameterization import Generator, from_recipe


class Painter(nn.Module):
    def __init__(self, seed: int = 0, channels: int = 3) -> None:
        super().__init__()
        own = torch.Generator().manual_seed(seed)
        self.channels = channels
        self.weight = nn.Parameter(torch.randn(5, channels * 36, generator=own))
        self.norm = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(0.5)

    def forward(self, z):
        return self.norm(self.dropout(z @ self.weight).unflatten(1, (self.channels, 6, 6))).tanh()


def generators(count: int = 2) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


def test_the_image_is_the_modules_own():
    painter = Painter().eval()
    kind = Generator(painter, (5,))
    z = kind.start((6, 6), generators())
    with torch.no_grad():
        torch.testing.assert_close(kind.pixels(z, (6, 6)), (painter(z) + 1) / 2)
        assert kind.pixels(z, (9, 12)).shape == (2, 3, 9, 12)
        half = Generator(painter, (5,), truncation=0.5)
        torch.testing.assert_close(half.pixels(z, (6, 6)), (painter(z / 2) + 1) / 2)


def test_a_mapping_is_truncated_towards_its_mean():
    mapping = nn.Linear(4, 5)
    painter = Painter().eval()
    kind = Generator(painter, (4,), truncation=0.25, mapping=mapping)
    w = kind.start((6, 6), generators())
    assert w.shape == (2, 5)
    with torch.no_grad():
        drawn = torch.randn(4096, 4, generator=torch.Generator().manual_seed(0))
        mapped = mapping(drawn)
        mean, spread = mapped.mean(0), mapped.std(0, unbiased=False)
        z = torch.stack([torch.randn(4, generator=own) for own in generators()])
        torch.testing.assert_close(mean + spread * w, mapping(z), atol=1e-5, rtol=0)
        want = (painter(mean + 0.25 * spread * w) + 1) / 2
        torch.testing.assert_close(kind.pixels(w, (6, 6)), want, atol=1e-5, rtol=0)
        own = Generator(painter, (4,), truncation=0.25, mapping=mapping, space="z")
        assert torch.equal(own.start((6, 6), generators()), z)
        torch.testing.assert_close(own.pixels(z, (6, 6)), want, atol=1e-5, rtol=0)


class Stubborn(nn.Module):
    """A mapping one number of whose w is always the same."""

    def __init__(self, always: float, kept: float | None = None) -> None:
        super().__init__()
        own = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(5, 4, generator=own))
        self.always = always
        if kept is not None:
            self.register_buffer("w_avg", torch.tensor([0.0, 0.0, kept, 0.0, 0.0]))

    def forward(self, z):
        w = z @ self.weight.T
        w[:, 2] = self.always
        return w


@pytest.mark.parametrize(
    ("always", "kept"),
    [
        (0.5, None),  # 0 / 0 in its own spread
        (0.5, 0.5),
        (0.1, 0.1 + 1e-8),  # a mean that was kept as it was rounded: a spread of nothing but that
    ],
)
def test_a_number_of_w_that_never_changes_stays(always, kept):
    painter, mapping = Painter().eval(), Stubborn(always, kept)
    kind = Generator(painter, (4,), mapping=mapping)
    w = kind.start((6, 6), generators())
    assert w.isfinite().all() and not w[:, 2].any() and w[:, [0, 1, 3, 4]].all()
    # However far it is climbed, the painter gets what the mapping would have given.
    w.requires_grad_(True)
    pixels = kind.pixels(w, (6, 6))
    slope = torch.autograd.grad(pixels.square().sum(), w)[0]
    assert not slope[:, 2].any() and slope[:, [0, 1, 3, 4]].all()
    with torch.no_grad():
        z = torch.stack([torch.randn(4, generator=own) for own in generators()])
        torch.testing.assert_close(pixels, (painter(mapping(z)) + 1) / 2, atol=1e-5, rtol=0)
        w[:, 2] += 1000
        assert torch.equal(kind.pixels(w, (6, 6)), pixels)


def test_the_module_is_left_as_it_was():
    painter = Painter().train()
    painter.dropout.eval()
    before = {name: value.clone() for name, value in painter.state_dict().items()}
    kind = Generator(painter, (5,))
    z = kind.start((6, 6), generators()).requires_grad_(True)
    kind.pixels(z, (6, 6)).square().sum().backward()
    assert z.grad.any()
    assert all(p.grad is None and p.requires_grad for p in painter.parameters())
    assert painter.training and painter.norm.training and not painter.dropout.training
    after = painter.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_module_that_fails_is_left_as_it_was():
    painter = Painter().train()
    with pytest.raises(BadInput, match=r"Painter can't take z of shape \(2, 7\)"):
        Generator(painter, (7,)).start((6, 6), generators())
    assert painter.training


def test_what_is_no_image_is_refused():
    with pytest.raises(BadInput, match=r"images \(2, 3, h, w\), and returned \(2, 1, 6, 6\)"):
        Generator(Painter(channels=1), (5,)).start((6, 6), generators())
    with pytest.raises(BadInput, match="returned tuple"):
        both = Painter()
        both.register_forward_hook(lambda *call: (call[2], call[2]))
        Generator(both, (5,)).start((6, 6), generators())
    spoilt = Painter()
    spoilt.norm.bias.data[1] = float("nan")
    with pytest.raises(BadInput, match="makes NaN or infinity"):
        Generator(spoilt, (5,)).start((6, 6), generators())


def test_a_range_that_cannot_be_is_said():
    with pytest.raises(BadInput, match="low=-1, high=1 is the range"):
        Generator(Painter(), (5,), low=0, high=1).start((6, 6), generators())


def test_wrong_settings_are_said():
    painter = Painter()
    for wrong, sentence in [
        ({"truncation": 2}, "truncation lies between 0 and 1, not 2"),
        ({"averaging": 1.0}, "averaging lies between 0 and 1, 1 excluded"),
        ({"space": "w+"}, "space is 'w' or 'z', not 'w\\+'"),
        ({"low": 0, "high": 255}, r"range is \(-1, 1\) or \(0, 1\), not \(0, 255\)"),
    ]:
        with pytest.raises(BadInput, match=sentence):
            Generator(painter, (5,), **wrong)
    with pytest.raises(BadInput, match="a torch module, not function"):
        Generator(lambda z: z, (5,))


def test_a_recipe_takes_the_generator_with_its_weights():
    painter, mapping = Painter(), nn.Linear(5, 5)
    kind = Generator(painter, (5,), truncation=0.7, mapping=mapping)
    recipe = json.loads(json.dumps(kind.recipe()))
    assert from_recipe(recipe, [Painter(1), kind]) == kind
    plain = Generator(painter, (5,), averaging=0.5)
    assert from_recipe(plain.recipe(), [Painter(1), painter]) == plain
    with pytest.raises(BadInput, match=r"Painter with the weights [\w-]+ .*none was given"):
        from_recipe(recipe)
    with pytest.raises(BadInput, match=r"given: Painter with \w+"):
        from_recipe(recipe, [Painter(1)])
    painter.weight.data[0, 0] += 1
    with pytest.raises(BadInput, match="given: Painter"):
        from_recipe(recipe, [kind])


def test_a_visualization_is_made_again_with_its_generator(resnet):
    unit = resnet.site("image.layer2").unit(3)
    kind = Generator(Painter(), (5,), averaging=0.5)
    vis = lens.visualize(unit, parameterization=kind, steps=3, progress=False)
    again = rerun(vis, resnet, modules=[Painter()], progress=False)
    assert (again.images == vis.images).all() and again.recipe == vis.recipe
    with pytest.raises(BadInput, match="needs the generator Painter"):
        rerun(vis, resnet, modules=[Painter(1)], progress=False)
