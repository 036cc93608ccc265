"""How an attribution looks in a notebook: one piece of HTML that needs neither kernel nor network.

Text takes the notebook's own colour, so that light and dark themes both work; everything that
comes from data is escaped.
"""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lens.attribution.overlay import AGAINST, FOR, strength

if TYPE_CHECKING:
    from lens.attribution.result import Attribution

__all__ = ["ends", "labels", "page", "readable_size"]

SHOWN = 260
SOFT = "opacity:.72;font-size:12px"


def page(attribution: Attribution) -> str:
    """Lay an attribution out as HTML."""
    body = _tokens(attribution) if attribution.heat is None else _pictures(attribution)
    title = html.escape(attribution.target)
    how = html.escape(f"{attribution.method}{attribution._at}, {attribution.model}")
    return (
        '<div style="font:13px/1.45 var(--jp-ui-font-family,system-ui,sans-serif);'
        'color:var(--jp-ui-font-color0,inherit);max-width:640px">'
        f'<div style="font-size:15px;font-weight:650;overflow-wrap:anywhere">{title}</div>'
        f'<div style="{SOFT};overflow-wrap:anywhere">{how}</div>'
        f"{body}{_legend(attribution)}"
        f'<div style="{SOFT};margin-top:6px">{html.escape(attribution._numbers)}</div></div>'
    )


def ends(values: np.ndarray) -> tuple[float, float, bool]:
    """Return the numbers at both ends of the colour scale, and whether values lie beyond."""
    most = strength(values)
    low = -most if (values < 0).any() else 0.0
    high = most if (values > 0).any() or not low else 0.0
    return low, high, bool(np.abs(values).max(initial=0) > most * (1 + 1e-6))


def labels(attribution: Attribution) -> tuple[str, str]:
    """What stands at both ends of the legend: a number and what it means."""
    low, high, beyond = ends(attribution.values)
    against, favour = attribution._meaning
    left = f"{low:.3g}{' and below' if beyond else ''}, {against}" if low else "0"
    right = f"{high:.3g}{' and above' if beyond else ''}, {favour}" if high else "0"
    return left, right


def readable_size(width: int, height: int, shown: int = SHOWN) -> tuple[int, int]:
    """Scale a size so that its longer side is `shown`."""
    scale = shown / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _pictures(attribution: Attribution) -> str:
    assert attribution.picture is not None
    plain = Image.fromarray(attribution.picture)
    width, height = readable_size(*plain.size)
    figures = [
        _figure(image, width, height, what)
        for image, what in ((plain, "what the model saw"), (attribution.overlay(), "attribution"))
    ]
    row = "display:flex;flex-wrap:wrap;gap:12px;margin-top:8px"
    return f'<div style="{row}">{"".join(figures)}</div>'


def _figure(image: Image.Image, width: int, height: int, what: str) -> str:
    # What is smooth has been made so; pixels and patches keep their edges.
    drawn = "pixelated" if what == "attribution" else "auto"
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    source = base64.b64encode(buffer.getvalue()).decode()
    return (
        '<figure style="margin:0">'
        f'<img src="data:image/png;base64,{source}" alt="{what}" width="{width}" '
        f'height="{height}" style="display:block;margin:0;border:1px solid rgba(128,128,128,.35);'
        f'border-radius:5px;image-rendering:{drawn}">'
        f'<figcaption style="{SOFT};margin-top:2px">{what}</figcaption></figure>'
    )


def _tokens(attribution: Attribution) -> str:
    assert attribution.scores is not None
    most = strength(attribution.scores) or 1.0
    chips = []
    for token, score in zip(attribution.tokens or (), attribution.scores, strict=True):
        cover = 0.6 * min(abs(float(score)) / most, 1)
        colour = ",".join(map(str, FOR if score > 0 else AGAINST))
        chips.append(
            '<span style="display:inline-block;text-align:center;margin:0 4px 4px 0">'
            '<span style="display:block;padding:3px 9px;border-radius:5px;'
            "box-shadow:inset 0 0 0 1px rgba(128,128,128,.35);"
            f'background:rgba({colour},{cover:.3f})">'
            f"{html.escape(token)}</span>"
            f'<span style="{SOFT};font-variant-numeric:tabular-nums">{score:+.3g}</span></span>'
        )
    return f'<div style="margin-top:8px">{"".join(chips)}</div>'


def _legend(attribution: Attribution) -> str:
    low, high, _ = ends(attribution.values)
    stops = []
    if low:
        stops.append(f"rgb{AGAINST}")
    stops.append("rgb(200,200,200)")
    if high:
        stops.append(f"rgb{FOR}")
    if len(stops) == 1:
        return ""
    left, right = labels(attribution)
    middle = "<span>0</span>" if low and high else ""
    return (
        '<div style="max-width:532px;margin-top:8px;font-variant-numeric:tabular-nums">'
        '<div role="img" aria-label="colour scale" style="height:8px;border-radius:4px;'
        f'background:linear-gradient(90deg,{",".join(stops)})"></div>'
        f'<div style="display:flex;justify-content:space-between;{SOFT}">'
        f"<span>{html.escape(left)}</span>{middle}<span>{html.escape(right)}</span></div></div>"
    )
