"""The result: every facet of every unit side by side, with what it reached and looks like."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont

from lens.data.words import FONTS
from lens.errors import BadInput, nearest
from lens.featurevis import files
from lens.featurevis.faceted.probes import Probe
from lens.featurevis.objectives.facets import UNGUIDED
from lens.featurevis.objectives.formula import Term
from lens.featurevis.visualization import Visualization

INK, GREY, LINE, PAPER, CARD = "#111827", "#6b7280", "#e2e5ea", "#f6f7f9", "#ffffff"
_CELL, _GAP, _MARGIN, _BAR = 128, 8, 16, 3
_SHOWN_IN_HTML = 24


@dataclass(frozen=True, eq=False, repr=False)
class Facets:
    """Units seen by way of every facet.

    Attributes
    ----------
    visualization
        The images, unit by unit: unguided, then every facet in every strength.
    looks
        (images, facets): what the probes that guided say each image looks like. They are no
        independent judges; `lens.featurevis.faceted.probes.train` on other stimuli makes one.
    probes
        What guided, and how well it tells facets apart.
    """

    visualization: Visualization
    looks: Float[np.ndarray, "images facets"]
    probes: tuple[Probe, ...]

    @property
    def recipe(self) -> dict[str, Any]:
        """JSON-able, with the probes; ``lens.featurevis.facets_again(recipe)``."""
        return self.visualization.recipe

    @property
    def facets(self) -> tuple[str, ...]:
        """Their names."""
        return self.probes[0].facets

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row an image.

        ``unit`` and its ``site``; ``facet`` and ``strength``; the ``activation`` that it reached
        (V of the facet objective) and the ``share`` of what the unguided image reached; and
        ``looks_<facet>``, what the probes say.
        """
        rows = []
        for term, value in zip(self._terms, self.visualization.values, strict=True):
            name, said = term.label.split(", ")[0], term.data
            rows.append((name, said["of"], said["facet"], said["strength"], value))
        table = pd.DataFrame(rows, columns=["unit", "site", "facet", "strength", "activation"])
        free = table[table["facet"] == UNGUIDED].set_index(["unit", "site"])["activation"]
        free = free[~free.index.duplicated()]
        pairs = table[["unit", "site"]].to_numpy()
        alone = [free.get((unit, site), np.nan) for unit, site in pairs]
        with np.errstate(divide="ignore", invalid="ignore"):
            table["share"] = table["activation"].to_numpy() / np.array(alone, dtype=float)
        for name, said in zip(self.facets, self.looks.T, strict=True):
            table[f"looks_{name}"] = said
        return table

    def image(self, unit: int | str, facet: str, strength: float | None = None) -> Image.Image:
        """The image of a unit in a facet, or ``"unguided"``; of several strengths the largest.

        Raises
        ------
        BadInput
            Where there is none.
        """
        known = [UNGUIDED, *self.facets]
        if facet not in known:
            close = ", ".join(nearest(facet, known) or known)
            raise BadInput(f"there is no facet {facet!r}; the nearest are: {close}.")
        rows = self.table[(self.table["unit"] == str(unit)) & (self.table["facet"] == facet)]
        if strength is not None and facet != UNGUIDED:
            rows = rows[rows["strength"] == strength]
        if not len(rows):
            raise BadInput(f"there is no image of unit {unit} as {facet!r} of that strength.")
        return self.visualization[int(rows.index[int(rows["strength"].to_numpy().argmax())])]

    def sheet(self, captions: bool = True) -> Image.Image:
        """All images: a row a unit, a column a facet and strength.

        Below each image are the activation that it reached, with a bar for its share of what the
        unguided one reached, and the facet that the probes take it for, with their certainty.
        """
        columns, rows = self._columns, self._rows
        line = 34 if captions else 0
        top = 84 if captions else _MARGIN
        left = _MARGIN + (86 if captions else 0)
        width = left + len(columns) * (_CELL + _GAP) + _MARGIN - _GAP
        height = top + len(rows) * (_CELL + line + _GAP) + _MARGIN - _GAP
        page = Image.new("RGB", (max(width, 420), height), PAPER)
        pen = ImageDraw.Draw(page)
        if captions:
            self._head(pen, left)
        table = self.table
        for r, (unit, site) in enumerate(rows):
            y = top + r * (_CELL + line + _GAP)
            if captions:
                self._name(pen, f"unit {unit}", site.removeprefix("image."), y)
            of_unit = table[(table["unit"] == unit) & (table["site"] == site)]
            for c, (facet, strength) in enumerate(columns):
                x = left + c * (_CELL + _GAP)
                found = of_unit[(of_unit["facet"] == facet) & (of_unit["strength"] == strength)]
                if not len(found):
                    pen.rectangle((x, y, x + _CELL - 1, y + _CELL - 1), outline=LINE)
                    continue
                page.paste(_square(self.visualization[int(found.index[0])]), (x, y))
                if captions:
                    self._caption(pen, found.iloc[0], x, y + _CELL)
        return page

    def view(self, examples: Any = None) -> Any:
        """Open the sheet in the notebook: sorted, enlarged, beside real examples.

        Parameters
        ----------
        examples
            What really excites the units: `lens.neurons.responses.responses` of their site, or a
            list of pictures for a unit's number.
        """
        # By name: what is shown stands above what is computed, and loads when somebody looks.
        return import_module("lens.widgets.facet_sheet").facets(self, examples)

    def save(self, path: str | Path) -> Path:
        """Write the sheet: PNG with its recipe inside, SVG or PDF for a report, HTML for its view.

        Raises
        ------
        BadInput
            Where the name ends in none of .png, .svg, .pdf and .html, or its folder doesn't exist.
        """
        path = Path(path)
        ending = path.suffix.lower()
        if ending not in (".png", ".svg", ".pdf", ".html"):
            raise BadInput(
                f"{path.name!r} should end in .png, .svg, .pdf or .html, as facets are saved."
            )
        if not path.parent.is_dir():
            raise BadInput(f"there is no folder {str(path.parent)!r} to save {path.name!r} in.")
        if ending == ".html":
            return Path(self.view().save(path))
        if ending == ".png":
            path.write_bytes(self._repr_png_())
            return path
        # By name: a report figure stands above what it shows.
        return Path(import_module("lens.figures").facet_sheet(self).save(path))

    @property
    def _terms(self) -> Iterator[Term]:
        return (term for term in self.visualization.units if isinstance(term, Term))

    @cached_property
    def _columns(self) -> list[tuple[str, float]]:
        pairs = self.table[["facet", "strength"]].itertuples(index=False, name=None)
        return list(dict.fromkeys((str(facet), float(strength)) for facet, strength in pairs))

    @cached_property
    def _rows(self) -> list[tuple[str, str]]:
        pairs = self.table[["unit", "site"]].itertuples(index=False, name=None)
        return list(dict.fromkeys((str(unit), str(site)) for unit, site in pairs))

    def _head(self, pen: ImageDraw.ImageDraw, left: int) -> None:
        pen.text((_MARGIN, 10), f"Facets in {self.recipe['model']}", INK, _font(700, 17))
        said = "; ".join(
            f"{probe.site.name.removeprefix('image.')} tells {probe.accuracy:.0%} of held-out "
            f"stimuli (chance {1 / len(probe.facets):.0%})"
            for probe in self.probes
        )
        pen.text((_MARGIN, 34), f"guided by a probe: {said}", GREY, _font(400, 12))
        before = None
        for c, (facet, strength) in enumerate(self._columns):
            x = left + c * (_CELL + _GAP)
            if facet != before:
                pen.text((x, 62), facet, INK, _font(700, 13))
            if facet != UNGUIDED:
                said = f"strength {strength:g}"
                pen.text((x + _CELL, 63), said, GREY, _font(400, 11), anchor="ra")
            before = facet

    @staticmethod
    def _name(pen: ImageDraw.ImageDraw, unit: str, site: str, y: int) -> None:
        pen.text((_MARGIN, y + 2), _cut(unit, 82, _font(700, 14)), INK, _font(700, 14))
        pen.text((_MARGIN, y + 22), _cut(site, 82, _font(400, 11)), GREY, _font(400, 11))

    def _caption(self, pen: ImageDraw.ImageDraw, row: pd.Series, x: int, y: int) -> None:
        share = float(np.clip(np.nan_to_num(row["share"]), 0, 1))
        pen.rectangle((x, y + 2, x + _CELL - 1, y + 1 + _BAR), fill=LINE)
        if share > 0:
            pen.rectangle((x, y + 2, x + share * (_CELL - 1), y + 1 + _BAR), fill=INK)
        pen.text((x, y + 8), f"{row['activation']:.3g}", INK, _font(700, 12))
        said = [float(row[f"looks_{name}"]) for name in self.facets]
        best = int(np.argmax(said))
        words = f"{self.facets[best]} {said[best]:.0%}"
        pen.text((x + _CELL, y + 8), words, GREY, _font(400, 12), anchor="ra")

    def _repr_png_(self) -> bytes:
        return files.png(self.sheet(), self.visualization.recipe)

    def _repr_html_(self) -> str:
        head = "".join(
            f"<th style='text-align:left'>{html.escape(facet)}"
            + ("" if facet == UNGUIDED else f" <small>strength {strength:g}</small>")
            + "</th>"
            for facet, strength in self._columns
        )
        body, table = [], self.table
        for unit, site in self._rows[:_SHOWN_IN_HTML]:
            of_unit = table[(table["unit"] == unit) & (table["site"] == site)]
            cells = []
            for facet, strength in self._columns:
                found = of_unit[(of_unit["facet"] == facet) & (of_unit["strength"] == strength)]
                cells.append(self._cell(found))
            name = html.escape(f"unit {unit}")
            body.append(
                f"<tr><th style='text-align:left' title='{html.escape(site, quote=True)}'>{name}"
                f"</th>{''.join(cells)}</tr>"
            )
        more = len(self._rows) - _SHOWN_IN_HTML
        tail = f"<p>and {more} more units: <code>.sheet()</code> shows all</p>" if more > 0 else ""
        return (
            f"<div><p>{html.escape(repr(self))}</p><table><thead><tr><th></th>{head}</tr></thead>"
            f"<tbody>{''.join(body)}</tbody></table>{tail}</div>"
        )

    def _cell(self, found: pd.DataFrame) -> str:
        if not len(found):
            return "<td></td>"
        row, buffer = found.iloc[0], io.BytesIO()
        self.visualization[int(found.index[0])].save(buffer, "PNG")
        source = base64.b64encode(buffer.getvalue()).decode()
        said = {name: float(row[f"looks_{name}"]) for name in self.facets}
        best = max(said, key=said.__getitem__)
        alt = html.escape(f"unit {row['unit']}, {row['facet']}", quote=True)
        return (
            f'<td style="vertical-align:top"><img src="data:image/png;base64,{source}" alt="{alt}">'
            f"<br><small>{row['activation']:.3g} &middot; looks like {html.escape(best)} "
            f"{said[best]:.0%}</small></td>"
        )

    def __repr__(self) -> str:
        units = len(self._rows)
        probed = "; ".join(
            f"{probe.site.name} {probe.accuracy:.0%} right on held-out stimuli (chance "
            f"{1 / len(probe.facets):.0%})"
            for probe in self.probes
        )
        return (
            f"Facets of {units} unit{'s' if units != 1 else ''} of {self.recipe['model']}: "
            f"{', '.join(self.facets)} and unguided, {len(self.visualization)} images after "
            f"{self.recipe['steps']} steps; probe at {probed}"
        )


def _square(image: Image.Image) -> Image.Image:
    """Fitted into a cell, whatever its proportions."""
    scale = _CELL / max(image.size)
    fitted = image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))),
        Image.Resampling.LANCZOS,
    )
    page = Image.new("RGB", (_CELL, _CELL), CARD)
    page.paste(fitted, ((_CELL - fitted.width) // 2, (_CELL - fitted.height) // 2))
    return page


def _cut(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    fitting = text
    while len(fitting) > 1 and font.getlength(fitting) > width:
        fitting = fitting[:-2] + "…"
    return fitting


@cache
def _font(weight: int, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONTS / f"open-sans-{weight}.woff2", size)
