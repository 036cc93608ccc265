"""Every facet of every unit: a row a unit, a column a facet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lens.errors import BadInput
from lens.featurevis.objectives.facets import UNGUIDED
from lens.figures.figure import Figure
from lens.figures.paper import area, paper, picture, say
from lens.figures.style import GREY, INK, LINE, SMALL, TITLE, Width, house_style, millimetres

if TYPE_CHECKING:
    import pandas as pd

    from lens.featurevis.faceted.sheet import Facets

__all__ = ["facet_sheet"]

_GAP, _LABELS, _CAPTION = 1.6, 17.0, 4.6


def facet_sheet(
    facets: Facets, *, width: Width | float = "double", title: str | None = None
) -> Figure:
    """Draw facets as the founding article does: each unit by way of every facet.

    Goh et al. (2021), "Faceted Feature Visualization". The bar below an image is what it reached,
    as a share of what the unguided image of the unit reached; the word beside it what the probe
    takes the image for. How well the probe tells facets apart on held-out stimuli stands above.

    Parameters
    ----------
    facets
        What `lens.featurevis.facets` gave.
    width
        "single" (85 mm) or "double" (178 mm) column, or mm.
    title
        In place of the model's name.

    Raises
    ------
    BadInput
        Where there are more facets and strengths than fit the width.
    """
    across, table = millimetres(width), facets.table
    columns = list(dict.fromkeys(zip(table["facet"], table["strength"], strict=True)))
    wide = min((across - _LABELS - 1) / len(columns) - _GAP, 32.0)
    if wide < 8:
        raise BadInput(
            f"{len(columns)} facets and strengths don't fit {across:g} mm; choose fewer, or "
            f'width="double".'
        )
    said = title if title is not None else f"Facets in {facets.recipe['model']}"
    with house_style():
        drawing = _drawn(facets, table, columns, said, across, wide)
    return Figure(f"{said}: {len(table)} images", table, drawing)


def _drawn(
    facets: Facets,
    table: pd.DataFrame,
    columns: list[tuple[str, float]],
    title: str,
    across: float,
    wide: float,
) -> Any:
    rows = list(dict.fromkeys(zip(table["unit"], table["site"], strict=True)))
    top, step = 18.0, wide + _CAPTION + _GAP
    drawing = paper(across, top + len(rows) * step)
    say(drawing, 1, 1, title, room=across - 2, size=TITLE, bold=True)
    said = "; ".join(
        f"the probe at {probe.site.name} tells {probe.accuracy:.0%} of held-out stimuli "
        f"(chance {1 / len(probe.facets):.0%})"
        for probe in facets.probes
    )
    say(drawing, 1, 6, said, room=across - 2, size=SMALL, colour=GREY)
    for c, (facet, strength) in enumerate(columns):
        left = _LABELS + c * (wide + _GAP)
        say(drawing, left, 10.6, facet, room=wide, bold=True)
        if facet != UNGUIDED:
            say(drawing, left, 14.2, f"strength {strength:g}", room=wide, size=SMALL, colour=GREY)
    for r, (unit, site) in enumerate(rows):
        y = top + r * step
        say(drawing, 1, y, f"unit {unit}", room=_LABELS - 2, bold=True)
        place = str(site).removeprefix("image.")
        say(drawing, 1, y + 3.4, place, room=_LABELS - 2, size=SMALL, colour=GREY)
        for c, (facet, strength) in enumerate(columns):
            found = table[
                (table["unit"] == unit) & (table["site"] == site)
                & (table["facet"] == facet) & (table["strength"] == strength)
            ]  # fmt: skip
            if len(found):
                _cell(drawing, facets, found.iloc[0], _LABELS + c * (wide + _GAP), y, wide)
    return drawing


def _cell(
    drawing: Any, facets: Facets, row: pd.Series, left: float, top: float, wide: float
) -> None:
    pixels = facets.visualization.images[int(row.name)]  # type: ignore[call-overload]
    picture(drawing, pixels, left, top, wide, wide)
    bar = area(drawing, left, top + wide + 0.5, wide, 0.6)
    bar.set(xlim=(0, 1), ylim=(0, 1))
    bar.set_axis_off()
    share = float(np.clip(np.nan_to_num(row["share"]), 0, 1))
    bar.barh(0.5, 1, 1, color=LINE)
    bar.barh(0.5, share, 1, color=INK)
    looks = {name: float(row[f"looks_{name}"]) for name in facets.facets}
    best = max(looks, key=looks.__getitem__)
    said = f"{row['activation']:.3g}, {best} {looks[best]:.0%}"
    say(drawing, left, top + wide + 1.5, said, room=wide, size=SMALL, colour=GREY)
