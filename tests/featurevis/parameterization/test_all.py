"""What every parameterization promises."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import lens
from lens.errors import BadInput
from lens.featurevis import parameterization
from lens.featurevis.loop.optimize import generator
from lens.featurevis.parameterization import (
    Aligned,
    Chosen,
    Cppn,
    Fourier,
    Generator,
    Maco,
    Pixel,
    Pyramid,
    Strokes,
    from_recipe,
)


def generators(*units: int) -> list[torch.Generator]:
    return [generator(0, unit, 0) for unit in units]


def painter() -> nn.Module:
    own = torch.Generator().manual_seed(0)
    module = nn.Sequential(
        nn.Linear(6, 8 * 4 * 4), nn.Unflatten(1, (8, 4, 4)), nn.GELU(),
        nn.ConvTranspose2d(8, 8, 4, 2, 1), nn.GELU(), nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip
    for weight in module.parameters():
        weight.data = torch.randn(weight.shape, generator=own) * 0.4
    return module


PAINTER = painter()


def name(kind) -> str:
    return kind.recipe()["name"]


KINDS = [
    Fourier(),
    Fourier(decorrelate=False),
    Pixel(0.3),
    Pyramid(),
    Maco(),
    Maco("glyphs"),
    Cppn(),
    Strokes(strokes=6),
    Generator(PAINTER, (6,)),
    Chosen(Fourier(), ((generator(0, 1, 0).initial_seed(), 3),)),
]
every = pytest.mark.parametrize("kind", KINDS, ids=name)


@every
@pytest.mark.parametrize("size", [(16, 12), (9, 15)])
def test_images_are_in_range_and_not_flat(kind, size):
    pixels = kind.pixels(kind.start(size, generators(0, 1)), size)
    assert pixels.shape == (2, 3, *size) and pixels.dtype == torch.float32
    assert pixels.min() >= 0 and pixels.max() <= 1 + 1e-6
    assert (pixels.std((1, 2, 3)) > 0).all()


@every
def test_an_image_is_alike_alone_and_among_others(kind):
    together = kind.start((16, 16), generators(0, 1, 2))
    alone = kind.start((16, 16), generators(2))
    assert torch.equal(together[2:], alone)
    assert not torch.equal(together[0], together[1])
    pixels = kind.pixels(together, (16, 16))
    torch.testing.assert_close(pixels[2:], kind.pixels(alone, (16, 16)), atol=1e-5, rtol=0)


@every
def test_every_number_can_be_climbed_by_itself(kind):
    z = kind.start((16, 16), generators(0, 1)).requires_grad_(True)
    kind.pixels(z, (16, 16))[0].square().sum().backward()
    assert z.grad.isfinite().all() and z.grad[0].abs().sum() > 0
    assert not z.grad[1].any()
    kind.optimizer(z, kind.lr).step()
    assert kind.pixels(z, (16, 16)).isfinite().all()


@every
def test_autocast_changes_nothing(kind):
    z = kind.start((16, 16), generators(0))
    plain = kind.pixels(z, (16, 16))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(kind.pixels(z, (16, 16)), plain)


@every
def test_global_random_numbers_stay_where_they_were(kind):
    before = torch.get_rng_state()
    kind.pixels(kind.start((16, 16), generators(0)), (16, 16))
    assert torch.equal(torch.get_rng_state(), before)


finite = st.floats(0.01, 3)
anything = st.one_of(
    st.builds(Fourier, decay=finite, spread=finite, decorrelate=st.booleans()),
    st.builds(Pixel, spread=finite, decorrelate=st.booleans()),
    st.builds(Pyramid, levels=st.integers(1, 9), gain=finite, spread=finite),
    st.builds(Cppn, layers=st.integers(1, 9), width=st.integers(1, 40), spread=finite),
    st.builds(Strokes, strokes=st.integers(1, 99), opacity=st.floats(0.1, 0.9), width=finite),
    st.builds(Maco, st.sampled_from(["photographs", "glyphs"])),
    st.builds(Maco, finite.map(lambda x: x * torch.ones(3, 16, 9))),
    st.builds(Aligned, st.just(Fourier()), finite, finite),
    st.builds(
        Chosen,
        st.just(Generator(PAINTER, (6,))),
        st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 9))),
    ),
    st.builds(Generator, st.just(PAINTER), st.just((6,)), st.floats(0, 1), st.floats(0, 0.99)),
)


@settings(max_examples=60, deadline=None)
@given(anything)
def test_recipes_come_back(kind):
    assert from_recipe(json.loads(json.dumps(kind.recipe())), [PAINTER]) == kind
    hash(kind)


def test_an_image_starts_at_the_draw_that_was_chosen():
    kind = Chosen(Pixel(), ((generator(0, 1, 0).initial_seed(), 2),))
    plain, chosen = kind.start((8, 8), generators(0, 1))
    assert torch.equal(plain, Pixel().start((8, 8), generators(0))[0])
    assert torch.equal(chosen, Pixel().start((8, 8), generators(1) * 3)[2])


def test_a_wrong_recipe_is_said():
    with pytest.raises(BadInput, match="'wavelet'; there are aligned, chosen, cppn"):
        from_recipe({"name": "wavelet"})
    with pytest.raises(BadInput, match="Did you mean fourier"):
        from_recipe({"name": "furier"})
    with pytest.raises(BadInput, match=r"no recipe of pixel: .*'size'"):
        from_recipe({"name": "pixel", "size": 3})


def test_every_name_is_there():
    assert set(parameterization.__all__) <= set(dir(parameterization))
    for each in parameterization.__all__:
        assert getattr(parameterization, each)
    with pytest.raises(AttributeError, match="no attribute 'Wavelet'"):
        parameterization.Wavelet  # noqa: B018


@pytest.fixture(scope="module")
def embedded():
    return lens.load()


@pytest.mark.parametrize(
    "kind",
    [Fourier(), Pixel(), Pyramid(), Maco(), Cppn(), Strokes(16), Generator(PAINTER, (6,))],
    ids=name,
)
def test_a_unit_of_the_embedded_model_rises(embedded, kind):
    units = embedded.site("image.layer4").units([3, 4])
    # The average of z is far behind after so few steps.
    if isinstance(kind, Generator):
        kind = Generator(PAINTER, (6,), averaging=0.5)
    vis = lens.visualize(units, parameterization=kind, size=48, steps=12, progress=False)
    assert (vis.values > vis.start_values).all()
    assert vis.recipe["parameterization"] == kind.recipe()
