"""Places on paper in mm from the upper left corner, and words that fit where they stand."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

import numpy as np

from lens.figures.style import BODY, FALLBACK, FAMILY, INK, LINE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

__all__ = ["area", "clean", "fitted", "length", "paper", "picture", "say"]

INCH = 25.4
POINT = INCH / 72
# No line of a figure is longer than this; what comes after is never measured.
_LONGEST = 400


def paper(width: float, height: float) -> Drawing:
    """An empty white figure of the given size in mm."""
    from matplotlib.figure import Figure as Drawing

    return Drawing(figsize=(width / INCH, height / INCH), dpi=INCH * 10)


def area(drawing: Drawing, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place in mm."""
    full, tall = drawing.get_size_inches() * INCH
    return drawing.add_axes((left / full, 1 - (top + height) / tall, width / full, height / tall))


def say(
    drawing: Drawing,
    left: float,
    top: float,
    text: Any,
    *,
    room: float,
    size: float = BODY,
    bold: bool = False,
    colour: str = INK,
    align: str = "left",
    rotation: float = 0.0,
) -> None:
    """Write one line: its upper edge at `top`, cut where it would be longer than `room` mm.

    With ``rotation``, `top` is the foot of the line instead.
    """
    full, tall = drawing.get_size_inches() * INCH
    drawing.text(
        left / full,
        1 - top / tall,
        fitted(text, room, size, bold),
        size=size,
        weight="bold" if bold else "normal",
        color=colour,
        ha=align,
        va="bottom" if rotation else "top",
        rotation=rotation,
        rotation_mode="anchor" if rotation else "default",
        parse_math=False,
    )


def picture(
    drawing: Drawing, pixels: np.ndarray, left: float, top: float, width: float, height: float
) -> None:
    """Put a picture (height, width, 3) uint8 into a box in mm, whole and undistorted."""
    rows, columns = pixels.shape[:2]
    scale = min(width / columns, height / rows)
    wide, high = columns * scale, rows * scale
    axes = area(drawing, left + (width - wide) / 2, top + (height - high) / 2, wide, high)
    axes.imshow(pixels, aspect="auto")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():  # a white picture needs an edge on white paper
        spine.set(visible=True, color=LINE, linewidth=0.4)


def clean(text: Any) -> str:
    """One line of text that every format can hold: no control characters, no lone surrogates."""
    kept = (
        " " if character.isspace() or unicodedata.category(character) == "Cc" else character
        for character in str(text)
        if unicodedata.category(character) not in ("Cs", "Cn")
    )
    return " ".join("".join(kept).split())


def fitted(text: Any, room: float, size: float = BODY, bold: bool = False) -> str:
    """Cut a line so that it is no longer than `room` mm, showing that something was cut."""
    line = clean(text)
    if len(line) <= _LONGEST and length(line, size, bold) <= room:
        return line
    low, high = 0, min(len(line), _LONGEST)
    while low < high:  # the longest beginning that fits
        middle = (low + high + 1) // 2
        if length(line[:middle] + "…", size, bold) <= room:
            low = middle
        else:
            high = middle - 1
    return line[:low].rstrip() + "…"


def length(line: str, size: float = BODY, bold: bool = False) -> float:
    """How long a line is in mm."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    face = FontProperties(family=[FAMILY, FALLBACK], size=size, weight="bold" if bold else "normal")
    return TextToPath().get_text_width_height_descent(line, face, ismath=False)[0] * POINT
