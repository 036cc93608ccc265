"""What is known of each place of a model: how active its units are, how many are multimodal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lens.errors import BadInput
from lens.sites import Site

if TYPE_CHECKING:
    from lens.model import Model

__all__ = ["ACCEPTED", "activity_of", "multimodal_of", "place", "tables_of"]

#: False-discovery rate at which a unit counts as found.
ACCEPTED = 0.05
BEFORE = ".pre_relu"
#: How many units of a site are listed.
LISTED = 8
BINS = 32


def place(site: Site | str) -> str:
    """Give one name for all names of a site's units, before and after its final ReLU.

    A stage is its last block, and both are that block's sum before its ReLU. A table says by name
    alone where its values were taken, which is there.
    """
    name = site if isinstance(site, str) else site.pre_activation.name
    return name.removesuffix(BEFORE)


def tables_of(model: Model, tables: Any) -> dict[str, pd.DataFrame]:
    """Give the tables by the names of their places."""
    if tables is None:
        return {}
    if isinstance(tables, pd.DataFrame):
        tables = [tables]
    if isinstance(tables, Mapping):
        pairs = list(tables.items())
    else:
        pairs = [(str(getattr(table, "attrs", {}).get("site", "")), table) for table in tables]
    for name, table in pairs:
        if not isinstance(table, pd.DataFrame) or not {"unit", "q", "concept"} <= set(table):
            raise BadInput("A table of units has the columns unit, concept and q of multimodal.")
        if not name:
            raise BadInput("A table has to say of which site it is: give tables={site: table}.")
    return {place(model.site(str(name))): table for name, table in pairs}


def activity_of(model: Model, acts: Any) -> dict[str, dict[str, Any]]:
    """Sum up each captured site that has units: over the inputs, the mean and the largest value."""
    found: dict[str, dict[str, Any]] = {}
    for name in () if acts is None else acts:
        try:
            values = np.asarray(acts.values_of(name), dtype=np.float64)
            site = model.site(name)
        except BadInput:  # reduced to what has no units, such as a pattern's entropy
            continue
        if values.ndim != 2 or not len(values):
            continue
        mean, largest = values.mean(0), values.max(0)
        counts, edges = np.histogram(mean[np.isfinite(mean)], BINS)
        order = np.argsort(-np.nan_to_num(largest, nan=-np.inf), kind="stable")[:LISTED]
        found[place(site)] = {
            "inputs": len(values),
            "mean": _plain(mean.mean()),
            "max": _plain(largest.max()),
            "silent": int((largest <= 0).sum()),
            "counts": counts.tolist(),
            "edges": [_plain(edges[0]), _plain(edges[-1])],
            "top": [[int(unit), _plain(mean[unit]), _plain(largest[unit])] for unit in order],
        }
    return found


def multimodal_of(table: pd.DataFrame | None) -> dict[str, Any] | None:
    """Sum up a table of units: how many are told from chance, and the best."""
    if table is None:
        return None
    sure = table[table["q"] <= ACCEPTED]
    best = table.sort_values("q", kind="stable").head(LISTED)
    rows = zip(best["unit"], best["concept"], best["q"], strict=True)
    return {
        "count": len(sure),
        "of": len(table),
        "concepts": int(sure["concept"].nunique()),
        "top": [[int(unit), str(concept), _plain(q)] for unit, concept, q in rows],
    }


def _plain(value: Any) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None
