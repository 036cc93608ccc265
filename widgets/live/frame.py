"""All images of a run as one WebP, small enough to be sent many times."""

from __future__ import annotations

import math
from typing import TypedDict

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from lens.widgets.atlas import webp

# Pixels of a side of the whole, which every browser can draw at once; and of an image that is shown
# no larger.
_WHOLE, _LARGEST = 4096, 192


class Frame(TypedDict):
    """Image i lies at column i % columns and row i // columns."""

    image: bytes
    width: int
    height: int
    columns: int
    count: int


def frame(images: UInt8[np.ndarray, "images h w 3"]) -> Frame:
    """Lay images out in a square, scaled down where they are large or many."""
    count, height, width = images.shape[:3]
    columns = math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    scale = min(1.0, _LARGEST / max(height, width), _WHOLE / (columns * max(height, width)))
    size = (max(1, round(scale * width)), max(1, round(scale * height)))
    page = np.full((rows * size[1], columns * size[0], 3), 128, np.uint8)
    for i, image in enumerate(images):
        small = Image.fromarray(image)
        if small.size != size:
            small = small.resize(size, Image.Resampling.LANCZOS)
        y, x = i // columns * size[1], i % columns * size[0]
        page[y : y + size[1], x : x + size[0]] = small
    return Frame(
        image=webp(page, quality=88), width=size[0], height=size[1], columns=columns, count=count
    )
