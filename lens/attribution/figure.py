"""An attribution as one picture file, with its legend and its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lens.attribution.overlay import coloured, strength
from lens.attribution.page import ends, labels, readable_size

if TYPE_CHECKING:
    from lens.attribution.result import Attribution

__all__ = ["figure"]

SIDE, GAP, BAR = 384, 16, 12
INK, SOFT = (22, 24, 29), (92, 99, 112)


def figure(attribution: Attribution) -> Image.Image:
    """Draw picture and overlay side by side, or the tokens of a text, above a legend."""
    body = _tokens(attribution) if attribution.heat is None else _pictures(attribution)
    title, small = ImageFont.load_default(19), ImageFont.load_default(13)
    width = max(body.width, 2 * SIDE + GAP) + 2 * GAP
    above = [
        *((line, title, INK) for line in _wrapped(attribution.target, title, width - 2 * GAP)),
        *(
            (line, small, SOFT)
            for line in _wrapped(
                f"{attribution.method}{attribution._at}, {attribution.model}",
                small,
                width - 2 * GAP,
            )
        ),
    ]
    below = _wrapped(attribution._numbers, small, width - 2 * GAP)
    head = sum(_line(font) for _, font, _ in above)
    height = GAP + head + 10 + body.height + 14 + BAR + _line(small) * (1 + len(below)) + 2 * GAP
    paper = Image.new("RGB", (width, height), "white")
    pen, y = ImageDraw.Draw(paper), GAP
    for line, font, ink in above:
        pen.text((GAP, y), line, fill=ink, font=font)
        y += _line(font)
    paper.paste(body, (GAP, y + 10))
    y += 10 + body.height + 14
    _legend(paper, attribution, y, width - 2 * GAP, small)
    y += BAR + _line(small) + 12
    for line in below:
        pen.text((GAP, y), line, fill=SOFT, font=small)
        y += _line(small)
    return paper


def _pictures(attribution: Attribution) -> Image.Image:
    assert attribution.picture is not None
    plain = Image.fromarray(attribution.picture)
    size = readable_size(*plain.size, SIDE)
    body = Image.new("RGB", (2 * size[0] + GAP, size[1]), "white")
    body.paste(plain.resize(size, Image.Resampling.BICUBIC), (0, 0))
    # Pixels stay pixels: what is smooth has been made so already.
    body.paste(attribution.overlay().resize(size, Image.Resampling.NEAREST), (size[0] + GAP, 0))
    pen = ImageDraw.Draw(body)  # a white picture needs an edge on white paper
    for left in (0, size[0] + GAP):
        pen.rectangle((left, 0, left + size[0] - 1, size[1] - 1), outline=(204, 208, 214))
    return body


def _tokens(attribution: Attribution) -> Image.Image:
    assert attribution.scores is not None
    word, number = ImageFont.load_default(18), ImageFont.load_default(12)
    most = strength(attribution.scores)
    boxes, x, y, limit = [], 0, 0, 2 * SIDE + GAP
    for token, score in zip(attribution.tokens or (), attribution.scores, strict=True):
        value = f"{score:+.3g}"
        width = int(max(word.getlength(token) + 20, number.getlength(value))) + 2
        if x and x + width > limit:
            x, y = 0, y + 56
        boxes.append((x, y, width, token, value, float(score)))
        x += width + 6
    right = max((x + width for x, _, width, *_ in boxes), default=1)
    body = Image.new("RGB", (right, y + 50), "white")
    pen = ImageDraw.Draw(body)
    for x, y, width, token, value, score in boxes:
        pixel = coloured(np.array([[score]]), most, np.full((1, 1, 3), 244.0), 0.6)[0, 0]
        pen.rounded_rectangle((x, y, x + width - 1, y + 29), 5, fill=tuple(map(int, pixel)))
        pen.text((x + width / 2, y + 15), token, fill=INK, font=word, anchor="mm")
        pen.text((x + width / 2, y + 40), value, fill=SOFT, font=number, anchor="mm")
    return body


def _legend(paper: Image.Image, attribution: Attribution, y: int, width: int, font: Any) -> None:
    low, high, _ = ends(attribution.values)
    ramp = np.linspace(low, high, width)[None].repeat(BAR, 0)
    bar = coloured(ramp, strength(attribution.values), np.full((BAR, width, 3), 200.0), 1.0)
    paper.paste(Image.fromarray(bar), (GAP, y))
    pen, line = ImageDraw.Draw(paper), y + BAR + 4
    left, right = labels(attribution)
    pen.text((GAP, line), left, fill=SOFT, font=font)
    pen.text((GAP + width, line), right, fill=SOFT, font=font, anchor="ra")
    if low and high:
        pen.text((GAP + width / 2, line), "0", fill=SOFT, font=font, anchor="ma")


def _wrapped(text: str, font: Any, width: int) -> list[str]:
    """Break a text into lines that fit; a word that does not fit is cut."""
    lines, line = [], ""
    for word in text.split():
        while font.getlength(word) > width:
            word = word[:-2] + "…"
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]


def _line(font: Any) -> int:
    return int(font.size * 1.4)
