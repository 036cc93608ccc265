"""Generators of StyleGAN's shape, small and real, in the ways in which they are called."""

import json

import pytest
import torch
from torch import nn

from lens.errors import BadInput
from lens.featurevis.parameterization import from_recipe
from lens.featurevis.parameterization.stylegan import stylegan


class Mapping(nn.Module):
    def __init__(self, labels: int, layers: int):
        super().__init__()
        self.layers = layers
        self.net = nn.Sequential(nn.Linear(8 + labels, 16), nn.LeakyReLU(0.2), nn.Linear(16, 12))
        self.register_buffer("w_avg", torch.full((12,), 0.25))

    def forward(self, z, c, truncation_psi=1):
        w = self.net(z if c is None or not c.shape[1] else torch.cat([z, c], 1))
        return w[:, None].repeat(1, self.layers, 1)


class Synthesis(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(12, 6 * 4 * 4)
        self.last = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, ws, **block_kwargs):
        x = self.first(ws[:, 0]).unflatten(1, (6, 4, 4)) * (1 + ws[:, -1, :6, None, None])
        x = nn.functional.interpolate(x, scale_factor=8, mode="bilinear")
        if block_kwargs.get("noise_mode") != "const":
            x = x + torch.randn_like(x)
        return torch.tanh(self.last(x))


class StyleGan(nn.Module):
    """The calls of StyleGAN2 and 3: mapping(z, c), synthesis(ws, noise_mode=...)."""

    def __init__(self, c_dim: int = 0):
        super().__init__()
        self.z_dim, self.c_dim = 8, c_dim
        self.mapping, self.synthesis = Mapping(c_dim, 3), Synthesis()

    def forward(self, z, c):
        return self.synthesis(self.mapping(z, c))


class Plain(nn.Module):
    """One call, z alone."""

    z_shape = (8,)

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3 * 16 * 16)

    def forward(self, z):
        return torch.tanh(self.net(z)).unflatten(1, (3, 16, 16))


class Labelled(Plain):
    """G(z, c)."""

    c_dim = 2

    def forward(self, z, c):
        assert c.shape == (len(z), 2)
        return super().forward(z)


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def streams(n):
    return [torch.Generator().manual_seed(i) for i in range(n)]


@pytest.mark.parametrize("labels", [0, 2])
def test_w_space_begins_where_the_mapping_leads_and_truncates_to_its_own_mean(labels):
    module = StyleGan(labels)
    source = stylegan(module, truncation=1.0)
    q = source.start((32, 32), streams(3))
    z = torch.stack([torch.randn(8, generator=own) for own in streams(3)])
    with torch.no_grad():
        w = module.mapping(z, torch.zeros(3, labels))
        wanted = (module.synthesis(w, noise_mode="const") + 1) / 2
    assert q.shape == (3, 3, 12)
    assert torch.allclose(source.pixels(q, (32, 32)), wanted, atol=1e-5)
    with torch.no_grad():
        mean = (module.synthesis(torch.full((1, 3, 12), 0.25), noise_mode="const") + 1) / 2
    none = stylegan(module, truncation=0.0)
    assert torch.allclose(none.pixels(q, (32, 32)), mean.expand(3, -1, -1, -1), atol=1e-5)


def test_z_space_of_halves_and_of_one_call_and_of_labels():
    for module in (StyleGan(), StyleGan(2), Plain(), Labelled()):
        source = stylegan(module, space="z", truncation=0.7)
        z = source.start((24, 24), streams(2))
        assert z.shape == (2, 8)
        images = source.pixels(z, (24, 24))
        assert images.shape == (2, 3, 24, 24)
        assert torch.equal(images, source.pixels(z, (24, 24)))
        recipe = json.loads(json.dumps(source.recipe()))
        assert recipe["module"] == type(module).__name__
        again = from_recipe(recipe, [nn.Linear(2, 2), module])
        assert torch.equal(again.pixels(z, (24, 24)), images)
    half = stylegan(Plain(), truncation=0.5)
    z = half.start((16, 16), streams(2))
    assert torch.allclose(half.pixels(z, (16, 16)), (half.module(z / 2) + 1) / 2)


def test_bad_settings():
    nameless = nn.Linear(3, 3)
    for call, sentence in (
        (lambda: stylegan(nameless), "z_dim=512"),
        (lambda: stylegan("stylegan2"), "not str"),
        (lambda: stylegan(Plain(), space="w"), "no mapping and synthesis"),
    ):
        with pytest.raises(BadInput, match=sentence):
            call()
