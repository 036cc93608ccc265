"""Feature visualizations side by side, each with its unit and its value."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from lens.errors import BadInput
from lens.figures.figure import Figure
from lens.figures.paper import paper, picture, say
from lens.figures.style import GREY, SMALL, TITLE, Width, house_style, millimetres
from lens.sites import Unit

if TYPE_CHECKING:
    from lens.featurevis.visualization import Visualization

__all__ = ["image_sheet"]

_GAP, _LINE = 2.0, 3.4


def image_sheet(
    visualization: Visualization,
    *,
    columns: int | None = None,
    width: Width | float = "double",
    title: str | None = None,
) -> Figure:
    """Draw all images of a visualization in a grid.

    Parameters
    ----------
    visualization
        What `lens.visualize` gave.
    columns
        Images in a row; about 28 mm each if not given.
    width
        "single" (85 mm) or "double" (178 mm) column, or mm.
    title
        In place of the model's name.

    Raises
    ------
    BadInput
        For columns narrower than 8 mm, or none.
    """
    across, count = millimetres(width), len(visualization)
    chosen = min(count, max(1, round(across / 28))) if columns is None else int(columns)
    if not 1 <= chosen <= across / (8 + _GAP):
        raise BadInput(f"{chosen} images don't fit {across:g} mm; 1 to {across // 10:.0f} do.")
    rows = []
    for unit, value in zip(visualization.units, visualization.values, strict=True):
        name = f"unit {unit.index}" if isinstance(unit, Unit) else repr(unit)
        rows.append((name, float(value)))
    frame = pd.DataFrame(rows, columns=["unit", "value"])
    said = title if title is not None else f"Feature visualization, {visualization.recipe['model']}"
    with house_style():
        drawing = _drawn(visualization, frame, chosen, said, across)
    return Figure(f"{said}: {count} images", frame, drawing)


def _drawn(
    visualization: Visualization, frame: pd.DataFrame, columns: int, title: str, across: float
) -> Any:
    wide = min((across - 2 - (columns - 1) * _GAP) / columns, 60.0)
    tall = wide * visualization.images.shape[1] / visualization.images.shape[2]
    lines = math.ceil(len(visualization) / columns)
    drawing = paper(across, 8 + lines * (tall + _LINE + _GAP))
    say(drawing, 1, 1, title, room=across - 2, size=TITLE, bold=True)
    silent = {id(unit) for unit in visualization.silent}
    for i, (pixels, unit) in enumerate(zip(visualization.images, visualization.units, strict=True)):
        left = 1 + (i % columns) * (wide + _GAP)
        top = 7 + (i // columns) * (tall + _LINE + _GAP)
        picture(drawing, pixels, left, top, wide, tall)
        value = f"{frame['value'][i]:.3g}" + (", silent" if id(unit) in silent else "")
        kept = len(value) * 1.3 + 1
        say(drawing, left, top + tall + 0.6, frame["unit"][i], room=wide - kept, size=SMALL)
        say(
            drawing, left + wide, top + tall + 0.6, value,
            room=wide, size=SMALL, colour=GREY, align="right",
        )  # fmt: skip
    return drawing
