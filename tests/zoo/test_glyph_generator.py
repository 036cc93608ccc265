import pytest
import torch
from safetensors.torch import save_file

from lens import zoo
from lens.errors import BadWeights
from lens.zoo.glyph_generator import SCENE, Generator, Z, on_backdrop


@pytest.fixture(scope="module")
def generator():
    return zoo.generator()


def draws(n, seed=0):
    return torch.randn(n, Z, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_images_are_finite_in_range_and_the_same_for_the_same_numbers(generator):
    images = generator(draws(6))
    assert images.shape == (6, 3, 96, 96)
    assert images.isfinite().all()
    assert images.min() >= 0
    assert images.max() <= 1
    assert torch.allclose(images, generator(draws(6)))
    assert torch.allclose(images[2:3], generator(draws(6)[2:3]), atol=1e-5)
    assert (images[0] - images[1]).abs().mean() > 0.05


def test_opening_leaves_the_global_generator_alone_and_fits_into_four_megabytes():
    before = torch.get_rng_state()
    module = zoo.generator()
    zoo.discriminator()
    assert torch.equal(before, torch.get_rng_state())
    assert not module.training
    assert (zoo.WEIGHTS / "glyph-generator.safetensors").stat().st_size < 4e6
    assert (zoo.WEIGHTS / "glyph-discriminator.safetensors").stat().st_size < 0.5e6


@torch.no_grad()
def test_the_halves_make_the_whole_and_truncation_goes_to_the_mean(generator):
    z = draws(3)
    w = generator.mapping(z)
    assert torch.allclose(generator.synthesis(w), generator(z), atol=1e-5)
    mean = generator.synthesis(generator.w_avg[None])
    assert torch.allclose(generator(z, truncation=0.0), mean.expand(3, -1, -1, -1), atol=1e-5)


@torch.no_grad()
def test_most_draws_are_things_that_glyph_rn_knows(generator):
    model = zoo.load("glyph-rn")
    concepts = [f"a picture of a {c}" for c in _concepts()]
    texts = torch.from_numpy(model.embed(concepts))
    pictures = model.normalize(generator(draws(64)))
    seen = torch.from_numpy(model.embed(list(pictures)))
    scale = model.module.logit_scale.exp()
    sure = (scale * seen @ texts.T).softmax(1).amax(1)
    assert (sure > 0.5).float().mean() > 0.5


def _concepts():
    from lens.data import glyphs

    return glyphs().concepts


def test_gradients_reach_every_part_of_z(generator):
    z = draws(4).requires_grad_(True)
    generator(z).square().mean((1, 2, 3)).sum().backward()
    assert z.grad is not None
    assert (z.grad.abs().amax(0) > 0).all()


def test_a_tile_in_the_middle_of_a_backdrop_stays_where_it_is():
    tile = torch.zeros(1, 4, 96, 96)
    tile[:, 0, 40:56, 40:56] = 1
    tile[:, 3, 40:56, 40:56] = 1
    image = on_backdrop(tile, torch.zeros(1, 1), torch.zeros(1, SCENE))[0]
    assert torch.allclose(image[:, 0, 0], torch.full((3,), 0.5), atol=1e-3)
    assert torch.allclose(image[:, 48, 48], torch.tensor([1.0, 0, 0]), atol=1e-3)
    # At 0.9 of its size 16 pixels are 14.4.
    assert (image[0, 48] > 0.75).sum() in (14, 15)


def test_ink_is_dark_on_light_ground_and_light_on_dark():
    tile = torch.zeros(2, 4, 96, 96)
    tile[:, 3, 40:56, 40:56] = 1
    scene = torch.zeros(2, SCENE)
    scene[0, :6], scene[1, :6] = 2.0, -2.0
    image = on_backdrop(tile, torch.ones(2, 1), scene)
    assert image[0, :, 48, 48].max() < 0.1 < 0.9 < image[0, :, 0, 0].min()
    assert image[1, :, 48, 48].min() > 0.9 > 0.1 > image[1, :, 0, 0].max()


@torch.no_grad()
def test_the_discriminator_likes_drawn_tiles_better_than_crossed_ones(generator):
    from lens.data import compose, glyphs

    judge = zoo.discriminator()
    tiles = compose.premultiplied(torch.from_numpy(glyphs().tiles[0, ::20]), 96)
    n = len(tiles)
    scene = torch.randn(n, SCENE, generator=torch.Generator().manual_seed(1))
    drawn = on_backdrop(tiles, torch.zeros(n, 1), scene)
    half = torch.lerp(generator.mapping(draws(n, 2)), generator.mapping(draws(n, 3)), 0.5)
    assert judge(drawn).mean() > judge(generator.synthesis(half)).mean() + 0.5
    assert judge(drawn[:, :, ::2, ::2]).shape == (n,)


def test_weights_of_something_else_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    for make in (zoo.generator, zoo.discriminator):
        path.unlink(missing_ok=True)
        with pytest.raises(BadWeights, match="missing"):
            make(path)
        path.write_bytes(b"not weights at all")
        with pytest.raises(BadWeights, match="not a safetensors"):
            make(path)
        save_file({"a": torch.zeros(2)}, path)
        with pytest.raises(BadWeights, match="does not hold the weights"):
            make(path)
    few = Generator(3, 2)
    assert few(draws(2)).shape == (2, 3, 96, 96)
