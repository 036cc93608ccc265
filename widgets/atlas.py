"""Many small images as one WebP: what a view sends to its page."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TypedDict

import numpy as np
from jaxtyping import UInt8
from PIL import Image


class Atlas(TypedDict):
    """Tile i lies at column i % columns and row i // columns."""

    image: bytes
    tile: int
    columns: int


def webp(pixels: UInt8[np.ndarray, "height width 3"], quality: int = 85) -> bytes:
    """Encode one image as WebP."""
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8)).save(
        file, "WEBP", quality=quality, method=4
    )
    return file.getvalue()


def atlas(
    images: Sequence[UInt8[np.ndarray, "height width 3"]], tile: int = 96, columns: int = 8
) -> Atlas:
    """Pack images into one WebP, each scaled to a square tile.

    Parameters
    ----------
    images
        uint8 RGB, of any sizes.
    tile
        Side of a tile in pixels.
    columns
        Tiles in a row. A page of WebP ends at 16,383 pixels; keep rows x tile below 4,096, which
        every browser can draw at once.
    """
    rows = max(1, -(-len(images) // columns))
    sheet = Image.new("RGB", (tile * columns, tile * rows), (128, 128, 128))
    for i, pixels in enumerate(images):
        image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8)).convert("RGB")
        if image.size != (tile, tile):
            image = image.resize((tile, tile), Image.Resampling.LANCZOS)
        sheet.paste(image, (tile * (i % columns), tile * (i // columns)))
    return Atlas(image=webp(np.asarray(sheet)), tile=tile, columns=columns)


class Sheets(TypedDict):
    """Tile i lies on sheet i // page, at place i % page of it as in an `Atlas`."""

    sheets: list[bytes]
    tile: int
    columns: int
    page: int


def sheets(images: Sequence[UInt8[np.ndarray, "height width 3"]], tile: int = 48) -> Sheets:
    """Pack any number of images into atlases of at most 2,048 pixels a side.

    Parameters
    ----------
    images
        uint8 RGB, of any sizes; no images give no sheet.
    tile
        Side of a tile in pixels.
    """
    columns = max(1, 2048 // tile)
    page = columns**2
    starts = range(0, len(images), page)
    made = [atlas(images[start : start + page], tile, columns)["image"] for start in starts]
    return Sheets(sheets=made, tile=tile, columns=columns, page=page)
