"""Units by concepts and renderings: who answers to what, as one heat table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lens.errors import BadInput, nearest
from lens.figures.figure import Figure
from lens.figures.measuring import measured_for
from lens.figures.paper import area, fitted, length, paper, say
from lens.figures.style import BODY, GREY, SMALL, TITLE, Width, house_style, millimetres

if TYPE_CHECKING:
    from lens.neurons.responses import Responses
    from lens.sites import Unit

__all__ = ["cell_means", "response_table"]

# Heights in mm; a cell narrower than this could not be told from the next one.
_ROW, _NARROWEST = 4.4, 0.8
_LABELS, _HEAD, _SCALE = 19.0, 18.0, 14.0


def response_table(
    units: Sequence[Unit],
    concepts: Sequence[str],
    renderings: Sequence[str] | None = None,
    *,
    stimuli: Any = None,
    measured: Responses | None = None,
    width: Width | float = "double",
    title: str | None = None,
) -> Figure:
    """Draw what units answer to concepts, rendering by rendering.

    A cell is the mean over the stimuli of one concept in one rendering, in the unit's standard
    deviations from its mean over all stimuli.

    Parameters
    ----------
    units
        Rows, all of one site.
    concepts
        Groups of columns.
    renderings
        The columns of each group; all that the stimuli have if not given.
    stimuli, measured
        What to show, or what was measured; see `lens.neurons.responses.responses`.
    width
        "single" (85 mm) or "double" (178 mm) column, or mm.
    title
        In place of the site's name.

    Raises
    ------
    BadInput
        For no units or units of several sites, a concept or rendering that the stimuli don't have,
        or more columns than fit the width.
    """
    units, across = list(units), millimetres(width)
    if not units:
        raise BadInput("A response table needs at least one unit.")
    if len({unit.site.name for unit in units}) > 1:
        raise BadInput("A response table has units of one site; make a table for each.")
    found = measured_for(units[0], stimuli, measured)
    frame = cell_means(found, [unit.index for unit in units], concepts, renderings)
    columns = frame.drop_duplicates(["concept", "rendering"])
    fits = int((across - _LABELS - _SCALE) / _NARROWEST)
    if len(columns) > fits:
        raise BadInput(
            f"{len(columns)} columns don't fit {across:g} mm; {fits} do: name fewer concepts or "
            f"renderings."
        )
    said = title if title is not None else f"{units[0].site.name} of {units[0].model.name}"
    with house_style():
        drawing = _drawn(frame, said, across)
    return Figure(f"{said}: responses of {len(units)} units by concept", frame, drawing)


def cell_means(
    measured: Responses,
    units: Sequence[int],
    concepts: Sequence[str],
    renderings: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Give ``unit, concept, rendering, z, n``, in the order of the arguments.

    ``z`` is the mean of the cell's ``n`` stimuli in the unit's standard deviations from its mean
    over all stimuli; NaN where a cell has no stimuli, 0 for a unit that answers alike to all.

    Raises
    ------
    BadInput
        For a concept or a rendering that no stimulus shows.
    """
    table = measured.table
    shown = {column: table[column].astype(str).to_numpy() for column in ("concept", "rendering")}
    concepts = [str(name) for name in concepts]
    kinds = list(dict.fromkeys(shown["rendering"]))
    kinds = [str(name) for name in renderings] if renderings is not None else kinds
    for names, column in ((concepts, "concept"), (kinds, "rendering")):
        known = set(shown[column])
        for name in names:
            if name not in known:
                close = ", ".join(nearest(name, sorted(known))) or "none"
                raise BadInput(f"No stimulus shows {column} {name!r}; the nearest are: {close}.")
    if not concepts:
        raise BadInput("A response table needs at least one concept.")
    rows = []
    for unit in units:
        values = measured.values[:, unit].astype(np.float64)
        spread = values.std() or 1.0
        for concept in concepts:
            for rendering in kinds:
                mine = (shown["concept"] == concept) & (shown["rendering"] == rendering)
                mean = values[mine].mean() if mine.any() else np.nan
                rows.append((unit, concept, rendering, (mean - values.mean()) / spread, mine.sum()))
    return pd.DataFrame(rows, columns=["unit", "concept", "rendering", "z", "n"])


