"""A figure as a value: its drawing, the numbers in it, and files that are the same every time."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lens.errors import BadInput
from lens.figures import files

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Drawing

__all__ = ["Figure"]


@dataclass(frozen=True, eq=False, repr=False)
class Figure:
    """A figure of a report.

    Attributes
    ----------
    title
        What it shows, in words: its text where it can't be seen.
    frame
        The numbers that are drawn.
    drawing
        The matplotlib figure, for those who want to change one thing before they save.
    """

    title: str
    frame: pd.DataFrame
    drawing: Drawing

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in mm."""
        width, height = self.drawing.get_size_inches() * 25.4
        return float(width), float(height)

    @cached_property
    def svg(self) -> str:
        """The figure as SVG, its faces inside."""
        return files.svg(self.drawing, self.title).decode()

    def save(self, path: str | Path, dpi: int = 300) -> Path:
        """Write the figure; the same figure gives the same bytes.

        Parameters
        ----------
        path
            Ends in .svg or .pdf (vectors, with the faces inside), or in .png.
        dpi
            Pixels an inch of a PNG.

        Raises
        ------
        BadInput
            Where the name ends in something else, its folder doesn't exist, or ``dpi`` isn't from
            50 to 1,200.
        """
        path = Path(path)
        kind = path.suffix.lower().lstrip(".")
        if kind not in ("svg", "pdf", "png"):
            raise BadInput(f"{path.name!r} should end in .svg, .pdf or .png, as a figure is saved.")
        if not path.parent.is_dir():
            raise BadInput(f"There is no folder {str(path.parent)!r} to save {path.name!r} in.")
        if not 50 <= dpi <= 1200:
            raise BadInput(f"A PNG has 50 to 1200 dots an inch, not {dpi}.")
        if kind == "svg":
            content = files.svg(self.drawing, self.title)
        elif kind == "pdf":
            content = files.pdf(self.drawing, self.title)
        else:
            content = files.png(self.drawing, dpi)
        path.write_bytes(content)
        return path

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        # As an image: its faces stay its own, and nothing in it is ever more than a picture.
        source = base64.b64encode(self.svg.encode()).decode()
        return (
            f'<img src="data:image/svg+xml;base64,{source}" alt="{html.escape(self.title)}" '
            f'style="width:{self.size[0] * 1.35:.0f}mm;max-width:100%;background:white">'
        )

    def __repr__(self) -> str:
        width, height = self.size
        return f"Figure: {self.title} ({width:.0f} x {height:.0f} mm)"
