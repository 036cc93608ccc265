"""SVG, PDF and PNG of a drawing: faces inside, no dates, no ids by chance."""

from __future__ import annotations

import base64
import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from lens.figures.paper import clean
from lens.figures.style import FACES, FALLBACK, FAMILY, house_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

__all__ = ["pdf", "png", "svg"]

_TEXT = "{http://www.w3.org/2000/svg}text"
_BOLD = re.compile(r"font:[^;]*\b(?:bold|700)\b|font-weight:\s*(?:bold|700)")
_STYLE = '<style type="text/css">'


def svg(drawing: Drawing, title: str) -> bytes:
    """The drawing as SVG: text as text, with the characters of its faces embedded."""
    about = {"Date": None, "Creator": "lens", "Title": clean(title)}
    plain = _written(drawing, "svg", metadata=about).decode()
    faces = "".join(_faces(plain))
    if _STYLE not in plain:
        raise RuntimeError("matplotlib's SVG has no style sheet to put the faces into.")
    # To a screen reader it is one picture, called by its <title>.
    named = plain.replace("<svg ", '<svg role="img" ', 1)
    return named.replace(_STYLE, _STYLE + faces, 1).encode()


def pdf(drawing: Drawing, title: str) -> bytes:
    """The drawing as a page of PDF, TrueType faces embedded in part."""
    about = {"CreationDate": None, "Creator": "lens", "Producer": "lens", "Title": clean(title)}
    return _written(drawing, "pdf", metadata=about)


def png(drawing: Drawing, dpi: int) -> bytes:
    """The drawing as pixels."""
    return _written(drawing, "png", dpi=dpi, metadata={"Software": "lens"})


def _written(drawing: Drawing, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    with house_style(), _quiet():
        drawing.savefig(buffer, format=kind, **options)
    return buffer.getvalue()


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what fontTools tells of every table that a subset drops."""
    log = logging.getLogger("fontTools.subset")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _faces(plain: str) -> Iterator[str]:
    """A style rule a face, with no more characters than the drawing has."""
    used: dict[int, set[str]] = {400: set(), 700: set()}
    for element in ElementTree.fromstring(plain).iter(_TEXT):
        weight = 700 if _BOLD.search(element.get("style", "")) else 400
        used[weight].update("".join(element.itertext()))
    for weight, characters in used.items():
        if not characters:
            continue
        path = FACES / f"lens-sans-{weight}.ttf"
        missing = characters - _characters(path)
        yield _rule(FAMILY, weight, path, characters - missing)
        if missing:
            yield _rule(FALLBACK, weight, _fallback(weight), missing)


def _rule(family: str, weight: int, path: Path, characters: set[str]) -> str:
    face = base64.b64encode(_subset(path, characters)).decode()
    return (
        f"@font-face{{font-family:'{family}';font-weight:{weight};"
        f"src:url(data:font/woff;base64,{face}) format('woff')}}"
    )


def _subset(path: Path, characters: set[str]) -> bytes:
    from fontTools import subset

    options = subset.Options(flavor="woff", recalc_timestamp=False, notdef_outline=True)
    with _quiet():
        font = subset.load_font(path, options)
        chosen = subset.Subsetter(options)
        chosen.populate(text="".join(sorted(characters)))
        chosen.subset(font)
        buffer = io.BytesIO()
        subset.save_font(font, buffer, options)
    return buffer.getvalue()


def _characters(path: Path) -> set[str]:
    from fontTools.ttLib import TTFont

    with TTFont(path, lazy=True) as font:
        return {chr(code) for code in font.getBestCmap()}


def _fallback(weight: int) -> Path:
    from matplotlib.font_manager import FontProperties, findfont

    return Path(findfont(FontProperties(family=[FALLBACK], weight=weight)))
