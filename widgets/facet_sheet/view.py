"""The sheet of facets: every unit by way of every facet, beside what really excites it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets
from PIL import Image

from lens.errors import BadInput
from lens.featurevis.faceted.sheet import Facets
from lens.featurevis.objectives.facets import UNGUIDED
from lens.neurons.responses import Responses
from lens.widgets import host
from lens.widgets.atlas import sheets
from lens.widgets.esm import module
from lens.widgets.link import place
from lens.widgets.theme import styles
from lens.widgets.view import View

if TYPE_CHECKING:
    import pandas as pd

    from lens.figures import Figure

HERE = Path(__file__).parent

#: Real examples beside a unit, and the side of each in pixels.
EXAMPLES, TILE = 4, 96
LARGEST = 224


class FacetSheet(View):
    """Facets of units on one screen; made by `Facets.view`.

    Attributes
    ----------
    order
        What units are sorted by: "given", "number", "unguided" (its activation), or a facet's name:
        the share of it that is kept by way of that facet.
    size
        Pixels a side that an image is shown at.
    """

    _esm = module(HERE / "facets.js")
    _css = styles(HERE / "facets.css")

    about = traitlets.Dict().tag(sync=True)
    rows: traitlets.List[Any] = traitlets.List().tag(sync=True)
    images = traitlets.Dict().tag(sync=True)
    examples = traitlets.Dict().tag(sync=True)
    order = traitlets.Unicode("given").tag(sync=True)
    size = traitlets.Int(128, min=48, max=320).tag(sync=True)

    def __init__(self, found: Facets, examples: Responses | Mapping[int, Any] | None) -> None:
        """Lay facets out; see `facets`."""
        self._found = found
        table, images = found.table, found.visualization.images
        units = list(dict.fromkeys(zip(table["unit"], table["site"], strict=True)))
        real = [_examples(unit, site, examples) for unit, site in units]
        columns = list(dict.fromkeys(zip(table["facet"], table["strength"], strict=True)))
        super().__init__(
            about={
                "model": found.recipe["model"],
                "steps": found.recipe["steps"],
                "facets": list(found.facets),
                "columns": [[str(facet), float(strength)] for facet, strength in columns],
                "unguided": UNGUIDED,
                "probes": [_probe(probe) for probe in found.probes],
                "width": images.shape[2],
                "height": images.shape[1],
                "real": any(real),
            },
            rows=[
                _row(found, table, unit, site, columns, sum(map(len, real[:i])), len(real[i]))
                for i, (unit, site) in enumerate(units)
            ],
            images=sheets(list(images), min(max(images.shape[1:3]), LARGEST)),
            examples=sheets([picture for pictures in real for picture in pictures], TILE),
        )

    @property
    def heading(self) -> str:
        """The model's name."""
        return f"Facets in {self.about['model']}"

    @traitlets.validate("order")
    def _known(self, proposal: Any) -> str:
        known = ["given", "number", "unguided", *self.about["facets"]]
        if proposal["value"] not in known:
            raise BadInput(f"Units are sorted by one of {known}, not by {proposal['value']!r}.")
        return str(proposal["value"])

    def figure(self, **settings: Any) -> Figure:
        """Draw the facets as they were given; ``settings`` are `lens.figures.facet_sheet`'s."""
        from lens.figures import facet_sheet

        return facet_sheet(self._found, **settings)

    def answers(self) -> host.Answers:
        """Nothing: a page holds the whole sheet."""
        return {}

    def __repr__(self) -> str:
        return f"{self.heading}: {len(self.rows)} units, {len(self.about['columns'])} images each"


def facets(found: Facets, examples: Responses | Mapping[int, Any] | None = None) -> FacetSheet:
    """Open the sheet of facets: sorted, enlarged, and beside real examples.

    Parameters
    ----------
    found
        From `lens.featurevis.facets`.
    examples
        What really excites the units: `lens.neurons.responses.responses` of their site, or a list
        of pictures for a unit's number.

    Raises
    ------
    BadInput
        If `found` are no facets, or `examples` nothing to find examples in.
    """
    if not isinstance(found, Facets):
        raise BadInput(
            f"The sheet shows what lens.featurevis.facets returns, not a {type(found).__name__}."
        )
    if not isinstance(examples, Responses | Mapping | None):
        raise BadInput(
            "Examples are the responses of a site (lens.neurons.responses), or a mapping from a "
            f"unit's number to pictures, not a {type(examples).__name__}."
        )
    return FacetSheet(found, examples)


def _row(
    found: Facets,
    table: pd.DataFrame,
    unit: str,
    site: str,
    columns: list[tuple[Any, Any]],
    first: int,
    count: int,
) -> dict[str, Any]:
    mine = table[(table["unit"] == unit) & (table["site"] == site)]
    cells: list[dict[str, Any] | None] = [None] * len(columns)
    for tile, row in mine.iterrows():
        cells[columns.index((row["facet"], row["strength"]))] = {
            "tile": int(tile),  # type: ignore[call-overload]
            "activation": _plain(row["activation"]),
            "share": _plain(row["share"]),
            "looks": [_plain(row[f"looks_{name}"]) for name in found.facets],
        }
    where = place(found.probes[0].site.model.site(site))
    return {
        "unit": unit,
        "site": site,
        "place": f"{where}/{unit}" if unit.isdigit() else "",
        "cells": cells,
        "examples": [first, count],
    }


def _examples(
    unit: str, site: str, examples: Responses | Mapping[int, Any] | None
) -> list[np.ndarray]:
    """Give pictures that really excite a unit; none where none are known."""
    if examples is None or not unit.isdigit():
        return []
    if isinstance(examples, Mapping):
        given = list(examples.get(int(unit), []))[:EXAMPLES]
        return [np.asarray(_rgb(picture), dtype=np.uint8) for picture in given]
    from lens.neurons.examples import top_rows
    from lens.neurons.responses import pictures

    if examples.site != examples.site.model.site(site).pre_activation:
        return []
    rows = top_rows(examples, int(unit), EXAMPLES, per_cell=1)
    return [
        np.asarray(_rgb(picture), dtype=np.uint8) for picture in pictures(examples.stimuli, rows)
    ]


def _rgb(picture: Any) -> Any:
    return picture.convert("RGB") if isinstance(picture, Image.Image) else picture


def _probe(probe: Any) -> dict[str, Any]:
    return {
        "site": probe.site.name,
        "accuracy": float(probe.accuracy),
        "chance": 1 / len(probe.facets),
    }


def _plain(value: Any) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None
