"""Attention as what the explorer's page takes: a byte a weight, one scale a head."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from lens.attribution.scene import icons_of

# The largest side of a small map; what is larger is drawn coarser.
SMALL = 24


def as_bytes(
    values: Float[np.ndarray, "maps height width"],
) -> tuple[UInt8[np.ndarray, "maps height width"], Float[np.ndarray, " maps"]]:
    """Write weights as bytes: ``scale * (byte / 255) ** 2``, the scale a map's largest weight.

    The square spends the bytes on small weights: one large one, as class tokens and registers draw,
    would leave few for all others. Every weight is within 0.4% of its map's largest one, and those
    below a hundredth of it are within 0.04%.
    """
    scales = values.max((1, 2), initial=0).astype(np.float64)
    share = values / np.where(scales > 0, scales, 1)[:, None, None]
    return np.round(255 * np.sqrt(np.clip(share, 0, 1))).astype(np.uint8), scales


def small(
    pattern: Float[np.ndarray, "heads queries keys"], query: dict[str, Any], key: dict[str, Any]
) -> dict[str, Any]:
    """Draw each head as an icon, no larger than `SMALL`; see `lens.attribution.scene.icons_of`."""
    icons = coarse(icons_of(pattern, query, key))
    values, _ = as_bytes(icons)
    return {"height": icons.shape[1], "width": icons.shape[2], "values": values.tobytes()}


def coarse(
    icons: Float[np.ndarray, "maps height width"], side: int = SMALL
) -> Float[np.ndarray, "maps rows columns"]:
    """Take the largest weight of each block where a map has more than `side` rows or columns."""
    for axis in (1, 2):
        length = icons.shape[axis]
        if length > side:
            starts = np.linspace(0, length, side, endpoint=False).astype(int)
            icons = np.maximum.reduceat(icons, starts, axis=axis)
    return icons


def layer_maps(
    key: str,
    pattern: Float[np.ndarray, "heads queries keys"],
    queries: dict[str, Any],
    keys: dict[str, Any],
) -> dict[str, Any]:
    """Give all heads of one layer as the page takes them."""
    values, scales = as_bytes(pattern)
    return {
        "key": key,
        "heads": len(pattern),
        "queries": queries,
        "keys": keys,
        "same": queries is keys,
        "scales": [float(f"{scale:.7g}") for scale in scales],
        "values": values.tobytes(),
    }
