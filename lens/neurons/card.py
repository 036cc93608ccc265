"""All that is known about one unit, as plain data for a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, UInt8

from lens.errors import BadInput
from lens.neurons import statistics
from lens.neurons.examples import Example, top_examples
from lens.neurons.multimodal import table_of
from lens.neurons.responses import Responses
from lens.neurons.words import top_words
from lens.sites import Unit

BINS = 48
CONCEPTS = 8


@dataclass(frozen=True, eq=False)
class NeuronCard:
    """What one unit wants, what excites it, and how sure we are: numpy, pandas and str only.

    Attributes
    ----------
    unit_name, model, site, index, n_units
        Which unit, and out of how many.
    visualization
        (size, size, 3) uint8: a synthetic image that excites the unit; None if none was made.
    visualization_value
        What the unit answers to it; NaN if none was made.
    recipe
        How the image came about.
    examples
        The stimuli that excite the unit most; at most two of a concept in a rendering.
    responses
        ``concept, rendering, mean, sd, n``: the unit's concept first, then those that it tells
        best from others in their weakest rendering, in all renderings.
    histogram
        Edges of the bins, counts of all stimuli, and counts of those of the unit's concept.
    words
        (word, score), best first; see `lens.neurons.words.top_words`.
    statistics
        ``concept, score, p, q, n, d_prime, gap`` and ``auroc`` by rendering, out of
        `lens.multimodal`'s table; None where the stimuli do not allow for the test.
    """

    unit_name: str
    model: str
    site: str
    index: int
    n_units: int
    visualization: UInt8[np.ndarray, "size size 3"] | None
    visualization_value: float
    recipe: Mapping[str, Any]
    examples: list[Example]
    responses: pd.DataFrame
    histogram: tuple[
        Float[np.ndarray, " edges"], Int[np.ndarray, " bins"], Int[np.ndarray, " bins"]
    ]
    words: list[tuple[str, float]]
    statistics: dict[str, Any] | None


def card(unit: Unit, measured: Responses, *, visualization: Any = None) -> NeuronCard:
    """Gather all that is known about one unit.

    The visualization, which takes longest, is made by whoever shows the card, and may be added to
    it later.

    Parameters
    ----------
    unit
        Which one.
    measured
        What the units of its site answer to the stimuli; see `lens.neurons.responses.responses`.
    visualization
        What `lens.visualize` made of this unit (its first image counts); None for none.

    Returns
    -------
    NeuronCard
    """
    found = _statistics(measured, unit.index)
    concepts = _best_concepts(measured, unit.index, found["concept"] if found else None)
    drawn = visualization is not None
    return NeuronCard(
        unit_name=repr(unit),
        model=unit.model.name,
        site=unit.site.name,
        index=unit.index,
        n_units=unit.site.n_units,
        visualization=visualization.images[0] if drawn else None,
        visualization_value=float(visualization.values[0]) if drawn else float("nan"),
        recipe=visualization.recipe if drawn else {},
        examples=top_examples(measured, unit.index),
        responses=_by_cell(measured, unit.index, concepts),
        histogram=_histogram(measured, unit.index, concepts[0]),
        words=top_words(measured, unit.index),
        statistics=found,
    )


def _statistics(measured: Responses, unit: int) -> dict[str, Any] | None:
    """Take the unit's row out of the table, if these stimuli can tell anything."""
    try:
        table = table_of(measured)
    except BadInput:  # one rendering only, say: the page then shows observations and no test
        return None
    row = table[table["unit"] == unit].iloc[0]
    auroc = {name.removeprefix("auroc_"): row[name] for name in row.index if "auroc_" in name}
    plain = {name: row[name] for name in row.index if "auroc_" not in name and name != "unit"}
    return {**plain, "n": int(row["n"]), "auroc": auroc}


def _best_concepts(measured: Responses, unit: int, first: Any) -> list[Any]:
    """Rank concepts by the weakest rendering's AUROC over all stimuli; the tested one leads."""
    table, values = measured.table, measured.values[:, [unit]]
    concept_of, index = pd.factorize(table["concept"])
    concepts = list(index)
    if len(concepts) < 2:
        return concepts
    weakest = np.full(len(concepts), np.inf)
    for rows in table.groupby("rendering", sort=False).indices.values():
        shown = concept_of[rows] == np.arange(len(concepts))[:, None]
        tested = shown.any(axis=1) & ~shown.all(axis=1)
        area = statistics.auroc(values[rows], shown[tested])[0]
        weakest[tested] = np.minimum(weakest[tested], area)
    ranked = [concepts[i] for i in np.argsort(-weakest, kind="stable")]
    if first is not None:
        ranked = [first, *(concept for concept in ranked if concept != first)]
    return ranked[:CONCEPTS]


def _by_cell(measured: Responses, unit: int, concepts: list[Any]) -> pd.DataFrame:
    table = measured.table[["concept", "rendering"]].assign(value=measured.values[:, unit])
    kept = table[table["concept"].isin(concepts)]
    cells = kept.groupby(["concept", "rendering"], sort=False)["value"]
    summary = cells.agg(mean="mean", sd="std", n="size").reset_index()
    order = summary["concept"].map({concept: i for i, concept in enumerate(concepts)})
    return summary.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)


def _histogram(
    measured: Responses, unit: int, concept: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values = measured.values[:, unit]
    edges = np.histogram_bin_edges(values, bins=BINS)
    mine = (measured.table["concept"] == concept).to_numpy()
    return edges, np.histogram(values, edges)[0], np.histogram(values[mine], edges)[0]
