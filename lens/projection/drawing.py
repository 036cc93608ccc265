"""A sheet of dots and words, written as SVG, PDF or PNG; the same bytes every time."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from xml.sax.saxutils import escape

__all__ = ["Dot", "Sheet", "Word", "pdf", "png", "svg"]

# What XML 1.0 cannot hold.
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
SHARPNESS = 4  # pixels of a PNG's drawing for each pixel kept, in both directions
# How far a Bezier curve's handles reach to draw a quarter of a circle.
ROUND = 0.5522847498


@dataclass(frozen=True)
class Dot:
    """A filled circle, in points from the upper left."""

    x: float
    y: float
    radius: float
    colour: str
    opacity: float = 1.0


@dataclass(frozen=True)
class Word:
    """A line of text that begins at x, its baseline at y."""

    x: float
    y: float
    text: str
    size: float
    colour: str = "#16181d"
    bold: bool = False


@dataclass(frozen=True)
class Sheet:
    """What is drawn, in order, on white paper of a size in points."""

    width: float
    height: float
    dots: Sequence[Dot]
    words: Sequence[Word]
    title: str = ""


def svg(sheet: Sheet) -> bytes:
    """Write a sheet as SVG 1.1; text stays text."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{sheet.width:g}" '
        f'height="{sheet.height:g}" viewBox="0 0 {sheet.width:g} {sheet.height:g}">',
        f"<title>{_plain(sheet.title)}</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for dot in sheet.dots:
        clear = f' fill-opacity="{dot.opacity:g}"' if dot.opacity < 1 else ""
        lines.append(
            f'<circle cx="{dot.x:.2f}" cy="{dot.y:.2f}" r="{dot.radius:g}" '
            f'fill="{dot.colour}"{clear}/>'
        )
    for word in sheet.words:
        weight = ' font-weight="600"' if word.bold else ""
        lines.append(
            f'<text x="{word.x:.2f}" y="{word.y:.2f}" font-size="{word.size:g}" '
            f'font-family="Helvetica, Arial, sans-serif" fill="{word.colour}"{weight}>'
            f"{_plain(word.text)}</text>"
        )
    return "\n".join([*lines, "</svg>", ""]).encode("utf-8", "replace")


def png(sheet: Sheet, scale: float = 2.0) -> bytes:
    """Draw a sheet as PNG, `scale` pixels a point."""
    from PIL import Image, ImageDraw, ImageFont

    size = round(sheet.width * scale), round(sheet.height * scale)
    fine = scale * SHARPNESS
    image = Image.new("RGB", (size[0] * SHARPNESS, size[1] * SHARPNESS), "white")
    pen = ImageDraw.Draw(image, "RGBA")
    for dot in sheet.dots:
        red, green, blue = _rgb(dot.colour)
        x, y, r = dot.x * fine, dot.y * fine, dot.radius * fine
        pen.ellipse((x - r, y - r, x + r, y + r), (red, green, blue, round(255 * dot.opacity)))
    image = image.resize(size, Image.Resampling.BOX)
    pen = ImageDraw.Draw(image)
    for word in sheet.words:
        font = ImageFont.load_default(word.size * scale)
        place = (word.x * scale, word.y * scale)
        pen.text(
            place,
            UNWRITABLE.sub("", word.text),
            _rgb(word.colour),
            font,
            anchor="ls",
            stroke_width=0.35 * scale if word.bold else 0,
        )
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def pdf(sheet: Sheet) -> bytes:
    """Write a sheet as a PDF page with vector dots, and text in Helvetica.

    Helvetica has the letters of western Europe; others become question marks.
    """
    opacities = sorted({dot.opacity for dot in sheet.dots})
    draw = []
    for dot in sheet.dots:
        red, green, blue = (value / 255 for value in _rgb(dot.colour))
        r = dot.radius
        draw.append(
            f"q /O{opacities.index(dot.opacity)} gs {red:.3f} {green:.3f} {blue:.3f} rg "
            f"{r:g} 0 0 {r:g} {dot.x:.2f} {sheet.height - dot.y:.2f} cm /Dot Do Q"
        )
    for word in sheet.words:
        red, green, blue = (value / 255 for value in _rgb(word.colour))
        text = word.text.encode("cp1252", "replace").decode("latin-1")
        text = "".join(c if " " <= c else " " for c in text)
        text = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        draw.append(
            f"BT /{'Bold' if word.bold else 'Plain'} {word.size:g} Tf {red:.3f} {green:.3f} "
            f"{blue:.3f} rg {word.x:.2f} {sheet.height - word.y:.2f} Td ({text}) Tj ET"
        )
    k = ROUND
    circle = (
        f"1 0 m 1 {k} {k} 1 0 1 c {-k} 1 -1 {k} -1 0 c -1 {-k} {-k} -1 0 -1 c {k} -1 1 {-k} 1 0 c f"
    )
    states = " ".join(f"/O{i} << /ca {value:g} >>" for i, value in enumerate(opacities))
    fonts = " ".join(
        f"/{name} << /Type /Font /Subtype /Type1 /BaseFont /{base} /Encoding /WinAnsiEncoding >>"
        for name, base in (("Plain", "Helvetica"), ("Bold", "Helvetica-Bold"))
    )
    return _document(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {sheet.width:g} {sheet.height:g}] "
            f"/Contents 4 0 R /Resources << /Font << {fonts} >> /ExtGState << {states} >> "
            f"/XObject << /Dot 5 0 R >> >> >>".encode(),
            _stream("\n".join(draw), ""),
            _stream(circle, "/Type /XObject /Subtype /Form /BBox [-1 -1 1 1]"),
        ]
    )


def _stream(text: str, entries: str) -> bytes:
    packed = zlib.compress(text.encode("latin-1"))
    head = f"<< {entries} /Length {len(packed)} /Filter /FlateDecode >>\nstream\n"
    return head.encode() + packed + b"\nendstream"


def _document(objects: Sequence[bytes]) -> bytes:
    """Number the objects and tell where each begins (ISO 32000-1, section 7.5)."""
    out = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    begins = []
    for number, body in enumerate(objects, 1):
        begins.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = "".join(f"{begin:010} 00000 n \n" for begin in begins)
    size = len(objects) + 1
    return (
        out
        + f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n"
        f"<< /Size {size} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n".encode()
    )


def _plain(text: str) -> str:
    return escape(UNWRITABLE.sub("", text))


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue
