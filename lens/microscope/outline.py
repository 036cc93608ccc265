"""Where a unit is excited, as the outline of a picture's places above half of their peak."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from PIL import Image

#: Pixels a side of the picture that outlines are drawn on.
SIDE = 96
# The map is enlarged smoothly to so many places a side before its outline is drawn.
FINE = 16

Edge = tuple[int, int, int]


def outline(spots: Float[np.ndarray, "height width"]) -> str:
    """Draw the outline of all that is above half of the peak, as an SVG path of 96 x 96.

    The map is enlarged by bicubic interpolation; the level set is found by marching squares, with
    saddles decided by their mean.

    Parameters
    ----------
    spots
        A unit's own map of one picture; where it is negative everywhere, its least negative place
        counts as the peak and its lowest as zero.

    Returns
    -------
    str
        Closed polygons with whole numbers; empty for a map without any peak.
    """
    low = 0.0 if spots.max() > 0 else float(spots.min())
    heat = np.maximum(spots - low, 0).astype(np.float32)
    if not np.isfinite(heat).all() or heat.max() <= 0 or heat.size < 2:
        return ""
    heat = heat / heat.max()
    smooth = Image.fromarray(heat).resize((FINE, FINE), Image.Resampling.BICUBIC)
    field = np.pad(np.asarray(smooth, dtype=np.float64), 1, constant_values=0)
    level = 0.5 * field.max()
    following = _segments(field, level)
    parts = []
    while following:
        first, edge = next(iter(following.items()))
        del following[first]
        ring = [first]
        while edge != first:
            ring.append(edge)
            edge = following.pop(edge)
        points = _thinned([_point(field, level, edge) for edge in ring])
        if len(points) > 2:
            parts.append("M" + " ".join(f"{x} {y}" for x, y in points) + "Z")
    return "".join(parts)


def _segments(field: np.ndarray, level: float) -> dict[Edge, Edge]:
    """Walk through every square that the outline crosses; tell which edge follows which.

    An edge is (0, y, x) from (y, x) to the right or (1, y, x) from (y, x) down. Around a square,
    corners go clockwise; the outline enters where they turn from inside to outside.
    """
    inside = field >= level
    corners = np.stack([inside[:-1, :-1], inside[:-1, 1:], inside[1:, 1:], inside[1:, :-1]])
    following: dict[Edge, Edge] = {}
    for y, x in np.argwhere(corners.any(0) & ~corners.all(0)).tolist():
        here = corners[:, y, x]
        edges: list[Edge] = [(0, y, x), (1, y, x + 1), (0, y + 1, x), (1, y, x)]
        leaving = [i for i in range(4) if here[i] and not here[(i + 1) % 4]]
        if len(leaving) == 1:
            entering = next(i for i in range(4) if not here[i] and here[(i + 1) % 4])
            following[edges[leaving[0]]] = edges[entering]
        else:
            together = field[y : y + 2, x : x + 2].mean() >= level
            for i in leaving:
                following[edges[i]] = edges[(i + (1 if together else -1)) % 4]
    return following


def _point(field: np.ndarray, level: float, edge: Edge) -> tuple[int, int]:
    down, y, x = edge
    start, end = field[y, x], field[y + down, x + 1 - down]
    share = (level - start) / (end - start)
    scale = SIDE / FINE
    right, below = x + (0 if down else share), y + (share if down else 0)
    return round((right - 0.5) * scale), round((below - 0.5) * scale)


def _thinned(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Leave out points that repeat or lie on the straight line between their neighbours."""
    kept: list[tuple[int, int]] = []
    for point in points:
        if kept and point == kept[-1]:
            continue
        if len(kept) > 1:
            (ax, ay), (bx, by) = kept[-2:]
            if (bx - ax) * (point[1] - by) == (by - ay) * (point[0] - bx):
                kept.pop()
        kept.append(point)
    return kept
