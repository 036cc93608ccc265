"""Written words: any text, drawn in the fonts that ship with the package."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from lens.errors import BadInput, nearest

FONTS = Path(__file__).parent / "fonts"

# Faces whose words no embedded model has seen in training: a sans, a serif, a typewriter, a hand.
HELD_OUT = ("lato-700", "merriweather-700", "inconsolata-700", "patrick-hand-400")

CASES = {"lower": str.lower, "upper": str.upper, "title": str.title}


@cache
def fonts(held_out: bool | None = None) -> tuple[str, ...]:
    """Names of the fonts: all (None), those kept out of training, or those used in it."""
    names = sorted(path.stem for path in FONTS.glob("*.woff2"))
    if held_out is None:
        return tuple(names)
    return tuple(name for name in names if (name in HELD_OUT) == held_out)


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    if name not in fonts():
        close = ", ".join(nearest(name, fonts()))
        raise BadInput(f"There is no font {name!r}; the nearest are: {close}.")
    return ImageFont.truetype(FONTS / f"{name}.woff2", size)


def mask(
    text: str, font: str = "open-sans-700", width: int = 128, height: int = 64
) -> UInt8[np.ndarray, "height width"]:
    """Coverage of a line of text, as large as the box allows, centred.

    Parameters
    ----------
    text : one line; raises `BadInput` where it is blank.
    font : one of `fonts()`.
    width, height : pixels of the box.

    Returns
    -------
    uint8 array of shape (height, width); 255 is ink.
    """
    if not text.strip():
        raise BadInput("A blank text can't be drawn; give at least one letter.")
    # Glyph outlines scale linearly, so one measurement finds the size that fills the box.
    trial = 64
    left, top, right, bottom = _font(font, trial).getbbox(text)
    scale = min((width - 4) / (right - left), (height - 4) / (bottom - top))
    face = _font(font, max(6, int(trial * scale)))
    canvas = Image.new("L", (width, height))
    left, top, right, bottom = face.getbbox(text)
    place = ((width - right - left) / 2, (height - bottom - top) / 2)
    ImageDraw.Draw(canvas).text(place, text, fill=255, font=face)
    return np.asarray(canvas)


def write(
    text: str,
    font: str = "open-sans-700",
    size: int = 128,
    color: tuple[int, int, int] = (0, 0, 0),
) -> Image.Image:
    """A transparent square picture of a written text.

    Parameters
    ----------
    size : side of the square in pixels.
    color : RGB, 0 to 255.
    """
    ink = mask(text, font, width=size, height=size // 2)
    picture = np.zeros((size, size, 4), np.uint8)
    picture[..., :3] = color
    picture[size // 4 : size // 4 + size // 2, :, 3] = ink
    return Image.fromarray(picture)
