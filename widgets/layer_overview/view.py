"""The overview of layers: a model's towers, stages and blocks, and what is known of their units."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import traitlets

from lens.errors import BadInput, UnknownSite, suggestion
from lens.model import Model
from lens.sites import Site
from lens.widgets import host
from lens.widgets.esm import module
from lens.widgets.link import place
from lens.widgets.neuron.verdict import ACCEPTED
from lens.widgets.theme import styles
from lens.widgets.view import View

HERE = Path(__file__).parent

#: How many units of a site are listed.
LISTED = 8
BINS = 32


class LayerOverview(View):
    """A model's named places, from its input up; made by `lens.widgets.layers`.

    Attributes
    ----------
    chosen
        The site that is looked at. Set it to look at another one.
    """

    _esm = module(HERE / "layers.js")
    _css = styles(HERE / "layers.css")

    about = traitlets.Dict().tag(sync=True)
    sites: traitlets.List[Any] = traitlets.List().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, model: Model, acts: Any = None, tables: Mapping[str, pd.DataFrame] | None = None
    ) -> None:
        """Lay a model out; see `layers`."""
        tables = tables or {}
        activities = _by_place(model, acts)
        listed = [
            {
                **_site(site),
                "activity": activities.get(place(site)),
                "multimodal": _multimodal(tables.get(place(site))),
            }
            for site in model.sites
        ]
        known = [site for site in listed if site["multimodal"] or site["activity"]]
        stages = [site for site in listed if site["kind"] in ("stage", "block")]
        parameters = sum(weight.numel() for weight in model.module.parameters())
        super().__init__(
            about={
                "model": model.name,
                "kind": type(model.module).__name__,
                "parameters": parameters,
                "towers": list(model.towers),
                "accepted": ACCEPTED,
            },
            sites=listed,
            chosen=(known or stages or listed)[-1]["name"] if listed else "",
        )

    @property
    def heading(self) -> str:
        """The model's name."""
        return f"Layers of {self.about['model']}"

    @traitlets.validate("chosen")
    def _known(self, proposal: Any) -> str:
        names = [site["name"] for site in self.sites]
        if proposal["value"] not in names:
            hint = suggestion(proposal["value"], names)
            raise UnknownSite(f"The overview has no site {proposal['value']!r}.{hint}")
        return str(proposal["value"])

    def answers(self) -> host.Answers:
        """Nothing: a page holds the whole overview."""
        return {}

    def __repr__(self) -> str:
        return f"{self.heading}: {len(self.sites)} sites"


def layers(
    model: Model,
    acts: Any = None,
    tables: pd.DataFrame | Iterable[pd.DataFrame] | Mapping[str, pd.DataFrame] | None = None,
) -> LayerOverview:
    """Open the overview of a model: towers, stages and blocks with their shapes and units.

    Parameters
    ----------
    model
        From `lens.load` or `lens.wrap`.
    acts
        What `lens.capture` returned, of this model: each site's mean and largest activation over
        the inputs are shown.
    tables
        What `lens.multimodal` returned for one site or several; or the tables by site.

    Raises
    ------
    BadInput
        If `model` is none, or `acts` or `tables` are not what they should be.
    UnknownSite
        If a table is of a site that the model does not have.

    Examples
    --------
    >>> model = lens.load()
    >>> lens.widgets.layers(model, tables=lens.multimodal(model))  # doctest: +SKIP
    """
    if not isinstance(model, Model):
        raise BadInput(f"The overview shows a model of lens.load, not a {type(model).__name__}.")
    if acts is not None and not hasattr(acts, "values_of"):
        raise BadInput(f"Activations come from lens.capture; this is a {type(acts).__name__}.")
    return LayerOverview(model, acts, _named(model, tables))


def _named(model: Model, tables: Any) -> dict[str, pd.DataFrame]:
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


def _site(site: Site) -> dict[str, Any]:
    return {
        "name": site.name,
        "place": place(site),
        "tower": site.tower,
        "kind": site.kind,
        "shape": list(site.shape),
        "layout": site.layout[1:],
        "units": site.n_units,
        "grid": list(site.grid) if site.grid else None,
    }


def _by_place(model: Model, acts: Any) -> dict[str, dict[str, Any]]:
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


def _multimodal(table: pd.DataFrame | None) -> dict[str, Any] | None:
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
