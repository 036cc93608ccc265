"""A projection on paper: a dot a point, what its colour means, and how faithful the map is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lens.figures.figure import Figure
from lens.figures.paper import area, paper, say
from lens.figures.style import GREY, LINE, SMALL, TITLE, Width, house_style, millimetres
from lens.projection.colouring import NONE, RAMP_LIGHT, Colouring, ramp
from lens.projection.figure import caption, legend_rows

if TYPE_CHECKING:
    from lens.projection.projection import Projection

__all__ = ["embedding_map"]

#: A dot a point as a vector up to so many; more of them become one picture behind vector words.
VECTORS = 20_000
_TOP, _ENTRY = 11.0, 3.7


def embedding_map(
    proj: Projection,
    colour: Any = None,
    *,
    width: Width | float = "double",
    title: str | None = None,
) -> Figure:
    """Draw a map with its legend and a line on its quality.

    Both axes have the same scale; the coordinates of a map mean nothing by themselves, so there
    are no ticks. Points that have a colour of their own lie on those that have none.

    Parameters
    ----------
    proj
        From `lens.project`.
    colour
        What the colours show: as ``proj.colour`` takes it, or what that gave.
    width
        "single" (85 mm) or "double" (178 mm) column, or mm.
    title
        In place of what the colours show.

    Raises
    ------
    BadInput
        Where there is no such colouring.
    """
    across = millimetres(width)
    by = colour if isinstance(colour, Colouring) else proj.colour(colour)
    said = title if title is not None else f"Map by {by.name}"
    with house_style():
        drawing = _drawn(proj, by, said, across)
    return Figure(f"{said}: {caption(proj)}", _frame(proj, by), drawing)


def _frame(proj: Projection, by: Colouring) -> pd.DataFrame:
    values: Any = by.values
    if not by.is_number:
        values = [by.names[code] if code >= 0 else None for code in by.codes]
    return pd.DataFrame(
        {
            "id": list(proj.points.ids),
            "kind": list(proj.points.kinds),
            "x": proj.coordinates[:, 0],
            "y": proj.coordinates[:, 1],
            "colour": values,
        }
    )


def _drawn(proj: Projection, by: Colouring, title: str, across: float) -> Any:
    wide = across >= 140
    legend = 40.0 if wide else 26.0
    room = across - legend - 4
    tall = room * (0.78 if wide else 1.1)
    drawing = paper(across, _TOP + tall + 2)
    say(drawing, 1, 1, title, room=across - 2, size=TITLE, bold=True)
    say(drawing, 1, 5.8, caption(proj), room=across - 2, size=SMALL, colour=GREY)
    _points(drawing, proj, by, room, tall)
    _legend(drawing, by, room + 4, legend - 2, tall)
    return drawing


def _points(drawing: Any, proj: Projection, by: Colouring, wide: float, tall: float) -> None:
    axes = area(drawing, 1, _TOP, wide, tall)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=LINE, linewidth=0.4)
    n = len(proj)
    if not n:
        return
    colours = by.colours()
    order = np.array(sorted(range(n), key=lambda i: colours[i] != NONE[0]))
    radius = float(np.clip(0.3 * wide / n**0.5, 0.45, 2.6))  # pt
    placed = proj.coordinates.astype(np.float64)
    low, high = placed.min(0), placed.max(0)
    # The same scale on both axes, and half a dot of room at the edges.
    spread = max(*(high - low) / (wide, tall), 1e-9) * 1.06
    middle, half = (low + high) / 2, np.array([wide, tall]) * spread / 2
    axes.set(
        xlim=(middle[0] - half[0], middle[0] + half[0]),
        ylim=(middle[1] - half[1], middle[1] + half[1]),
    )
    axes.scatter(
        placed[order, 0], placed[order, 1], s=(2 * radius) ** 2,
        c=[colours[i] for i in order], alpha=0.9 if n <= 2_000 else 0.6, linewidths=0,
        rasterized=n > VECTORS,
    )  # fmt: skip


def _legend(drawing: Any, by: Colouring, left: float, room: float, tall: float) -> None:
    say(drawing, left, _TOP, by.name, room=room, bold=True)
    if by.is_number:
        low, high = by.span
        bar = area(drawing, left, _TOP + 5, room - 2, 2)
        shades = [ramp(RAMP_LIGHT, step / 63) for step in range(64)]
        pixels = [[int(shade[i : i + 2], 16) for i in (1, 3, 5)] for shade in shades]
        bar.imshow(np.array([pixels], np.uint8), aspect="auto")
        bar.set_axis_off()
        say(drawing, left, _TOP + 7.6, f"{low:.3g}", room=room / 2, size=SMALL)
        say(
            drawing, left + room - 2, _TOP + 7.6, f"{high:.3g}",
            room=room / 2, size=SMALL, align="right",
        )  # fmt: skip
        missing = int((~np.isfinite(by.values)).sum())
        rows = [("none", NONE[0], missing)] if missing else []
        top = _TOP + 12.5
    else:
        rows, top = legend_rows(by, max(1, int((tall - 6) / _ENTRY) - 1)), _TOP + 5
    for i, (name, colour, count) in enumerate(rows):
        y = top + i * _ENTRY
        mark = area(drawing, left, y + 0.3, 2, 2)
        mark.set_axis_off()
        mark.scatter([0], [0], s=14, color=colour, linewidths=0)
        kept = len(f"{count:,}") * 1.3 + 1
        say(drawing, left + 3, y, name, room=room - 4 - kept, size=SMALL)
        say(
            drawing, left + room, y, f"{count:,}", room=kept, size=SMALL, colour=GREY, align="right"
        )  # fmt: skip
