"""One attribution: what the model saw, what mattered in it, and the numbers that go with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lens.attribution.overlay import AGAINST, FOR, coloured, strength
from lens.attribution.page import ends, labels
from lens.figures.figure import Figure
from lens.figures.paper import area, fitted, length, paper, picture, say
from lens.figures.style import GREY, INK, SMALL, TITLE, Width, house_style, millimetres

if TYPE_CHECKING:
    from lens.attribution.result import Attribution

__all__ = ["explanation"]

_TOKEN, _LINE = 9.0, 3.3


def explanation(
    attribution: Attribution, *, width: Width | float = "single", title: str | None = None
) -> Figure:
    """Draw an attribution: picture and overlay, or the tokens of a text, above a legend.

    Red pixels and tokens speak for the answer, blue ones against it. The score, and where the
    method has them its baseline and completeness delta, stand below.

    Parameters
    ----------
    attribution
        What `lens.attribute` gave.
    width
        "single" (85 mm) or "double" (178 mm) column, or mm.
    title
        In place of the target.
    """
    across = millimetres(width)
    said = title if title is not None else attribution.target
    with house_style():
        drawing = _drawn(attribution, said, across)
    return Figure(f"{said}: {attribution.method}", attribution.frame, drawing)


def _drawn(attribution: Attribution, title: str, across: float) -> Any:
    drawn = attribution.heat is not None
    boxes = [] if drawn else _places(attribution, across)
    tall = _height(attribution, across) if drawn else boxes[-1][1] + _TOKEN if boxes else _TOKEN
    top = 10.5
    drawing = paper(across, top + tall + 14)
    say(drawing, 1, 1, title, room=across - 2, size=TITLE, bold=True)
    how = f"{attribution.method}{attribution._at}, {attribution.model}"
    say(drawing, 1, 5.8, how, room=across - 2, size=SMALL, colour=GREY)
    if drawn:
        assert attribution.picture is not None
        wide = (across - 4) / 2
        picture(drawing, attribution.picture, 1, top, wide, tall)
        picture(drawing, np.asarray(attribution.overlay()), 3 + wide, top, wide, tall)
    else:
        _tokens(drawing, attribution, boxes, top)
    _legend(drawing, attribution, top + tall + 2.5, across)
    say(
        drawing, 1, top + tall + 9.4, attribution._numbers, room=across - 2, size=SMALL, colour=GREY
    )  # fmt: skip
    return drawing


def _height(attribution: Attribution, across: float) -> float:
    assert attribution.picture is not None
    rows, columns = attribution.picture.shape[:2]
    return float(np.clip((across - 4) / 2 * rows / columns, 10.0, 120.0))


def _places(attribution: Attribution, across: float) -> list[tuple[float, float, float, str]]:
    """Left, top, width and text of each token, line by line."""
    places, x, y = [], 1.0, 0.0
    for token in attribution.tokens or ():
        shown = fitted(token, across - 8)
        wide = max(length(shown) + 3, 9.0)
        if x > 1 and x + wide > across - 1:
            x, y = 1.0, y + _TOKEN
        places.append((x, y, wide, shown))
        x += wide + 1.2
    return places


def _tokens(
    drawing: Any,
    attribution: Attribution,
    places: list[tuple[float, float, float, str]],
    top: float,
) -> None:
    assert attribution.scores is not None
    most = strength(attribution.scores) or 1.0
    for (x, y, wide, token), score in zip(places, attribution.scores, strict=True):
        ground = np.full((1, 1, 3), 244.0)
        colour = coloured(np.array([[float(score)]]), most, ground, 0.6)[0, 0] / 255
        box = area(drawing, x, top + y, wide, 4.6)
        box.set(xticks=[], yticks=[], facecolor=tuple(map(float, colour)))
        for spine in box.spines.values():
            spine.set_visible(False)
        say(drawing, x + wide / 2, top + y + 0.9, token, room=wide, align="center")
        said = f"{float(score):+.2g}"
        say(
            drawing, x + wide / 2, top + y + 5.2, said,
            room=wide + 2, size=SMALL, colour=GREY, align="center",
        )  # fmt: skip


def _legend(drawing: Any, attribution: Attribution, top: float, across: float) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    low, high, _ = ends(attribution.values)
    red, blue, none = ("#{:02x}{:02x}{:02x}".format(*c) for c in (FOR, AGAINST, (200, 200, 200)))
    stops = ([blue] if low else []) + [none] + ([red] if high else [])
    if len(stops) > 1:
        bar = area(drawing, 1, top, across - 2, 1.8)
        ramp = LinearSegmentedColormap.from_list("legend", stops)(np.linspace(0, 1, 256))
        bar.imshow(ramp[None, :, :3], aspect="auto")
        bar.set_axis_off()
    left, right = labels(attribution)
    room = across / 2 - 4
    say(drawing, 1, top + 2.4, left, room=room, size=SMALL, colour=INK)
    say(drawing, across - 1, top + 2.4, right, room=room, size=SMALL, colour=INK, align="right")
    if low and high:
        say(drawing, across / 2, top + 2.4, "0", room=8, size=SMALL, colour=INK, align="center")
