"""Images in a grid, each with a few short lines below it, and a grid in a notebook."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

_SIZE, _LINE, _GAP, _NARROWEST = 10, 13, 6, 96


def grid(
    images: Sequence[UInt8[np.ndarray, "h w 3"]],
    captions: Sequence[Sequence[str]],
    columns: int = 8,
) -> Image.Image:
    """A white page of images of one size; the first line of a caption is black, the others grey."""
    columns = max(1, min(columns, len(images)))
    height, width = images[0].shape[:2]
    lines = max(len(caption) for caption in captions)
    step_x, step_y = max(width, _NARROWEST) + _GAP, height + lines * _LINE + _GAP
    rows = -(-len(images) // columns)
    page = Image.new("RGB", (columns * step_x + _GAP, rows * step_y + _GAP), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(_SIZE)
    for i, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = _GAP + (i % columns) * step_x, _GAP + (i // columns) * step_y
        page.paste(Image.fromarray(image), (x, y))
        for number, line in enumerate(caption):
            place = (x, y + height + 1 + number * _LINE)
            pen.text(place, line, fill="#555" if number else "black", font=font)
    return page


def png(page: Image.Image) -> bytes:
    """The file's bytes."""
    buffer = io.BytesIO()
    page.save(buffer, "PNG")
    return buffer.getvalue()


def figure(page: Image.Image, title: str, below: str = "") -> str:
    """HTML of a page with its title above; ``below`` is HTML already."""
    picture, safe = base64.b64encode(png(page)).decode(), html.escape(title)
    return (
        f'<div><p>{safe}</p><img alt="{safe}" style="max-width:100%" '
        f'src="data:image/png;base64,{picture}">{below}</div>'
    )
