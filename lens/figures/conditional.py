"""The conditional plot: what a unit sees at each height of its response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from lens.errors import BadInput, nearest
from lens.figures.figure import Figure
from lens.figures.measuring import measured_for
from lens.figures.paper import area, clean, paper, say
from lens.figures.style import (
    CATEGORIES,
    GREY,
    LINE,
    OTHER,
    SMALL,
    TITLE,
    Width,
    house_style,
    millimetres,
)

if TYPE_CHECKING:
    from lens.neurons.responses import Responses
    from lens.sites import Unit

__all__ = ["conditional_plot", "conditional_shares"]

_OTHER = "other"


def conditional_plot(
    unit: Unit | Float[np.ndarray, " stimuli"],
    categories: str | Sequence[str] | np.ndarray | pd.Series = "rendering",
    *,
    stimuli: Any = None,
    measured: Responses | None = None,
    step: float = 0.5,
    width: Width | float = "single",
    title: str | None = None,
) -> Figure:
    """Draw what share of each bin of a unit's responses belongs to each category.

    The conditional plot of Goh et al. (2021, "Multimodal Neurons in Artificial Neural Networks",
    section "Person neurons"): from most inhibitory to most excitatory, in bins of equal width in
    standard deviations from zero. Above it stands how many stimuli each bin has: the outer bins
    have few.

    Parameters
    ----------
    unit
        A unit; or its values, one a stimulus.
    categories
        A column of the stimuli's table; or names of concepts or renderings in it, all others being
        "other"; or a label a stimulus. Of more than seven, the most frequent in the upper fifth of
        the responses are shown, the rest as "other".
    stimuli, measured
        What to show, or what was measured; see `lens.neurons.responses.responses`.
    step
        Width of a bin in standard deviations.
    width
        "single" (85 mm) or "double" (178 mm) column, or mm.
    title
        In place of the unit's name.

    Raises
    ------
    BadInput
        For a column or a name that isn't there, labels that are not as many as the values, a unit
        that answers the same to everything, or a step that isn't above zero.
    """
    across = millimetres(width)
    values, table, name = _values(unit, stimuli, measured)
    labels = _labels(categories, table, len(values))
    order = _chosen(values, labels)
    labels = np.where(np.isin(labels, order), labels, _OTHER)
    if _OTHER in labels and _OTHER not in order:
        order = [*order, _OTHER]
    frame = conditional_shares(values, labels, step, order)
    said = title if title is not None else name
    with house_style():
        drawing = _drawn(frame, order, said, across, step)
    return Figure(f"{clean(said)}: share of each category by response", frame, drawing)


def conditional_shares(
    values: Float[np.ndarray, " stimuli"],
    labels: Sequence[Any] | np.ndarray,
    step: float = 0.5,
    order: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Count, bin by bin, what share of the stimuli belongs to each category.

    Parameters
    ----------
    values
        One a stimulus; divided by their standard deviation, zero stays zero.
    labels
        Its category.
    step
        Width of a bin in standard deviations; zero is an edge.
    order
        Of the categories; by name if not given.

    Returns
    -------
    pd.DataFrame
        A row a bin, from the lowest to the highest that is not empty: ``low, high`` in standard
        deviations (low <= value < high), ``n``, and a column a category; NaN in an empty bin.

    Raises
    ------
    BadInput
        For values that are not finite or all the same, labels that are not as many, or a step
        that isn't above zero.
    """
    values = np.asarray(values, dtype=np.float64)
    labels = np.asarray([str(label) for label in labels], dtype=object)
    if values.ndim != 1 or len(values) != len(labels):
        raise BadInput(
            f"A conditional plot needs a category a value; got {len(labels)} categories and values "
            f"of shape {values.shape}."
        )
    if not np.isfinite(values).all() or not len(values) or not values.std() > 0:
        raise BadInput("A conditional plot needs finite values that are not all the same.")
    if not step > 0:
        raise BadInput(f"A bin is wider than 0 standard deviations; step is {step!r}.")
    bins = np.floor(values / values.std() / step).astype(int)
    names = list(order) if order is not None else sorted(set(labels))
    first, last = int(bins.min()), int(bins.max())
    if last - first > 1000:
        raise BadInput(f"Bins of {step:g} standard deviations would be {last - first + 1:,}.")
    edges = np.arange(first, last + 2) * step
    n = np.bincount(bins - first, minlength=last - first + 1)
    columns: dict[str, np.ndarray] = {"low": edges[:-1], "high": edges[1:], "n": n}
    for name in names:
        found = np.bincount(bins[labels == name] - first, minlength=len(n))
        columns[name] = np.where(n > 0, found / np.maximum(n, 1), np.nan)
    return pd.DataFrame(columns)


