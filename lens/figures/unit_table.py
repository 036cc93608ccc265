"""Units one below the other: pictures, the concept found, how sure we are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from lens.errors import BadInput
from lens.figures.figure import Figure
from lens.figures.paper import area, paper, picture, say
from lens.figures.style import (
    CATEGORIES,
    GREY,
    INK,
    LINE,
    MARKERS,
    OTHER,
    SMALL,
    TITLE,
    Width,
    house_style,
    millimetres,
)
from lens.sites import Unit

__all__ = ["unit_table"]

_TOP, _ROW, _TILE = 14.5, 8.4, 7.4
_CHANCE, _SCORE = 0.5, 9.5


def unit_table(
    table: pd.DataFrame,
    *,
    visualization: Any = None,
    examples: Mapping[int, Sequence[Any]] | None = None,
    rows: int = 20,
    width: Width | float = "double",
    title: str | None = None,
) -> Figure:
    """Draw the first rows of a table of units.

    The bar of a score begins at chance and ends at the AUROC in the unit's weakest rendering; the
    marks are the AUROCs of all renderings. Beside it stand q, the share of false finds if all
    units this strong were accepted, and n, the stimuli of the concept in the smallest rendering.

    Parameters
    ----------
    table
        What `lens.multimodal` gave, or any with a column ``unit``; drawn in its order.
    visualization
        What `lens.visualize` made of some of the units, or a picture for a unit's number.
    examples
        Pictures that excite a unit, for its number; three are drawn, one in a narrow figure.
    rows
        How many are drawn, of those there are.
    width
        "single" (85 mm) or "double" (178 mm) column, or mm.
    title
        In place of the site's name.

    Raises
    ------
    BadInput
        Where there is no column ``unit``, no row, or more rows than a page holds.
    """
    across = millimetres(width)
    if not isinstance(table, pd.DataFrame) or "unit" not in table:
        raise BadInput("A table of units is a DataFrame with a column 'unit'.")
    if not len(table):
        raise BadInput("There are no units in this table.")
    if not 1 <= rows <= 100:
        raise BadInput(f"A figure has 1 to 100 rows of units, not {rows}.")
    frame = table.head(rows)
    site, model = (str(table.attrs.get(name, "")) for name in ("site", "model"))
    said = title
    if said is None:
        said = ", ".join(part for part in (f"Units of {site}" if site else "Units", model) if part)
    told = _told(table, len(frame))
    made = _made(visualization)
    each = 3 if across >= 140 else 1
    real = {int(unit): list(found)[:each] for unit, found in (examples or {}).items()}
    with house_style():
        drawing = _drawn(frame, made, real, said, told, across)
    return Figure(f"{said}: {told}", frame, drawing)


def _told(table: pd.DataFrame, shown: int) -> str:
    said = f"{shown:,} units" if shown == len(table) else f"the first {shown} of {len(table):,}"
    tests = int(table.attrs.get("tests", 0))
    return said + (f"; q over {tests:,} tests" if tests and "q" in table else "")


def _made(visualization: Any) -> dict[int, Any]:
    if visualization is None:
        return {}
    if isinstance(visualization, Mapping):
        return {int(unit): image for unit, image in visualization.items()}
    pairs = zip(visualization.units, visualization.images, strict=True)
    return {unit.index: image for unit, image in pairs if isinstance(unit, Unit)}


def _drawn(
    frame: pd.DataFrame,
    made: Mapping[int, Any],
    real: Mapping[int, list],
    title: str,
    told: str,
    across: float,
) -> Any:
    units = [int(unit) for unit in frame["unit"]]
    most = max((len(real.get(unit, [])) for unit in units), default=0)
    drawn = any(unit in made for unit in units)
    kinds = [str(name) for name in frame if str(name).startswith("auroc_")]
    scored = "score" in frame
    foot = 13.0 if scored else 1.0
    drawing = paper(across, _TOP + _ROW * len(units) + foot)
    say(drawing, 1, 1, title, room=across - 2, size=TITLE, bold=True)
    say(drawing, 1, 5.8, told, room=across - 2, size=SMALL, colour=GREY)

    x = 13.0
    places = {"made": x if drawn else None}
    x += _TILE + 1 if drawn else 0
    places["real"] = x if most else None
    x += most * (_TILE + 0.6) + 1 if most else 0
    numbers = [name for name in (("q", "n") if across >= 140 else ("q",)) if name in frame]
    right = across - 1 - 10.0 * len(numbers)
    wide = max((right - x) * 0.44, 12.0) if scored else 0.0
    columns = _columns(frame, scored)
    room = (right - wide - (_SCORE + 3 if scored else 1) - x) / max(len(columns), 1)
    _heads(drawing, places, columns, x, room, numbers, right, across)
    for row, unit in enumerate(units):
        y = _TOP + _ROW * row
        middle = y + _TILE / 2 - 1.2
        say(drawing, 10.5, middle, unit, room=10, bold=True, align="right")
        if places["made"] is not None and unit in made:
            picture(drawing, _pixels(made[unit]), places["made"], y, _TILE, _TILE)
        for i, pixels in enumerate(real.get(unit, [])):
            left = (places["real"] or x) + i * (_TILE + 0.6)
            picture(drawing, _pixels(pixels), left, y, _TILE, _TILE)
        for i, name in enumerate(columns):
            said = _value(frame[name].iloc[row])
            say(drawing, x + i * room, middle, said, room=room - 1.5)
        for i, name in enumerate(numbers):
            said = _number(name, frame[name].iloc[row])
            say(drawing, right + 10.0 * (i + 1), middle, said, room=9.5, align="right")
    if scored:
        _scores(drawing, frame, kinds, right - wide, wide, len(units))
    return drawing


def _heads(
    drawing: Any,
    places: Mapping[str, float | None],
    columns: list[str],
    x: float,
    room: float,
    numbers: list[str],
    right: float,
    across: float,
) -> None:
    y = _TOP - 4.2
    say(drawing, 10.5, y, "unit", room=10, size=SMALL, colour=GREY, align="right")
    if places["made"] is not None:
        say(drawing, places["made"], y, "made", room=_TILE + 1, size=SMALL, colour=GREY)
    if places["real"] is not None:
        said = "excited most by" if x - places["real"] > 16 else "real"
        say(drawing, places["real"], y, said, room=x - places["real"], size=SMALL, colour=GREY)
    for i, name in enumerate(columns):
        say(drawing, x + i * room, y, name, room=room - 1.5, size=SMALL, colour=GREY)
    for i, name in enumerate(numbers):
        at = right + 10.0 * (i + 1)
        say(drawing, at, y, name, room=9.5, size=SMALL, colour=GREY, align="right")
    rule = area(drawing, 1, _TOP - 0.9, across - 2, 0.2)
    rule.set_axis_off()
    rule.axhline(0, color=LINE, linewidth=0.5)


def _columns(frame: pd.DataFrame, scored: bool) -> list[str]:
    """Columns that are written: the concept; of a table of another sort, the first four."""
    if scored:
        return [name for name in ("concept",) if name in frame]
    own = [str(name) for name in frame if str(name) not in ("unit", "q", "n", "p")]
    return own[:4]


def _scores(
    drawing: Any, frame: pd.DataFrame, kinds: list[str], left: float, wide: float, count: int
) -> None:
    """A bar a unit from chance to its score, and a mark a rendering, on one axis."""
    axes = area(drawing, left, _TOP, wide, _ROW * count)
    scores = frame["score"].to_numpy(float)
    every = np.concatenate([scores, *(frame[kind].to_numpy(float) for kind in kinds)])
    low = min(_CHANCE, np.floor(float(np.nanmin(every, initial=_CHANCE)) * 10) / 10)
    middle = np.arange(count) + _TILE / 2 / _ROW
    axes.barh(middle, np.nan_to_num(scores - _CHANCE), 0.34, left=_CHANCE, color=OTHER)
    for i, kind in enumerate(kinds):
        axes.scatter(
            frame[kind], middle, s=8, color=CATEGORIES[i % 7], marker=MARKERS[i % 7],
            linewidths=0.3, edgecolors="white", zorder=3, clip_on=False,
        )  # fmt: skip
    axes.axvline(_CHANCE, color=GREY, linewidth=0.6)
    apart = wide * (_CHANCE - low) / (1 - low)  # mm; two numbers need six
    ticks = [low, _CHANCE, 0.75, 1.0] if apart > 6 else [_CHANCE, 0.75, 1.0]
    axes.set(yticks=[], ylim=(count, 0), xlim=(low, 1.0))
    axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
    axes.spines["left"].set_visible(False)
    for row, score in enumerate(scores):
        y = _TOP + _ROW * row + _TILE / 2 - 1.2
        said = f"{score:.3f}" if np.isfinite(score) else ""
        say(drawing, left - 3, y, said, room=_SCORE, align="right")
    say(drawing, left - 3, _TOP - 4.2, "score", room=_SCORE, size=SMALL, colour=GREY, align="right")
    said = "AUROC by rendering; bar: the weakest"
    said = said if wide > 36 else "AUROC"
    say(drawing, left, _TOP - 4.2, said, room=wide, size=SMALL, colour=GREY)
    foot = _TOP + _ROW * count + 4.8
    across = float(drawing.get_size_inches()[0]) * 25.4
    step = min(30.0, (across - 2) / max(len(kinds), 1))
    for i, kind in enumerate(kinds):
        x = 1 + i * step
        mark = area(drawing, x, foot + 0.3, 2, 2)
        mark.set_axis_off()
        mark.scatter([0], [0], s=9, color=CATEGORIES[i % 7], marker=MARKERS[i % 7], linewidths=0)
        name = kind.removeprefix("auroc_")
        say(drawing, x + 2.8, foot, name, room=step - 3.5, size=SMALL, colour=INK)


def _value(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.3g}" if math.isfinite(value) else ""
    return "" if value is None or value is pd.NA else str(value)


def _number(name: str, value: Any) -> str:
    if not math.isfinite(float(value)):
        return ""
    return f"{float(value):.1g}" if name == "q" else f"{float(value):,.0f}"


def _pixels(image: Any) -> np.ndarray:
    if isinstance(image, Image.Image):
        image = image.convert("RGB")
    return np.asarray(image, dtype=np.uint8)
