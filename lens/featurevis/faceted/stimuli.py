"""Labelled stimuli sorted into facets: which show a picture, a drawing, a written word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from PIL import Image

from lens.errors import BadInput, nearest


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images and a table with a row for each, as sets of stimuli have them."""

    images: Sequence[Any]
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> Any:
        return self.images[row]


def with_table(stimuli: Any, seed: int) -> Any:
    """Stimuli with a table: the embedded glyphs for None, a pair (pictures, labels) as a set.

    Raises
    ------
    BadInput
        For stimuli without labels, or with too many or too few.
    """
    if stimuli is None:
        from lens.data import glyphs

        return glyphs().stimuli(per_cell=2, seed=seed)
    if isinstance(stimuli, tuple) and len(stimuli) == 2:
        images, labels = stimuli
        if len(images) != len(labels):
            raise BadInput(f"there are {len(images)} images and {len(labels)} labels.")
        stimuli = Labelled(images, pd.DataFrame({"facet": list(labels)}))
    if not isinstance(getattr(stimuli, "table", None), pd.DataFrame):
        raise BadInput(
            "the stimuli have no labels: give a set with a `.table`, such as "
            "lens.data.glyphs().stimuli(), or a pair (pictures, labels)."
        )
    if len(stimuli) != len(stimuli.table):
        raise BadInput(f"{len(stimuli)} stimuli have a table of {len(stimuli.table)} rows.")
    return stimuli


def sort_into_facets(
    table: pd.DataFrame, facets: Mapping[str, Sequence[str]] | str | None
) -> tuple[tuple[str, ...], Int[np.ndarray, " rows"]]:
    """Names of the facets, and which one each row shows; -1 for none of them.

    Raises
    ------
    BadInput
        For a table without such a column, or a rendering that it does not have.
    """
    if facets is None:
        if "facet" in table:
            facets = "facet"
        elif "rendering" in table:
            facets = _kinds(table["rendering"])
        else:
            raise BadInput(
                "the stimuli have no labels: their table needs a column `facet` or `rendering`, "
                "or say with facets= which column to use."
            )
    if isinstance(facets, str):
        if facets not in table:
            close = ", ".join(nearest(facets, map(str, table.columns)) or map(str, table.columns))
            raise BadInput(f"the stimuli's table has no column {facets!r}; the nearest: {close}.")
        column = table[facets].astype(str)
        names = tuple(dict.fromkeys(column))
        return names, np.array([names.index(name) for name in column], dtype=np.int64)
    if "rendering" not in table:
        raise BadInput("sorting renderings into facets needs a column `rendering` in the table.")
    known = list(dict.fromkeys(table["rendering"]))
    facet_of = {}
    for k, renderings in enumerate(facets.values()):
        for rendering in [renderings] if isinstance(renderings, str) else renderings:
            if rendering not in known:
                close = ", ".join(nearest(rendering, known) or known)
                raise BadInput(f"no stimulus has the rendering {rendering!r}; there are: {close}.")
            facet_of[rendering] = k
    labels = [facet_of.get(rendering, -1) for rendering in table["rendering"]]
    return tuple(facets), np.array(labels, dtype=np.int64)


def split(
    table: pd.DataFrame,
    names: tuple[str, ...],
    labels: Int[np.ndarray, " rows"],
    per_facet: int,
    seed: int,
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " test"]]:
    """Rows to train on and rows held out, at most so many of a facet and half as many.

    Raises
    ------
    BadInput
        For a facet with fewer than two to train on or none held out.
    """
    rng = np.random.default_rng([seed, per_facet])
    told = table["split"].to_numpy() == "held-out" if "split" in table else None
    training, held_out = [], []
    for k, name in enumerate(names):
        rows = rng.permutation(np.flatnonzero(labels == k))
        if told is None:
            kept, tested = rows[len(rows) // 3 :], rows[: len(rows) // 3]
        else:
            kept, tested = rows[~told[rows]], rows[told[rows]]
        if len(kept) < 2 or len(tested) < 1:
            raise BadInput(
                f"facet {name!r} has {len(kept)} stimuli to train on and {len(tested)} held out; "
                "it takes two and one at least."
            )
        training.append(kept[:per_facet])
        held_out.append(tested[: max(per_facet // 2, 1)])
    return np.sort(np.concatenate(training)), np.sort(np.concatenate(held_out))


def pictures(stimuli: Any, rows: Int[np.ndarray, " n"]) -> list[Any]:
    """Some of the stimuli."""
    if hasattr(stimuli, "pixels"):  # drawn together, cell by cell
        return [Image.fromarray(pixels) for pixels in stimuli.pixels(rows)]
    items = [stimuli[int(row)] for row in rows]
    return [item[0] if isinstance(item, tuple) else item for item in items]


def _kinds(renderings: pd.Series) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"picture": [], "drawing": [], "word": []}
    for rendering in dict.fromkeys(renderings):
        found[rendering if rendering in ("drawing", "word") else "picture"].append(rendering)
    return {kind: names for kind, names in found.items() if names}