def _drawn(frame: pd.DataFrame, title: str, across: float) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    units = list(dict.fromkeys(frame["unit"]))
    columns = list(dict.fromkeys(zip(frame["concept"], frame["rendering"], strict=True)))
    kinds = list(dict.fromkeys(frame["rendering"]))
    z = frame["z"].to_numpy().reshape(len(units), -1)[:, : len(columns)]
    inner = across - _LABELS - _SCALE
    cell = min(inner / len(columns), 9.0)
    inner, tall = cell * len(columns), _ROW * len(units)
    named = cell >= 2.6 and len(kinds) > 1  # is there room for a rendering's name on its side?
    longest = max(length(fitted(kind, _HEAD - 4, SMALL), SMALL) for kind in kinds)
    if len(kinds) == 1 and cell < 8:  # no room for a concept's name but aslant
        longest = max(length(fitted(name, _HEAD - 4, SMALL), SMALL) for name, _ in columns)
    top = 8.0 + (longest + 5.5 if named or (len(kinds) == 1 and cell < 8) else 5.0)
    drawing = paper(across, top + max(tall, 20.0) + 4)
    say(drawing, 1, 1, title, room=across - 2, size=TITLE, bold=True)

    axes = area(drawing, _LABELS, top, inner, tall)
    colours = LinearSegmentedColormap.from_list("lens", ["#0571b0", "#f7f7f7", "#ca0020"])
    most = float(np.nanmax(np.abs(z))) or 1.0
    heat = axes.pcolormesh(
        np.ma.masked_invalid(z),
        cmap=colours,
        vmin=-most,
        vmax=most,
        edgecolors="white",
        linewidth=0.3,
    )
    axes.invert_yaxis()
    axes.set_axis_off()
    for row, unit in enumerate(units):
        say(
            drawing, _LABELS - 1.5, top + row * _ROW + 0.9, f"unit {unit}",
            room=_LABELS - 2, size=SMALL, align="right",
        )  # fmt: skip
    for group in range(len(columns) // len(kinds)):
        left = _LABELS + group * len(kinds) * cell
        room = len(kinds) * cell
        if len(kinds) > 1 or cell >= 8:
            say(drawing, left + 0.3, 8, columns[group * len(kinds)][0], room=room - 0.5, size=BODY)
        else:
            say(
                drawing, left + cell / 2 + 1, top - 1, columns[group][0],
                room=_HEAD - 4, size=SMALL, rotation=60,
            )  # fmt: skip
        if group:
            axes.axvline(group * len(kinds), color="white", linewidth=1.6)
        for i, kind in enumerate(kinds if named else ()):
            say(
                drawing, left + (i + 0.5) * cell + 1, top - 1, kind,
                room=_HEAD - 4, size=SMALL, colour=GREY, rotation=90,
            )  # fmt: skip
    if not named and len(kinds) > 1:
        said = "columns of a concept: " + ", ".join(kinds)
        foot = drawing.get_size_inches()[1] * 25.4 - 3.4
        say(drawing, _LABELS, foot, said, room=across - _LABELS - 1, size=SMALL, colour=GREY)
    bar = area(drawing, _LABELS + inner + 3, top, 2.2, max(min(tall, 40.0), 14.0))
    scale = drawing.colorbar(heat, cax=bar)
    scale.outline.set_linewidth(0.4)
    if scale.solids is not None:  # no light seams between its steps
        scale.solids.set_edgecolor("face")
    bar.set_title("z", fontsize=SMALL, pad=2)
    return drawing
