"""Strokes along cubic Bezier curves as soft coverage of pixels, differentiable, in pure torch.

A curve is a row of points that are joined by straight lines; how much of a pixel a stroke covers
falls off smoothly with the distance from the pixel's centre to the nearest of these lines.
"""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
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


def distances(
    line: Float[Tensor, "strokes line 2"], places: Float[Tensor, "places 2"]
) -> Float[Tensor, "strokes places"]:
    """From each place to the nearest point of each polyline.

    Only the piece that is nearest is differentiated through: memory is strokes x places, however
    finely the curves are sampled.
    """
    with torch.no_grad():
        # |p - q| ** 2 without the |p| ** 2 that all q have in common.
        nearest = (line.square().sum(2)[..., None] - 2 * line @ places.T).argmin(1)
        before, after = (nearest - 1).clamp(min=0), (nearest + 1).clamp(max=line.shape[1] - 1)
        rest_before = _offset(_points(line, before), _points(line, nearest), places)
        rest_after = _offset(_points(line, nearest), _points(line, after), places)
        earlier = rest_before.square().sum(2) < rest_after.square().sum(2)
        first = torch.where(earlier, before, nearest)
        second = torch.where(earlier, nearest, after)
    offset = _offset(_points(line, first), _points(line, second), places)
    # The root has no slope at zero, right on the line.
    return (offset.square().sum(2) + 1e-12).sqrt()


def _points(
    line: Float[Tensor, "strokes line 2"], index: Float[Tensor, "strokes places"]
) -> Float[Tensor, "strokes places 2"]:
    return line.gather(1, index[..., None].expand(-1, -1, 2))


def _offset(
    start: Float[Tensor, "strokes places 2"],
    end: Float[Tensor, "strokes places 2"],
    places: Float[Tensor, "places 2"],
) -> Float[Tensor, "strokes places 2"]:
    """From the nearest point between start and end to each place."""
    along, there = end - start, places - start
    share = (there * along).sum(2) / along.square().sum(2).clamp(min=1e-12)
    return there - share.clamp(0, 1)[..., None] * along


def coverage(
    distance: Float[Tensor, "strokes places"],
    width: Float[Tensor, "strokes 1"],
    softness: float,
) -> Float[Tensor, "strokes places"]:
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
