"""The house style: widths, faces, colours; nothing of a user's own matplotlib settings matters."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

from lens.errors import BadInput

__all__ = [
    "BODY",
    "CATEGORIES",
    "GREY",
    "INK",
    "LINE",
    "MARKERS",
    "OTHER",
    "SMALL",
    "TITLE",
    "WIDTHS",
    "Width",
    "house_style",
    "millimetres",
]

Width = Literal["single", "double"]

#: Columns of most journals, in mm.
WIDTHS: dict[str, float] = {"single": 85.0, "double": 178.0}
#: Sizes of type in pt; nothing is smaller than `SMALL`.
TITLE, BODY, SMALL = 9.0, 7.0, 6.0
INK, GREY, LINE = "#16181d", "#5c6370", "#c9ced6"
#: Okabe and Ito's colours (2008), told apart by every common kind of colour vision.
CATEGORIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
OTHER = "#b6bcc6"
#: The same categories without any colour.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

FACES = Path(__file__).parent / "fonts"
FAMILY, FALLBACK = "Lens Sans", "DejaVu Sans"

_SETTINGS: dict[str, Any] = {
    "font.family": [FAMILY, FALLBACK],
    "font.size": BODY,
    "text.color": INK,
    "text.parse_math": False,  # names are text, dollars and all
    "text.usetex": False,
    "axes.labelsize": BODY,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 2.0,
    "ytick.major.size": 2.0,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
    "image.interpolation": "none",  # pictures are embedded as the pixels that they are
    "image.composite_image": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # text stays text; its faces are put in afterwards
    "svg.hashsalt": "lens",
    "svg.image_inline": True,
    "pdf.fonttype": 42,
    "pdf.compression": 6,
    "path.simplify": False,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house style; the user's own settings come back afterwards."""
    import matplotlib

    _add_faces()
    with matplotlib.rc_context(), warnings.catch_warnings():
        # A character that no face has is drawn as a box; that need not be said every time.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()
        for name, value in _SETTINGS.items():
            matplotlib.rcParams[name] = value  # type: ignore[index]
        yield


def millimetres(width: Width | float) -> float:
    """Give the width of a figure in mm.

    Raises
    ------
    BadInput
        For anything but "single", "double" or a number of mm from 60 to 400.
    """
    if isinstance(width, str):
        if width not in WIDTHS:
            raise BadInput(f'A figure\'s width is "single", "double" or in mm, not {width!r}.')
        return WIDTHS[width]
    if not 60 <= width <= 400:
        raise BadInput(f"A figure is between 60 and 400 mm wide, not {width:g}.")
    return float(width)


@cache
def _add_faces() -> None:
    from matplotlib import font_manager

    for path in sorted(FACES.glob("*.ttf")):
        font_manager.fontManager.addfont(path)
