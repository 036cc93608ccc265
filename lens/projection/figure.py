"""A map as a figure: for plotly, and as a sheet for a paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from lens.projection.colouring import LIGHT, NONE, RAMP_LIGHT, Colouring, ramp
from lens.projection.drawing import Dot, Sheet, Word

if TYPE_CHECKING:
    from lens.projection.projection import Projection

__all__ = ["figure", "sheet"]

SOFT = "#5c6370"
LONGEST = 28  # letters of a name in the legend


def sheet(proj: Projection, by: Colouring, width: float = 640, height: float = 480) -> Sheet:
    """Lay a map out as dots with a legend and a line on its quality.

    Parameters
    ----------
    proj
        The map; both axes have the same scale.
    by
        What the colours show.
    width, height
        In points.
    """
    margin, legend, foot = 16.0, 150.0, 30.0
    room = width - legend - 2 * margin, height - foot - 2 * margin
    placed, n = proj.coordinates, len(proj)
    where = _fitted(placed, margin, margin, *room)
    radius = float(np.clip(40 / max(n, 1) ** 0.5, 0.8, 4.0))
    opacity = 0.9 if n <= 2_000 else 0.6
    # What has a colour of its own is drawn last, on top.
    colours = by.colours()
    order = sorted(range(n), key=lambda i: colours[i] != NONE[0])
    dots = [
        Dot(round(float(where[i, 0]), 2), round(float(where[i, 1]), 2), radius, colours[i], opacity)
        for i in order
    ]
    left = width - legend
    words = [Word(left, margin + 10, _cut(by.name), 11, bold=True)]
    if by.is_number:
        low, high = by.span
        steps = 24
        for step in range(steps + 1):
            dots.append(Dot(left + 5 + 4 * step, margin + 28, 5, ramp(RAMP_LIGHT, step / steps)))
        words.append(Word(left, margin + 48, f"{low:.3g}", 10, SOFT))
        words.append(Word(left + 85, margin + 48, f"{high:.3g}", 10, SOFT))
    else:
        for row, (name, colour, count) in enumerate(legend_rows(by)):
            y = margin + 28 + 16 * row
            dots.append(Dot(left + 4, y - 3.5, 4, colour))
            words.append(Word(left + 14, y, f"{_cut(name)} ({count:,})", 10))
    words.append(Word(margin, height - margin, caption(proj), 9, SOFT))
    return Sheet(width, height, dots, words, title=repr(proj).splitlines()[0])


def figure(proj: Projection, by: Colouring, width: int = 800, height: int = 600) -> Any:
    """Give a plotly figure of a map: a trace a category, what each point is on hover."""
    import plotly.graph_objects as go

    placed = proj.coordinates
    ids = [_markup_free(name) for name in proj.points.ids]
    size = float(np.clip(90 / max(len(proj), 1) ** 0.5, 2, 9))
    hover = "%{text}<extra></extra>"
    made = go.Figure()
    if by.is_number:
        scale = [[i / (len(RAMP_LIGHT) - 1), colour] for i, colour in enumerate(RAMP_LIGHT)]
        marker = {
            "color": by.values,
            "colorscale": scale,
            "size": size,
            "colorbar": {"title": {"text": _markup_free(by.name)}},
        }
        made.add_scattergl(
            x=placed[:, 0], y=placed[:, 1], mode="markers", marker=marker, text=ids,
            hovertemplate=hover,
        )  # fmt: skip
    else:
        for code in [*range(min(len(by.names), len(LIGHT))), None]:
            own = by.codes == code if code is not None else ~np.isin(by.codes, range(len(LIGHT)))
            if own.any():
                name = by.names[code] if code is not None else "other"
                made.add_scattergl(
                    x=placed[own, 0],
                    y=placed[own, 1],
                    mode="markers",
                    name=_markup_free(_cut(name)),
                    marker={"color": LIGHT[code] if code is not None else NONE[0], "size": size},
                    text=[ids[i] for i in np.flatnonzero(own)],
                    hovertemplate=hover,
                )
    made.update_layout(
        template="simple_white",
        width=width,
        height=height,
        legend={"title": {"text": _markup_free(by.name)}, "itemsizing": "constant"},
        margin={"l": 20, "r": 20, "t": 20, "b": 50},
        annotations=[
            {"text": caption(proj), "showarrow": False, "xref": "paper", "yref": "paper", "x": 0,
             "y": -0.06, "font": {"size": 11, "color": SOFT}}
        ],
    )  # fmt: skip
    made.update_xaxes(visible=False)
    made.update_yaxes(visible=False, scaleanchor="x")
    return made


def legend_rows(by: Colouring, most: int = 22) -> list[tuple[str, str, int]]:
    """Give name, colour and count of the categories with a colour, and of the others as one."""
    counts = np.bincount(by.codes[by.codes >= 0], minlength=len(by.names))
    shown = min(len(by.names), len(LIGHT), most)
    rows = [(by.names[c], LIGHT[c], int(counts[c])) for c in range(shown)]
    rest = len(by.codes) - sum(count for _, _, count in rows)
    others = len(by.names) - shown
    if rest:
        rows.append((f"{others} others" if others > 0 else "none", NONE[0], rest))
    return rows


def caption(proj: Projection) -> str:
    """Say what the map is and how good, in one line."""
    said = f"{proj.method.upper()}, {len(proj):,} points"
    if proj.quality is None:
        return said
    good = proj.quality
    return (
        f"{said}; trustworthiness {good.trustworthiness:.2f}, continuity {good.continuity:.2f} "
        f"(k = {good.k})"
    )


def _fitted(
    placed: Float[np.ndarray, "n 2"], left: float, top: float, width: float, height: float
) -> Float[np.ndarray, "n 2"]:
    """Scale a map into a box, y upwards, the same scale on both axes."""
    if not len(placed):
        return placed
    low, high = placed.min(axis=0), placed.max(axis=0)
    spread = np.maximum(high - low, 1e-9)
    scale = min(width / spread[0], height / spread[1]) if len(placed) > 1 else 0.0
    scale = scale if (high > low).any() else 0.0
    middle = (low + high) / 2
    x = left + width / 2 + (placed[:, 0] - middle[0]) * scale
    y = top + height / 2 - (placed[:, 1] - middle[1]) * scale
    return np.stack([x, y], axis=1)


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _markup_free(text: str) -> str:
    """Plotly reads a few HTML elements in its texts."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
