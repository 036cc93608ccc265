"""Style sheet and scripts of the web site; its colours are those of the views in notebooks."""

from __future__ import annotations

import re
from pathlib import Path

from lens.widgets.theme import THEME

SCRIPTS = ("microscope.js", "unit.js", "site.js", "search.js", "compare.js")
STYLE = "microscope.css"

# A theme's colour: --name: value; what JupyterLab would say in its place is left to JupyterLab.
_COLOUR = re.compile(r"^\s*(--[\w-]+):\s*(.*?light-dark\(.*);\s*$", re.MULTILINE)
_HOST = re.compile(r"^var\(--jp-[\w-]+,\s*(.*)\)$")


def assets() -> dict[str, str]:
    """Give the files of the folder ``assets``, by name."""
    here = Path(__file__).parent
    found = {name: (here / name).read_text(encoding="utf-8") for name in SCRIPTS}
    found[STYLE] = f"{colours()}\n{(here / STYLE).read_text(encoding='utf-8')}"
    return found


def colours() -> str:
    """Write the theme's colours, for light and for dark, as a page without a notebook has them."""
    rows = [f"  {name}: {_own(value)};" for name, value in _COLOUR.findall(THEME)]
    return "\n".join([":root {", "  color-scheme: light dark;", *rows, "}"])


def _own(value: str) -> str:
    within = _HOST.match(value)
    return within[1] if within else value
