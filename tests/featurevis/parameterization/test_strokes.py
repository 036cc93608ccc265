import numpy as np
import pytest
import torch

from lens.errors import BadInput
from lens.featurevis.parameterization import Strokes, bezier


def test_curves_are_de_casteljaus():
    control = torch.randn(2, 7, 2, dtype=torch.float64)
    line = bezier.sampled(control, 5)
    assert line.shape == (2, 11, 2)
    for stroke in range(2):
        for curve in range(2):
            for step in range(6):
                points, t = control[stroke, 3 * curve : 3 * curve + 4].numpy(), step / 5
                while len(points) > 1:
                    points = (1 - t) * points[:-1] + t * points[1:]
                np.testing.assert_allclose(line[stroke, 5 * curve + step], points[0], atol=1e-12)
    # A chain begins, is joined and ends at its control points.
    torch.testing.assert_close(line[:, [0, 5, 10]], control[:, [0, 3, 6]])


def test_distances_from_a_straight_line():
    line = torch.tensor([[[2.0, 3], [5, 3], [6, 3], [12, 3]]], dtype=torch.float64)
    places = torch.tensor([[4.0, 7], [0, 3], [8, 1], [15, 7], [6, 3]], dtype=torch.float64)
    want = torch.tensor([4, 2, 2, 5, 0], dtype=torch.float64)
    got = bezier.distances(line, torch.zeros(5, dtype=torch.long), places)
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)


def test_distances_from_a_curve_by_many_points():
    control = torch.tensor([[[2.0, 2], [20, 4], [1, 18], [17, 15]]], dtype=torch.float64)
    places = bezier.centres((20, 20)).double()
    dense = bezier.sampled(control, 4000)[0]
    want = torch.cdist(places, dense).amin(1)
    got = bezier.distances(bezier.sampled(control, 40), torch.zeros(400, dtype=torch.long), places)
    torch.testing.assert_close(got, want, atol=0.02, rtol=0)


def test_nothing_within_reach_is_left_out():
    line = bezier.sampled(6 * torch.randn(5, 4, 2, dtype=torch.float64) + 6, 8)
    reach = torch.tensor([[1.0], [2], [3], [0.5], [4]], dtype=torch.float64)
    pairs = torch.stack(bezier.within_reach(line, reach, (9, 12)), 1)
    found = {tuple(pair) for pair in pairs.tolist()}
    near = torch.cdist(line, bezier.centres((9, 12)).double()[None]).amin(1) < reach
    assert {tuple(pair) for pair in near.nonzero().tolist()} <= found
    assert len(found) < 5 * 9 * 12


def test_distances_have_right_slopes():
    control = (8 * torch.rand(2, 4, 2, dtype=torch.float64)).requires_grad_(True)
    places = bezier.centres((3, 4)).double().repeat(2, 1) * 2 + 0.1
    stroke = torch.arange(2).repeat_interleave(12)

    def near(control):
        return bezier.distances(bezier.sampled(control, 6), stroke, places)

    assert torch.autograd.gradcheck(near, (control,), atol=1e-4)


def test_coverage_is_full_inside_half_at_the_edge_none_outside():
    distance = torch.tensor([0.0, 3, 20], dtype=torch.float64)
    got = bezier.coverage(distance, torch.full((3,), 6.0, dtype=torch.float64), 0.5)
    want = 1 / (1 + np.exp(-(3 - distance.numpy()) / 0.5))
    np.testing.assert_allclose(got, want)
    assert got[0] > 0.99 and got[1] == 0.5 and got[2] < 1e-10


def test_strokes_lie_over_each_other_one_by_one():
    opacity = torch.rand(5, 4, dtype=torch.float64)
    opacity[2, 0] = 1  # hides all below
    colour = torch.rand(5, 3, dtype=torch.float64)
    canvas = torch.rand(3, 4, dtype=torch.float64)
    want = canvas.clone()
    for a, c in zip(opacity, colour, strict=True):
        want = want * (1 - a) + c[:, None] * a
    torch.testing.assert_close(bezier.over(canvas, opacity, colour), want, atol=1e-5, rtol=0)


def test_a_stroke_is_where_its_numbers_say():
    kind = Strokes(strokes=1, curves=1, width=0.2)
    z = torch.zeros(1, 1, 13, dtype=torch.float64)
    # From (2, 5) to (18, 5) of 20 pixels, in tenths of the longer side.
    z[0, 0, :8] = torch.tensor([1, 2.5, 4, 2.5, 6, 2.5, 9, 2.5])
    z[0, 0, 8:] = torch.tensor([30.0, -30, -30, 30, 0])  # red, opaque, four pixels wide
    image = kind.pixels(z, (10, 20))[0]
    red = torch.tensor([1.0, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(image[:, 5, 10], red, atol=0.15, rtol=0)
    torch.testing.assert_close(image[:, 0, 10], torch.ones(3).double(), atol=0.05, rtol=0)
    torch.testing.assert_close(image[:, :5], image[:, 5:].flip(1))


def test_drawing_again_on_the_way_back_changes_no_gradient():
    kind = Strokes(strokes=40)  # more than are drawn at a time
    z = kind.start((12, 12), [torch.Generator().manual_seed(0)]).double()

    def slope(by_checkpoint: bool) -> torch.Tensor:
        own = z.clone().requires_grad_(True)
        if by_checkpoint:
            drawn = kind.pixels(own, (12, 12))
        else:
            drawn = kind._lay(torch.ones(3, 144).double(), own[0], (12, 12)).view(1, 3, 12, 12)
        drawn.square().sum().backward()
        return own.grad

    torch.testing.assert_close(slope(True), slope(False))


def test_what_can_not_be_drawn_is_said():
    with pytest.raises(BadInput, match="strokes is a whole number, at least 1, not 0"):
        Strokes(0)
    with pytest.raises(BadInput, match="opacity lies between 0 and 1"):
        Strokes(opacity=1)
