import math

import pytest
import torch

from lens.data import compose


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def square(size=64):
    """An upright white rectangle, twice as wide as tall, on a transparent tile."""
    tile = torch.zeros(1, 4, size, size)
    tile[:, :, size * 3 // 8 : size * 5 // 8, size // 4 : size * 3 // 4] = 1
    return tile


def moved(**changes):
    where = {
        "scale": torch.ones(1),
        "angle": torch.zeros(1),
        "shift": torch.zeros(1, 2),
    } | changes
    return compose.transform(square(), (64, 64), **where)[0, 3]


def extent(alpha):
    rows, columns = (alpha > 0.5).nonzero().T
    return [int(v) for v in (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)]


def test_identity_keeps_every_pixel():
    assert torch.allclose(moved(), square()[0, 3], atol=1e-5)


def test_scale_shift_and_turn_do_what_they_say():
    assert extent(moved(scale=torch.tensor([0.5]))) == [28, 36, 24, 40]
    assert extent(moved(shift=torch.tensor([[0.25, -0.5]]))) == [8, 24, 24, 56]
    # A quarter turn swaps width and height: right angles and lengths are kept.
    assert extent(moved(angle=torch.tensor([math.pi / 2]))) == [16, 48, 24, 40]


def test_a_warp_that_is_the_same_everywhere_is_a_shift():
    tiles, still = square(32), torch.zeros(1)
    same = {"scale": torch.ones(1), "angle": still}
    warp = torch.zeros(1, 2, 4, 4)
    warp[:, 0], warp[:, 1] = 0.25, -0.5
    bent = compose.transform(tiles, (32, 32), shift=torch.zeros(1, 2), warp=warp, **same)
    moved = compose.transform(tiles, (32, 32), shift=torch.tensor([[-0.25, 0.5]]), **same)
    assert torch.allclose(bent, moved, atol=1e-5)
    assert not torch.allclose(bent, tiles, atol=0.1)


def test_a_wide_tile_keeps_its_proportions_in_a_square_frame():
    tile = torch.ones(1, 1, 32, 64)
    out = compose.transform(
        tile, (48, 48), scale=torch.ones(1), angle=torch.zeros(1), shift=torch.zeros(1, 2)
    )[0, 0]
    assert extent(out) == [12, 36, 0, 48]


def test_over_is_porter_duff():
    below = torch.full((1, 3, 2, 2), 0.2)
    above = torch.zeros(1, 4, 2, 2)
    above[:, :, 0, 0] = torch.tensor([0.5, 0.0, 0.0, 0.5])
    out = compose.over(below, above)
    assert torch.allclose(out[0, :, 0, 0], torch.tensor([0.6, 0.1, 0.1]))
    assert torch.allclose(out[0, :, 1, 1], torch.full((3,), 0.2))


@pytest.mark.parametrize("kind", compose.SEEN + compose.UNSEEN)
def test_backgrounds_are_seeded_in_range_and_vary(kind):
    tiles = square(32).expand(5, -1, -1, -1)
    first, again = (compose.backgrounds(6, 32, generator(3), [kind], tiles) for _ in range(2))
    assert torch.equal(first, again)
    assert 0 <= first.min() and first.max() <= 1
    assert len({tuple(p.flatten().tolist()) for p in first}) == 6


def test_ink_can_be_told_from_its_ground():
    ground = torch.rand(200, 3, 1, 1, generator=generator()).expand(-1, -1, 4, 4)
    color = torch.rand(200, 3, generator=generator(1))
    ink = compose.inked(torch.ones(200, 1, 4, 4), ground, color)
    gap = (compose.luminance(ink[:, :3]) - compose.luminance(ground)).abs()
    assert gap.min() >= 0.4 - 1e-5


def test_premultiplied_pixels_never_exceed_their_alpha():
    tiles = torch.randint(0, 256, (4, 40, 40, 4), generator=generator()).byte()
    x = compose.premultiplied(tiles, 24)
    assert x.shape == (4, 4, 24, 24)
    assert (x[:, :3] <= x[:, 3:] + 1e-5).all()
