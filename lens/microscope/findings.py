"""All that the pages of a site say about its units, worked out for many units at once.

The numbers are those of `lens.neurons.card.card`, which works them out for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy import sparse
from scipy.special import stdtrit

from lens.errors import BadInput
from lens.neurons import statistics
from lens.neurons.card import BINS, CONCEPTS
from lens.neurons.contact_sheet import kinds
from lens.neurons.multimodal import table_of
from lens.neurons.responses import Responses
from lens.neurons.words import top_words

EXAMPLES, PER_CELL = 12, 2
NEIGHBOURS = 6
WORDS = 12
SHARES = 20  # bins of the conditional plot
BLOCK = 128  # units at once: bounds the memory
ROWS = 4096  # stimuli at once


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known about one unit.

    Attributes
    ----------
    unit
        Its number.
    alive
        Whether it varies over the stimuli.
    statistics
        ``concept, score, p, q, n, d_prime, gap`` and ``auroc`` by rendering; None where untested.
    concepts
        Its concept, then those that it tells best from others in their weakest rendering.
    rows, values, kinds
        The stimuli that excite it most, best first: what it answers to them, and each one's concept
        and rendering.
    cells
        mean, half of the 95% interval of the mean, and n, (concepts, renderings); NaN and 0 where
        there is no stimulus.
    histogram
        Edges, counts of all stimuli, counts of those of the first concept.
    shares
        Edges in standard deviations from zero; (bins, categories) counts of stimuli.
    similar, opposing
        (unit, correlation) over the stimuli, the strongest first.
    words
        (word, score), best first.
    """

    unit: int
    alive: bool
    statistics: dict[str, Any] | None
    concepts: list[str]
    rows: Int[np.ndarray, " examples"]
    values: Float[np.ndarray, " examples"]
    kinds: list[tuple[str, str]]
    cells: tuple[np.ndarray, np.ndarray, np.ndarray]
    histogram: tuple[np.ndarray, np.ndarray, np.ndarray]
    shares: tuple[np.ndarray, np.ndarray]
    similar: list[tuple[int, float]]
    opposing: list[tuple[int, float]]
    words: list[tuple[str, float]]


@dataclass(frozen=True, eq=False)
class Findings:
    """What is known about a site.

    Attributes
    ----------
    values
        Where they were taken, and how places became one value.
    stimuli
        How many there are.
    units
        Facts, in the order of the units' numbers.
    renderings
        In order of appearance.
    categories
        Of the conditional plot: the unit's concept as a picture, drawing, word (what there is of
        these), the concepts next to it, all others.
    attrs
        Of the multimodal table: tests, correction.
    notes
        What is left out, and why: a sentence each.
    """

    values: str
    stimuli: int
    units: list[Facts]
    renderings: list[str]
    categories: list[str]
    attrs: dict[str, Any]
    notes: list[str]


def find(measured: Responses, units: Sequence[int], vocabulary: Sequence[str] | None) -> Findings:
    """Work out the facts of some units of a site.

    Parameters
    ----------
    measured
        What all units of the site answer to the stimuli.
    units
        The units that get a page; neighbours are looked for among them.
    vocabulary
        Words to choose from; the stimuli's own if not given.
    """
    notes: list[str] = []
    measured, alive = _finite(measured, notes)
    chosen = np.asarray(units, dtype=int)
    if not alive[chosen].any():
        notes.append(
            f"None of the {len(chosen):,} units varies over these stimuli: there is nothing to "
            f"rank them by."
        )
    table, attrs = _tested(measured, notes)
    _say_what_lacks(measured, notes)
    table_rows = table.set_index("unit").to_dict("index") if table is not None else {}

    sorted_out = _Sorted(measured.table)
    near = _correlations(measured.values, chosen, alive)
    found: list[Facts] = []
    for start in range(0, len(chosen), BLOCK):
        block = chosen[start : start + BLOCK]
        weakest = sorted_out.weakest(measured.values[:, block])
        means, margins = sorted_out.cells(measured.values[:, block])
        for i, unit in enumerate(block.tolist()):
            known = _statistics(table_rows.get(unit))
            concepts = sorted_out.best(weakest[i], known["concept"] if known else None)
            values = measured.values[:, unit]
            rows = sorted_out.top(values)
            if known is not None:
                known["concept"] = str(known["concept"])
            found.append(
                Facts(
                    unit=unit,
                    alive=bool(alive[unit]),
                    statistics=known if alive[unit] else None,
                    concepts=[str(sorted_out.concepts[c]) for c in concepts],
                    rows=rows,
                    values=values[rows].astype(np.float64),
                    kinds=[sorted_out.kind(row) for row in rows.tolist()],
                    cells=(
                        means[:, :, i][concepts],
                        margins[:, :, i][concepts],
                        sorted_out.n[concepts],
                    ),
                    histogram=_histogram(values, sorted_out.concept_of == concepts[0]),
                    shares=_shares(values, sorted_out.category(concepts), len(sorted_out.kinds)),
                    similar=near[0][start + i],
                    opposing=near[1][start + i],
                    words=top_words(measured, unit, WORDS, vocabulary) if alive[unit] else [],
                )
            )
    categories = [*sorted_out.kinds, "nearest concepts", "other concepts"]
    where = f"{measured.site.name}, {measured.pool} over its places"
    return Findings(where, len(measured.values), found, sorted_out.renderings,
                    categories, attrs, notes)  # fmt: skip


