"""Which stimuli show which concept, in which rendering, on which side of the split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from lens.errors import BadInput

Split = Literal["discovery", "held-out"]
SPLITS: tuple[Split, Split] = ("discovery", "held-out")


@dataclass(frozen=True, eq=False)
class Cell:
    """The stimuli of one rendering on one side of the split.

    Attributes
    ----------
    rows
        Their row numbers in the table.
    positives
        (candidate concepts, rows): True where the stimulus shows the concept.
    """

    rows: np.ndarray
    positives: np.ndarray


@dataclass(frozen=True, eq=False)
class Cells:
    """A table of stimuli, sorted out.

    Attributes
    ----------
    concepts
        The candidates, in order of appearance; those that contain writing are not among them.
    renderings
        In order of appearance.
    discovery, held_out
        One `Cell` a rendering.
    n
        (candidates,): held-out stimuli of the concept in its smallest rendering.
    left_out
        How many concepts are no candidates because their picture contains writing. Their stimuli
        still stand among "the other concepts".
    """

    concepts: np.ndarray
    renderings: list[str]
    discovery: list[Cell]
    held_out: list[Cell]
    n: np.ndarray
    left_out: int


def sort_out(table: pd.DataFrame) -> Cells:
    """Sort the rows of a stimulus table into cells.

    Parameters
    ----------
    table
        A row a stimulus, with columns ``concept`` and ``rendering``; ``split`` ("discovery" or
        "held-out") and ``writing`` (True where the concept's picture contains writing) where there
        are any. Without ``split``, the stimuli of a concept in a rendering go to either side in
        turn, the first one to discovery.

    Raises
    ------
    BadInput
        Where a column is missing, there is one rendering or one concept only, or a concept has
        fewer than two stimuli in a rendering or none on one side of the split.
    """
    for column in ("concept", "rendering"):
        if column not in table:
            raise BadInput(
                f"The table of stimuli needs a column {column!r}; it has {list(table.columns)}."
            )
        if table[column].isna().any():
            row = int(np.flatnonzero(table[column].isna())[0])
            raise BadInput(f"Row {row} of the table of stimuli has no {column}.")

    concept_of, concept_index = pd.factorize(table["concept"])
    rendering_of, rendering_index = pd.factorize(table["rendering"])
    concepts = np.asarray(concept_index)
    renderings = [str(name) for name in rendering_index]
    if len(renderings) < 2:
        found = f"only {renderings[0]!r}" if renderings else "none"
        raise BadInput(
            f"Multimodality compares two or more renderings; the table of stimuli has {found}."
        )
    if len(concepts) < 2:
        raise BadInput(
            "The table of stimuli has one concept only; a unit can't tell it from others."
        )

    split_of = _split(table, concept_of * len(renderings) + rendering_of)
    counts = np.zeros((2, len(concepts), len(renderings)), dtype=int)
    np.add.at(counts, (split_of, concept_of, rendering_of), 1)
    _refuse_small_cells(counts, concepts, renderings)

    writing = np.zeros(len(concepts), dtype=bool)
    if "writing" in table:
        writing[concept_of[table["writing"].to_numpy(dtype=bool)]] = True
    candidates = np.flatnonzero(~writing)
    if not len(candidates):
        raise BadInput("Every concept of the table is marked as `writing`; none is left to score.")

    def side(split: int) -> list[Cell]:
        cells = []
        for rendering in range(len(renderings)):
            rows = np.flatnonzero((split_of == split) & (rendering_of == rendering))
            cells.append(Cell(rows, concept_of[rows] == candidates[:, None]))
        return cells

    return Cells(
        concepts=concepts[candidates],
        renderings=renderings,
        discovery=side(0),
        held_out=side(1),
        n=counts[1, candidates].min(axis=1),
        left_out=int(writing.sum()),
    )


def _split(table: pd.DataFrame, cell_of: np.ndarray) -> np.ndarray:
    """Give 0 (discovery) or 1 (held-out) for every row."""
    if "split" not in table:
        return pd.Series(cell_of).groupby(cell_of).cumcount().to_numpy() % 2
    split_of = pd.Index(SPLITS).get_indexer(pd.Index(table["split"]))
    if (split_of < 0).any():
        odd = table["split"].iloc[int(np.argmin(split_of))]
        raise BadInput(f'A split is "discovery" or "held-out"; the table of stimuli has {odd!r}.')
    return split_of


def _refuse_small_cells(counts: np.ndarray, concepts: np.ndarray, renderings: list[str]) -> None:
    """Raise for the first cell that can't be split in two."""
    small = np.argwhere((counts.sum(axis=0) < 2) | (counts == 0).any(axis=0))
    if not len(small):
        return
    concept, rendering = small[0]
    discovery, held_out = counts[:, concept, rendering]
    more = f" (and {len(small) - 1} more cells like it)" if len(small) > 1 else ""
    raise BadInput(
        f"Concept {str(concepts[concept])!r} has {discovery} discovery and {held_out} held-out "
        f"stimuli in rendering {renderings[rendering]!r}{more}; each concept needs two or more "
        f"stimuli in every rendering, one on either side of the split."
    )
