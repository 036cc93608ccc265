"""Strokes along cubic Bezier curves as soft coverage of pixels, differentiable, in pure torch.

A curve is a row of points that are joined by straight lines; how much of a pixel a stroke covers
falls off smoothly with the distance from the pixel's centre to the nearest of these lines. Only
pairs of a stroke and a pixel within reach of it are looked at: strokes are small, images are not.
"""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor


def sampled(
    control: Float[Tensor, "strokes points 2"], samples: int
) -> Float[Tensor, "strokes line 2"]:
    """Points along chains of cubic curves, ``samples`` to a curve and one more at the end.

    Parameters
    ----------
    control
        4, 7, 10, ... control points; a curve begins where the one before it ends.
    samples
        Straight lines that each curve is made of.
    """
    t = torch.linspace(0, 1, samples + 1, dtype=control.dtype, device=control.device)
    s = 1 - t
    weights = torch.stack([s**3, 3 * s**2 * t, 3 * s * t**2, t**3], 1)
    curves = weights @ control.unfold(1, 4, 3).mT
    return torch.cat([curves[:, :, :-1].flatten(1, 2), curves[:, -1, -1:]], 1)


@torch.no_grad()
def within_reach(
    line: Float[Tensor, "strokes line 2"], reach: Float[Tensor, "strokes 1"], size: tuple[int, int]
) -> tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]]:
    """Strokes and places that may be nearer than ``reach`` pixels to each other, pair by pair.

    A place is a pixel's number, row by row; its pair is there when it lies in the rectangle
    about the stroke.
    """
    height, width = size
    low, high = line.amin(1) - reach, line.amax(1) + reach
    x, y = (torch.arange(extent).to(line) + 0.5 for extent in (width, height))
    columns = (x >= low[:, :1]) & (x <= high[:, :1])
    rows = (y >= low[:, 1:]) & (y <= high[:, 1:])
    inside = (rows[:, :, None] & columns[:, None]).flatten(1)
    stroke, place = inside.nonzero(as_tuple=True)
    return stroke, place


def distances(
    line: Float[Tensor, "strokes line 2"],
    stroke: Int[Tensor, " pairs"],
    places: Float[Tensor, "pairs 2"],
) -> Float[Tensor, " pairs"]:
    """From each place to the nearest point of the polyline of its stroke.

    Only the piece that is nearest is differentiated through: memory follows the pairs, however
    finely the curves are sampled.
    """
    last = line.shape[1] - 1
    own, points = stroke * (last + 1), line.flatten(0, 1)

    def offset(start: Tensor, end: Tensor) -> Tensor:
        """From the nearest point between two of the line to each place."""
        begin = points.index_select(0, own + start)
        along, there = points.index_select(0, own + end) - begin, places - begin
        share = (there * along).sum(1) / along.square().sum(1).clamp(min=1e-12)
        return there - share.clamp(0, 1)[:, None] * along

    with torch.no_grad():
        nearest = torch.zeros_like(stroke)
        least = places.new_full((len(places),), torch.inf)
        for number in range(last + 1):
            square = (places - line[:, number].index_select(0, stroke)).square().sum(1)
            nearest = torch.where(square < least, number, nearest)
            least = torch.minimum(square, least)
        before, after = (nearest - 1).clamp(min=0), (nearest + 1).clamp(max=last)
        earlier = offset(before, nearest).square().sum(1) < offset(nearest, after).square().sum(1)
        first = torch.where(earlier, before, nearest)
        second = torch.where(earlier, nearest, after)
    # The root has no slope at zero, right on the line.
    return (offset(first, second).square().sum(1) + 1e-12).sqrt()


def coverage(
    distance: Float[Tensor, " pairs"], width: Float[Tensor, " pairs"], softness: float
) -> Float[Tensor, " pairs"]:
    """1 inside of a stroke, 0 far outside, 1/2 at its edge; ``softness`` in pixels."""
    return torch.sigmoid((width / 2 - distance) / softness)


def over(
    canvas: Float[Tensor, "3 places"],
    opacity: Float[Tensor, "strokes places"],
    colour: Float[Tensor, "strokes 3"],
) -> Float[Tensor, "3 places"]:
    """Lay strokes on a canvas, the first lowest (Porter and Duff's *over*, one after another)."""
    # What shines through all strokes above, by running sums: products have no safe slope at zero.
    shine = torch.log1p(-opacity.clamp(max=1 - 1e-6))
    above = shine.flip(0).cumsum(0).flip(0)
    through = torch.cat([above[1:], above.new_zeros(1, above.shape[1])]).exp()
    return canvas * above[0].exp() + colour.T @ (opacity * through)


@cache
def centres(size: tuple[int, int]) -> Float[Tensor, "places 2"]:
    """Centres of the pixels, row by row, as (x, y) in pixels from the upper left corner."""
    height, width = size
    y, x = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1).flatten(0, 1)