def _finite(measured: Responses, notes: list[str]) -> tuple[Responses, Bool[np.ndarray, " units"]]:
    """Set units with a value that is no number to zero; tell which units vary at all."""
    values = measured.values
    finite = np.isfinite(values).all(axis=0)
    if not finite.all():
        values = np.where(finite, values, np.float32(0))
        measured = replace(measured, values=values)
        listed = ", ".join(map(str, np.flatnonzero(~finite)[:5]))
        notes.append(
            f"{(~finite).sum():,} units gave values that are not finite ({listed}, ...); they "
            f"count as silent."
        )
    return measured, np.asarray(values.max(axis=0) > values.min(axis=0))


def _tested(measured: Responses, notes: list[str]) -> tuple[pd.DataFrame | None, dict[str, Any]]:
    try:
        table = table_of(measured)
    except BadInput as problem:  # one rendering only, say: the pages show observations, no test
        notes.append(f"No unit was tested against concepts: {problem}")
        return None, {}
    return table, {str(key): value for key, value in table.attrs.items()}


def _say_what_lacks(measured: Responses, notes: list[str]) -> None:
    model, site = measured.site.model, measured.site
    if model.tokenizer is None or "text" not in model.towers:
        notes.append(
            f"{model.name} has no text tower: the pages name no words that units pull towards."
        )
    elif measured.embeddings is None:
        notes.append(
            "The images' embeddings were not captured with the responses (image.embedding): the "
            "pages name no words that units pull towards."
        )
    if "word" not in set(measured.table["rendering"].astype(str)):
        notes.append("The stimuli hold no written words: no unit is compared on reading.")
    if site.grid is None:
        notes.append(
            f"The units of {site.name} have no places in the picture: examples have no outline."
        )


