"""The style sheet of a view: what all of them share, and its own."""

from __future__ import annotations

from pathlib import Path

THEME = Path(__file__).with_name("theme.css").read_text(encoding="utf-8")


def styles(path: Path) -> str:
    """Read a view's style sheet, with the theme before it.

    A view names colours, sizes and spaces by the theme's custom properties, and gives its outermost
    element the class ``lens``.
    """
    return f"{THEME}\n{path.read_text(encoding='utf-8')}"


def together(sheets: list[str]) -> str:
    """Join the style sheets of several views: each once, and the theme once."""
    own = dict.fromkeys(sheet.removeprefix(THEME) for sheet in sheets)
    return "\n".join([THEME, *own])
