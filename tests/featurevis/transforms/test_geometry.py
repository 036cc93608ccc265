import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lens.errors import BadInput
from lens.featurevis.loop.optimize import generator
from lens.featurevis.transforms import (
    Move,
    Moves,
    from_recipe,
    jitter,
    moves,
    rotate,
    scale,
    standard,
)


def generators(*units: int) -> list[torch.Generator]:
    return [generator(0, unit, 0) for unit in units]


def exactly(kind: str, amount: float) -> Move:
    return Move(kind, amount, amount)


@pytest.fixture
def images():
    return torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(0))


def test_no_moves_change_nothing(images):
    assert torch.equal(moves()(images, generators(0, 1)), images)
    still = moves(exactly("jitter", 0), exactly("scale", 1), exactly("rotate", 0))
    torch.testing.assert_close(still(images, generators(0, 1)), images, atol=1e-5, rtol=0)


def test_jitter_shifts_right_and_down_and_shows_grey_outside(images):
    moved = moves(exactly("jitter", 3))(images, generators(0, 1))
    torch.testing.assert_close(moved[:, :, 3:, 3:], images[:, :, :-3, :-3], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[:, :, :3], torch.full((2, 3, 3, 10), 0.5), atol=1e-6, rtol=0)


def test_half_a_turn_of_an_oblong_image(images):
    moved = moves(exactly("rotate", 180))(images, generators(0, 1))
    torch.testing.assert_close(moved, images.flip(2, 3), atol=1e-4, rtol=0)


def test_a_quarter_turn_keeps_its_shape(images):
    square = images[:, :, :10]
    moved = moves(exactly("rotate", 90))(square, generators(0, 1))
    turned = [square.rot90(turns, (2, 3)) for turns in (1, 3)]
    assert min((moved - t).abs().max() for t in turned) < 1e-4


def test_scale_magnifies():
    image = torch.full((1, 3, 20, 20), 0.5)
    image[:, :, 8:12, 8:12] = 1
    grown = moves(exactly("scale", 2))(image, generators(0))
    assert grown[0, 0, 7, 7] > 0.9  # inside the square that is now twice as wide
    assert grown[0, 0, 4, 4] == pytest.approx(0.5, abs=0.01)


def test_moves_are_done_in_their_order():
    image = torch.full((1, 3, 21, 21), 0.5)
    image[:, :, 10, 10] = 1
    shift_then_grow = moves(exactly("jitter", 3), exactly("scale", 2))(image, generators(0))
    grow_then_shift = moves(exactly("scale", 2), exactly("jitter", 3))(image, generators(0))
    assert shift_then_grow[0, 0].argmax() == 16 * 21 + 16  # 10 + 2 * 3
    assert grow_then_shift[0, 0].argmax() == 13 * 21 + 13  # 10 + 3


def test_every_image_has_its_own_draw_whatever_its_neighbours(images):
    same = images[:1].expand(3, -1, -1, -1)
    together = standard((12, 10))(same, generators(4, 5, 6))
    alone = standard((12, 10))(same[:1], generators(6))
    assert torch.equal(together[2:], alone)
    assert not torch.allclose(together[0], together[1])


def test_draws_go_on_from_step_to_step(images):
    own = generators(0, 1)
    first, second = (standard((12, 10))(images, own) for _ in range(2))
    assert not torch.allclose(first, second)


@settings(max_examples=25, deadline=None)
@given(
    st.floats(0, 20), st.floats(0.5, 1), st.floats(1, 2), st.floats(0, 180), st.integers(0, 2**40)
)
def test_any_moves_stay_in_range_and_carry_gradients(pixels, low, high, degrees, seed):
    images = torch.rand(1, 3, 9, 11, generator=torch.Generator().manual_seed(0))
    images.requires_grad_(True)
    move = moves(jitter(pixels), scale(low, high), rotate(degrees))
    moved = move(images, [generator(seed, 0, 0)])
    assert moved.shape == images.shape
    assert moved.min() >= -1e-6 and moved.max() <= 1 + 1e-6
    moved.sum().backward()
    assert images.grad is not None and images.grad.isfinite().all()


def test_recipes_come_back():
    there = standard((96, 96))
    assert from_recipe(json.loads(json.dumps(there.recipe()))) == there
    assert repr(there.steps[0]) == "jitter(-3..3)"
    assert from_recipe([]) == Moves()


def test_what_can_not_be_is_said():
    with pytest.raises(BadInput, match="'shear'; there are jitter, scale, rotate, moves, crops"):
        from_recipe([{"kind": "shear", "low": 0, "high": 1}])
    with pytest.raises(BadInput, match="0 < low <= high"):
        scale(0, 1)
    with pytest.raises(BadInput, match="padding is 'grey' or 'reflect', not 'wrap'"):
        moves(jitter(2), padding="wrap")


def test_reflected_padding_shows_the_mirror_image(images):
    moved = moves(exactly("jitter", 3), padding="reflect")(images, generators(0, 1))
    torch.testing.assert_close(moved[:, :, 3:, 3:], images[:, :, :-3, :-3], atol=1e-5, rtol=0)
    mirrored = images[:, :, :3, :-3].flip(2)
    torch.testing.assert_close(moved[:, :, :3, 3:], mirrored, atol=1e-5, rtol=0)


def test_views_of_an_image_move_apart_and_by_its_own_generator(images):
    views = images.repeat_interleave(3, 0)
    moved = standard((12, 10))(views, generators(4, 5))
    assert not torch.allclose(moved[0], moved[1])
    assert torch.equal(moved[3:], standard((12, 10))(views[3:], generators(5)))
