"""Unit values out of what was captured before, in memory or in a store, beside their stimuli."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from lens.errors import BadInput, UnknownSite
from lens.neurons.responses import Pool, Responses
from lens.sites import Site

__all__ = ["captured_responses", "captured_values"]


@dataclass(frozen=True, eq=False)
class Some:
    """Those of the stimuli that could be read when they were captured."""

    stimuli: Any
    rows: Int[np.ndarray, " rows"]
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.stimuli[int(self.rows[index])]


def captured_responses(
    captured: Any, site: Site, stimuli: Any, pool: Pool | None = None
) -> Responses:
    """Give what a pass over the stimuli would, out of what was captured of them.

    Parameters and errors are those of `captured_values`; ``site`` is the model's own, since it goes
    on to be asked for maps of single stimuli. The image embeddings are there if ``image.embedding``
    was captured too.
    """
    values, table, _ = captured_values(captured, site, stimuli, stimuli.table, pool)
    shown = stimuli
    if len(table) < len(stimuli):
        shown = Some(stimuli, np.flatnonzero(captured.valid), table)
    embeddings = None
    with suppress(UnknownSite):
        rows = captured.values_of("image.embedding")
        rows = rows[captured.valid] if len(rows) > len(table) else rows
        embeddings = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    kept: Pool = pool or ("cls" if site.n_prefix else "mean")
    return Responses(site, kept, shown, values, embeddings)


def captured_values(
    captured: Any, site: Any, stimuli: Any, table: pd.DataFrame, pool: str | None
) -> tuple[Float[np.ndarray, "stimuli units"], pd.DataFrame, str]:
    """Give the values of stimuli that could be read, and their rows of the table.

    Parameters
    ----------
    captured : Activations or Store
        What was captured of the stimuli, in their order.
    site : Site or str or None
        Where; the values before its final ReLU are taken where they were captured too.
    stimuli : data set or None
        What was shown; a store tells whether it was made of the same.
    table : pd.DataFrame
        A row a stimulus.
    pool : str or None
        How positions become one value.

    Raises
    ------
    BadInput
        If the stimuli are others, or not as many.
    """
    name = _before_relu(captured, site)
    _check_same(captured, stimuli)
    values = captured.values_of(name, pool)
    if not getattr(captured, "finished", True):
        raise BadInput(
            f"{captured.path} is not finished: {captured.rows_done:,} of "
            f"{len(values):,} inputs are done; run the same lens.capture again."
        )
    # A store keeps a row for each input, activations in memory one for each that was read.
    gone = len(captured.skipped) if len(values) < len(table) else 0
    if len(values) + gone != len(table):
        raise BadInput(
            f"The activations are of {len(values) + gone} inputs and the table has {len(table)} "
            f"rows; both have a row a stimulus."
        )
    if gone:
        raise BadInput(
            f"{gone} stimuli were skipped when the activations were captured; give the table "
            f"without them: table=..."
        )
    valid = getattr(captured, "valid", None)
    if valid is not None and not valid.all():
        values, table = values[valid], table[valid].reset_index(drop=True)
    return values, table, name


def _before_relu(captured: Any, site: Any) -> str:
    """The name under which a site's values before its final ReLU are kept, or else its own."""
    asked = captured._name(None) if site is None else getattr(site, "name", site)
    with suppress(UnknownSite):
        return captured._name(f"{asked}.pre_relu")
    return captured._name(site)


def _check_same(captured: Any, stimuli: Any) -> None:
    key, manifest = getattr(stimuli, "key", None), getattr(captured, "manifest", None)
    if key is None or manifest is None or manifest.dataset["kind"] == "concatenated":
        return
    told = manifest.dataset.get("key")
    if told is not None and told != key:
        raise BadInput(
            f"{captured.path} was made of other stimuli than these; capture these, or give the "
            f"ones that it was made of."
        )
