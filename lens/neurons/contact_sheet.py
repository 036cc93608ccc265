"""Many units on one sheet: what each wants beside what really excites it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from lens.data.words import FONTS
from lens.neurons.examples import Example, show, top_rows
from lens.neurons.responses import Responses

INK, GREY, LINE, PAPER, CARD = "#111827", "#6b7280", "#e2e5ea", "#f6f7f9", "#ffffff"
WANTED, SHOWN, GAP, MARGIN = 152, 92, 10, 16
WIDTH = WANTED + 3 * (SHOWN + GAP) + 2 * MARGIN
HEIGHT = WANTED + 34 + 2 * MARGIN
COLUMNS = 3


def contact_sheet(
    measured: Responses,
    rows: pd.DataFrame,
    wanted: UInt8[np.ndarray, "units size size 3"],
    title: str,
    subtitle: str,
) -> Image.Image:
    """Draw units as cards: a synthetic image beside the best picture, drawing and written word.

    Parameters
    ----------
    measured
        The responses of the units' site.
    rows
        Rows of `lens.multimodal`'s table, one a unit, in the order in which they are shown.
    wanted
        The units' feature visualizations, in the same order.
    title, subtitle
        One line each.
    """
    lines = -(-len(rows) // COLUMNS)
    width = COLUMNS * WIDTH + (COLUMNS + 1) * MARGIN
    top = 96
    sheet = Image.new("RGB", (width, top + lines * (HEIGHT + MARGIN)), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN + 4, 18), title, INK, _font(700, 27))
    pen.text((MARGIN + 4, 57), subtitle, GREY, _font(400, 16))
    for i, (row, image) in enumerate(zip(rows.to_dict("records"), wanted, strict=True)):
        line, column = divmod(i, COLUMNS)
        place = (MARGIN + column * (WIDTH + MARGIN), top + line * (HEIGHT + MARGIN))
        sheet.paste(_card(measured, row, image), place)
    return sheet


def kinds(renderings: Sequence[str]) -> dict[str, list[str]]:
    """Sort renderings into pictures, drawings and words; kinds that are not there are left out."""
    found: dict[str, list[str]] = {"picture": [], "drawing": [], "word": []}
    for rendering in renderings:
        found[rendering if rendering in ("drawing", "word") else "picture"].append(rendering)
    return {kind: names for kind, names in found.items() if names}


def _card(measured: Responses, row: dict, wanted: np.ndarray) -> Image.Image:
    """Draw one unit."""
    card = Image.new("RGB", (WIDTH, HEIGHT), CARD)
    pen = ImageDraw.Draw(card)
    pen.rectangle((0, 0, WIDTH - 1, HEIGHT - 1), outline=LINE)
    pen.text((MARGIN, MARGIN + 16), str(row["concept"]), INK, _font(700, 20), anchor="ls")
    q = f"{row['q']:.2f}" if row["q"] >= 0.005 else f"{row['q']:.0e}"
    said = f"unit {row['unit']}    score {_short(row['score'])}    q {q}"
    pen.text((WIDTH - MARGIN, MARGIN + 16), said, GREY, _font(400, 14), anchor="rs")

    top = MARGIN + 34
    card.paste(_resized(wanted, WANTED), (MARGIN, top))
    every = kinds([name.removeprefix("auroc_") for name in row if name.startswith("auroc_")])
    for i, (kind, renderings) in enumerate(every.items()):
        left = MARGIN + WANTED + GAP + i * (SHOWN + GAP)
        example = _best(measured, int(row["unit"]), renderings)
        card.paste(_resized(example.image, SHOWN), (left, top))
        area = min(row[f"auroc_{name}"] for name in renderings)
        pen.text((left, top + SHOWN + 6), kind, GREY, _font(400, 14))
        right = left + SHOWN - 1
        pen.text((right, top + SHOWN + 6), _short(area), INK, _font(700, 14), anchor="ra")
        # How far above chance: an empty bar is 0.5, a full one is 1.
        bar = top + SHOWN + 30
        pen.rectangle((left, bar, right, bar + 3), fill=LINE)
        pen.rectangle((left, bar, left + max(2 * area - 1, 0) * (SHOWN - 1), bar + 3), fill=INK)
        if example.concept != row["concept"]:  # the best stimulus shows something else: say so
            pen.text((left, bar + 8), f"({example.concept})", GREY, _font(400, 12))
    return card


def _best(measured: Responses, unit: int, renderings: list[str]) -> Example:
    within = measured.table["rendering"].isin(renderings).to_numpy()
    return show(measured, unit, top_rows(measured, unit, 1, within=within))[0]


def _short(share: float) -> str:
    """Two digits; never a rounded-up 1."""
    if share == 1:
        return "1"
    text = f"{share:.2f}"
    return text if not text.startswith("1") else ">.99"


def _resized(image: np.ndarray, size: int) -> Image.Image:
    return Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS)


@cache
def _font(weight: int, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONTS / f"open-sans-{weight}.woff2", size)