def _statistics(row: dict[Any, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    auroc = {k.removeprefix("auroc_"): float(v) for k, v in row.items() if k.startswith("auroc_")}
    numbers = {k: float(row[k]) for k in ("score", "p", "q", "d_prime", "gap")}
    return {"concept": row["concept"], **numbers, "n": int(row["n"]), "auroc": auroc}


class _Sorted:
    """A table of stimuli, sorted out once for all units."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.concept_of, index = pd.factorize(table["concept"])
        self.concepts = list(index)
        rendering_of, renderings = pd.factorize(table["rendering"])
        self.renderings = [str(rendering) for rendering in renderings]
        self.rows = [np.flatnonzero(rendering_of == r) for r in range(len(self.renderings))]
        shape = len(self.concepts), len(self.renderings)
        cell = self.concept_of * shape[1] + rendering_of
        count = np.bincount(cell, minlength=shape[0] * shape[1])
        self.n = count.reshape(shape)
        ones = np.ones(len(cell))
        self._indicator = sparse.csr_array(
            (ones, (cell, np.arange(len(cell)))), (len(count), len(cell))
        )
        self._cell = cell
        every = kinds(self.renderings)
        self.kinds = list(every)
        kind_of = [next(k for k, v in enumerate(every.values()) if r in v) for r in self.renderings]
        self._kind = np.asarray(kind_of)[rendering_of]

    def weakest(self, values: np.ndarray) -> Float[np.ndarray, "units concepts"]:
        """Give the AUROC of every concept in its weakest rendering, over all stimuli."""
        weakest = np.full((values.shape[1], len(self.concepts)), np.inf)
        if len(self.concepts) < 2:
            return weakest
        for rows in self.rows:
            shown = self.concept_of[rows] == np.arange(len(self.concepts))[:, None]
            tested = shown.any(axis=1) & ~shown.all(axis=1)
            if tested.any():
                area = statistics.auroc(values[rows], shown[tested])
                weakest[:, tested] = np.minimum(weakest[:, tested], area)
        return weakest

    def best(self, weakest: np.ndarray, first: Any) -> list[int]:
        """Rank concepts, the tested one first; their numbers."""
        ranked = np.argsort(-weakest, kind="stable").tolist()
        if first is not None:
            lead = self.concepts.index(first)
            ranked = [lead, *(concept for concept in ranked if concept != lead)]
        return ranked[:CONCEPTS]

    def cells(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give means and half-widths of their 95% intervals, (concepts, renderings, units)."""
        centre = values.mean(axis=0, dtype=np.float64)
        values = values - centre
        n = self.n.reshape(-1, 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (self._indicator @ values) / n
            squares = self._indicator @ values**2 - n * mean**2
            sd = np.sqrt(np.maximum(squares, 0) / (n - 1))
            margin = np.where(n > 1, stdtrit(np.maximum(n - 1, 1), 0.975) * sd / np.sqrt(n), 0)
        shape = (*self.n.shape, values.shape[1])
        return (mean + centre).reshape(shape), margin.reshape(shape)

    def top(self, values: np.ndarray) -> Int[np.ndarray, " examples"]:
        """Give the rows with the largest values, best first, a few of each cell at most."""
        taken: dict[int, int] = {}
        rows: list[int] = []
        for row in np.argsort(-values, kind="stable").tolist():
            cell = int(self._cell[row])
            if taken.get(cell, 0) < PER_CELL:
                taken[cell] = taken.get(cell, 0) + 1
                rows.append(row)
                if len(rows) == EXAMPLES:
                    break
        return np.asarray(rows, dtype=int)

    def kind(self, row: int) -> tuple[str, str]:
        """Tell the concept and the rendering of a stimulus."""
        concept, rendering = divmod(int(self._cell[row]), len(self.renderings))
        return str(self.concepts[concept]), self.renderings[rendering]

    def category(self, concepts: list[int]) -> Int[np.ndarray, " stimuli"]:
        """Sort the stimuli for the conditional plot: first concept by kind, nearest, others."""
        last = len(self.kinds) + 1
        found = np.full(len(self._kind), last)
        found[np.isin(self.concept_of, concepts[1:])] = last - 1
        mine = self.concept_of == concepts[0]
        found[mine] = self._kind[mine]
        return found


def _histogram(values: np.ndarray, mine: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    edges = np.histogram_bin_edges(values, bins=BINS)
    return edges, np.histogram(values, edges)[0], np.histogram(values[mine], edges)[0]


def _shares(values: np.ndarray, category: np.ndarray, kinds_: int) -> tuple[np.ndarray, np.ndarray]:
    """Count categories in bins of equal width, in standard deviations from zero.

    Goh et al. 2021, "Multimodal Neurons in Artificial Neural Networks": the conditional plot.
    """
    spread = values.std(dtype=np.float64)
    scaled = values / (spread if spread > 0 else 1.0)
    edges = np.histogram_bin_edges(scaled, bins=SHARES)
    counts = [np.histogram(scaled[category == c], edges)[0] for c in range(kinds_ + 2)]
    return edges, np.stack(counts, axis=1)


def _correlations(
    values: np.ndarray, chosen: np.ndarray, alive: np.ndarray
) -> tuple[list[list[tuple[int, float]]], list[list[tuple[int, float]]]]:
    """Give every chosen unit those whose responses go most with its own, and most against."""
    live = chosen[alive[chosen]]
    nothing: list[tuple[int, float]] = []
    if len(live) < 2:
        return [nothing for _ in chosen], [nothing for _ in chosen]
    mean = values[:, live].mean(axis=0, dtype=np.float64)
    gram = np.zeros((len(live), len(live)))
    for start in range(0, len(values), ROWS):
        rows = values[start : start + ROWS, live] - mean
        gram += rows.T @ rows
    spread = np.sqrt(np.maximum(np.diag(gram), np.finfo(float).tiny))
    # Four digits: no last bit of a product decides who comes first.
    correlation = np.round(np.clip(gram / spread / spread[:, None], -1, 1), 4)
    np.fill_diagonal(correlation, np.nan)
    place = {unit: i for i, unit in enumerate(live.tolist())}

    def strongest(unit: int, sign: int) -> list[tuple[int, float]]:
        if unit not in place:
            return nothing
        row = correlation[place[unit]]
        order = np.argsort(-sign * row, kind="stable")[:NEIGHBOURS]  # NaN, itself, comes last
        return [(int(live[i]), float(row[i])) for i in order if sign * row[i] > 0]

    units = chosen.tolist()
    return [strongest(unit, 1) for unit in units], [strongest(unit, -1) for unit in units]
