"""The diverging colours, and the picture under them.

Red and blue of about the same lightness are told apart by every common kind of colour vision.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from lens.errors import BadInput

__all__ = ["AGAINST", "FOR", "coloured", "overlay", "strength"]

FOR = (202, 0, 32)
AGAINST = (5, 113, 176)
# Few pixels carry most of a gradient; the strongest half per cent share the strongest colour.
CLIPPED = 99.5


def strength(values: Float[np.ndarray, "*axes"]) -> float:
    """The number that gets the strongest colour, about the largest in size; 0 if all are."""
    size = np.abs(values[np.isfinite(values)])
    if not size.size:
        return 0.0
    if size.size < 1000:
        return float(size.max())
    return float(np.percentile(size, CLIPPED)) or float(size.max())


def overlay(
    heat: Float[np.ndarray, "height width"],
    picture: UInt8[np.ndarray, "height width 3"],
    alpha: float = 0.85,
) -> Image.Image:
    """Colour a picture by its heat, on its own grey so that its colours do not mix in."""
    if not 0 <= alpha <= 1:
        raise BadInput(f"alpha is between 0 and 1, not {alpha!r}.")
    grey = picture.astype(np.float64) @ (0.299, 0.587, 0.114)
    # Neither black nor white, so that both colours stand out everywhere.
    ground = np.repeat((70 + grey * (185 / 255))[..., None], 3, axis=2)
    return Image.fromarray(coloured(heat, strength(heat), ground, alpha))


def coloured(
    values: Float[np.ndarray, "height width"],
    most: float,
    ground: Float[np.ndarray, "height width 3"],
    alpha: float,
) -> UInt8[np.ndarray, "height width 3"]:
    """Blend red (positive) or blue (negative) over a ground, by size up to `most`."""
    share = np.clip(np.nan_to_num(values) / (most or 1.0), -1, 1)[..., None]
    colour = np.where(share > 0, np.array(FOR), np.array(AGAINST))
    cover = alpha * np.abs(share)
    return np.round(ground * (1 - cover) + colour * cover).clip(0, 255).astype(np.uint8)
