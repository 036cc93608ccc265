"""A map as a figure of plotly, and what stands beside a map in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lens.projection.colouring import LIGHT, NONE, RAMP_LIGHT, Colouring

if TYPE_CHECKING:
    from lens.projection.projection import Projection

__all__ = ["caption", "figure", "legend_rows"]

SOFT = "#5c6370"
LONGEST = 28  # letters of a name in the legend


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


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _markup_free(text: str) -> str:
    """Plotly reads a few HTML elements in its texts."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
