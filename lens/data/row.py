"""Pictures side by side, each with its label."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from lens.errors import BadInput


def row(
    images: Sequence[Image.Image], labels: Sequence[str], size: int = 112, gap: int = 10
) -> Image.Image:
    """One strip on white: the pictures at `size` px, a label centred below each.

    Raises
    ------
    BadInput
        There are no pictures, or not as many labels as pictures.
    """
    if not images or len(images) != len(labels):
        raise BadInput(f"Each picture needs a label; got {len(images)} and {len(labels)}.")
    font = ImageFont.load_default(13)
    strip = Image.new("RGB", (gap + len(images) * (size + gap), size + 3 * gap + 6), "white")
    pen = ImageDraw.Draw(strip)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        left = gap + i * (size + gap)
        strip.paste(image.convert("RGB").resize((size, size)), (left, gap))
        pen.text((left + size / 2, size + gap + 6), label, "black", font, anchor="ma")
    return strip