def _values(
    unit: Any, stimuli: Any, measured: Responses | None
) -> tuple[np.ndarray, pd.DataFrame | None, str]:
    if not hasattr(unit, "site"):
        table = stimuli.table if stimuli is not None else None
        return np.asarray(unit, dtype=np.float64), table, "Responses"
    found = measured_for(unit, stimuli, measured)
    name = f"Unit {unit.index} of {unit.site.name}, {unit.model.name}"
    return found.values[:, unit.index].astype(np.float64), found.table, name


def _labels(categories: Any, table: pd.DataFrame | None, count: int) -> np.ndarray:
    if isinstance(categories, str):
        if table is None or categories not in table:
            there = [] if table is None else [str(column) for column in table.columns]
            close = ", ".join(nearest(categories, there) or there) or "none"
            raise BadInput(f"The stimuli have no column {categories!r}; the nearest are: {close}.")
        return table[categories].astype(str).to_numpy(dtype=object)
    given = [str(label) for label in categories]
    if len(given) == count and (table is None or not isinstance(categories, (list, tuple))):
        return np.array(given, dtype=object)
    if table is None:
        raise BadInput(f"Each of the {count:,} values needs a category; got {len(given):,}.")
    return _named(given, table)


def _named(names: list[str], table: pd.DataFrame) -> np.ndarray:
    """The stimuli that show one of the names, by it; all others as "other"."""
    for column in ("concept", "rendering"):
        known = table[column].astype(str)
        if known.isin(names).any():
            missing = [name for name in names if not (known == name).any()]
            if not missing:
                return known.where(known.isin(names), _OTHER).to_numpy(dtype=object)
            close = ", ".join(nearest(missing[0], known.unique())) or "none"
            raise BadInput(f"No stimulus shows {missing[0]!r}; the nearest are: {close}.")
    close = ", ".join(nearest(names[0] if names else "", table["concept"].astype(str).unique()))
    raise BadInput(f"No stimulus shows any of {names[:5]}; the nearest are: {close or 'none'}.")


def _chosen(values: np.ndarray, labels: np.ndarray) -> list[str]:
    """At most seven categories: those that the upper fifth of the responses has most of."""
    frequent = pd.Series(labels).value_counts()
    named = [name for name in sorted(frequent.index) if name != _OTHER]
    if len(named) <= len(CATEGORIES):
        return list(dict.fromkeys(label for label in labels if label != _OTHER))
    high = labels[values >= np.quantile(values, 0.8)]
    upper = pd.Series(high).value_counts().reindex(named, fill_value=0)
    ranked = sorted(named, key=lambda name: (-upper[name], name))
    return ranked[: len(CATEGORIES)]


def _drawn(frame: pd.DataFrame, order: list[str], title: str, across: float, step: float) -> Any:
    left, top, legend = 11.0, 8.0, 22.0
    inner = across - left - legend - 3
    height = max(38.0, 4.2 * len(order) + 2)
    drawing = paper(across, top + 10 + 3 + height + 11)
    say(drawing, 1, 1, title, room=across - 2, size=TITLE, bold=True)
    middle, counts = (frame["low"] + frame["high"]) / 2, frame["n"].to_numpy()

    above = area(drawing, left, top, inner, 10)
    above.bar(middle, counts, width=step, color=OTHER, edgecolor="white", linewidth=0.3)
    above.set_yscale("log")
    above.set(
        xticks=[], ylim=(0.7, counts.max() * 1.5), xlim=(frame["low"].min(), frame["high"].max())
    )
    decades = [10**e for e in range(0, 9, 2) if 10**e <= counts.max()]
    above.set_yticks(decades, [f"{tick:,}" for tick in decades])
    above.minorticks_off()
    above.spines["bottom"].set_visible(False)
    say(drawing, left + inner + 2, top + 3, "stimuli a bin", room=legend, size=SMALL, colour=GREY)

    axes = area(drawing, left, top + 12, inner, height)
    base = np.zeros(len(frame))
    for i, name in enumerate(order):
        share = np.nan_to_num(frame[name].to_numpy())
        colour = OTHER if name == _OTHER else CATEGORIES[i]
        axes.bar(
            middle, share, width=step, bottom=base, color=colour, edgecolor="white", linewidth=0.3
        )
        base += share
        line = top + 12 + i * 4.2
        mark = area(drawing, left + inner + 2, line + 0.4, 2.2, 2.2)
        mark.set_axis_off()
        mark.add_patch(_square(colour))
        say(drawing, left + inner + 5.4, line, name, room=legend - 4, size=SMALL)
    axes.axvline(0, color=LINE if frame["low"].min() >= 0 else "white", linewidth=0.8)
    axes.set(xlim=(frame["low"].min(), frame["high"].max()), ylim=(0, 1))
    axes.set_yticks([0, 0.5, 1], ["0", "50%", "100%"])
    axes.set_xlabel("response, standard deviations from zero", labelpad=2)
    return drawing


def _square(colour: str) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((0, 0), 1, 1, facecolor=colour)
