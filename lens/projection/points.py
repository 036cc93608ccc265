"""What a map shows: vectors, and for each what it is, what it is called and how it looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

from lens.errors import BadInput
from lens.pictures import open_picture

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

__all__ = ["Points", "Space", "columns_of", "in_space", "joined"]


@dataclass(frozen=True, eq=False)
class Points:
    """Vectors and what they stand for.

    Attributes
    ----------
    vectors : ndarray
        (n, dim) float32, finite.
    ids : list of str
        What each point is called: a file or a number, the text itself, "image.layer4/17".
    kinds : ndarray
        (n,) of str: "image", "text", "unit", or "point" where it is not known.
    columns : pd.DataFrame
        A row a point: what it can be coloured by.
    pictures : sequence or None
        Anything that gives a picture for the number that `rows` tells.
    rows : ndarray
        (n,) int: where each point's picture is among `pictures`; -1 where it has none.
    left_out : list of (str, str)
        What is not on the map, and why.
    """

    vectors: Float[np.ndarray, "n dim"]
    ids: list[str]
    kinds: Shaped[np.ndarray, " n"]
    columns: pd.DataFrame
    pictures: Any
    rows: Shaped[np.ndarray, " n"]
    left_out: list[tuple[str, str]]

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def names(self) -> list[str]:
        """What each point is: the concept and rendering of a stimulus, or else its id."""
        if not {"concept", "rendering"} <= set(self.columns):
            return self.ids
        told = self.columns[["concept", "rendering"]]
        known = told.notna().all(axis=1)
        pairs = zip(self.ids, known, told["concept"], told["rendering"], strict=True)
        return [f"{concept}, {how}" if both else name for name, both, concept, how in pairs]

    def picture(self, point: int) -> Image.Image | None:
        """Open the picture of one point; None where it has none, or it cannot be read now."""
        row = int(self.rows[point])
        if self.pictures is None or row < 0:
            return None
        try:
            item = self.pictures[row]
            return open_picture(item[0] if isinstance(item, tuple) else item, self.ids[point])
        except (BadInput, OSError):
            return None

    def finite(self) -> Points:
        """Leave out rows that are not numbers, and say which."""
        bad = (~np.isfinite(self.vectors)).sum(axis=1)
        if not bad.any():
            return self
        dim = self.vectors.shape[1]
        why = [
            (self.ids[i], f"{bad[i]} of its {dim} values are NaN or infinite")
            for i in np.flatnonzero(bad)
        ]
        return self.only(bad == 0, why)

    def only(self, keep: Shaped[np.ndarray, " n"], why: Sequence[tuple[str, str]]) -> Points:
        """Keep some points; `why` tells what became of the others."""
        return Points(
            self.vectors[keep],
            [name for name, kept in zip(self.ids, keep, strict=True) if kept],
            self.kinds[keep],
            self.columns[keep].reset_index(drop=True),
            self.pictures,
            self.rows[keep],
            [*self.left_out, *why],
        )


def joined(parts: Sequence[Points]) -> Points:
    """Put several kinds of points on one map; at most one of them has pictures.

    Raises
    ------
    BadInput
        If their vectors have different lengths.
    """
    import pandas as pd

    dims = {part.kinds[0]: part.vectors.shape[1] for part in parts if len(part)}
    if len(set(dims.values())) > 1:
        told = ", ".join(f"each {kind} has {dim}" for kind, dim in dims.items())
        raise BadInput(f"One map needs vectors of one length: {told} numbers.")
    parts = [part for part in parts if len(part)] or list(parts)[:1]
    pictured = next((part for part in parts if part.pictures is not None), None)
    return Points(
        np.concatenate([part.vectors for part in parts]),
        [name for part in parts for name in part.ids],
        np.concatenate([part.kinds for part in parts]),
        pd.concat([part.columns for part in parts], ignore_index=True),
        None if pictured is None else pictured.pictures,
        np.concatenate([part.rows for part in parts]),
        [gone for part in parts for gone in part.left_out],
    )


def columns_of(labels: Any, n: int, table: pd.DataFrame | None, what: str) -> pd.DataFrame:
    """Give what points can be coloured by, a row a point.

    Parameters
    ----------
    labels
        One value a point; several such by name; the name of a column of `table`; or None.
    n
        How many points there are.
    table
        What the stimuli tell of themselves.
    what
        What the points are called in an error.

    Raises
    ------
    BadInput
        If there are not as many labels as points.
    """
    import pandas as pd

    own = pd.DataFrame(index=pd.RangeIndex(n))
    if table is not None and len(table) == n:
        told = [name for name in ("concept", "rendering", "group", "split") if name in table]
        own = table[told or list(table.columns)].reset_index(drop=True)
    if labels is None:
        return own
    if isinstance(labels, str):
        if table is None or labels not in table:
            have = ", ".join(map(str, table.columns)) if table is not None else "no columns"
            raise BadInput(f"There is no column {labels!r} to label by; the stimuli have {have}.")
        return own.assign(**{labels: table[labels].to_numpy()})
    if isinstance(labels, Mapping | pd.DataFrame):
        given = {str(name): labels[name] for name in labels}
    else:
        given = {str(getattr(labels, "name", None) or "label"): labels}
    for name, values in given.items():
        array = np.asarray(values)
        if array.ndim != 1 or len(array) != n:
            size = " x ".join(map(str, array.shape))
            raise BadInput(f"{name!r} has {size} labels, and there are {n:,} {what}.")
        own[name] = array
    return own


@dataclass(frozen=True, eq=False)
class Space:
    """Where neighbours are looked for: vectors as the metric and the kinds of points want them.

    Attributes
    ----------
    rows : ndarray
        (n, dim) float32: Euclidean distances between them are in the order that the metric wants.
    metric : str
        "cosine" or "euclidean".
    means : dict of str to ndarray
        What was taken away from each kind of point; empty where all are of one kind.
    """

    rows: Float[np.ndarray, "n dim"]
    metric: str
    means: Mapping[str, Float[np.ndarray, " dim"]]

    def of(
        self, vectors: Float[np.ndarray, "m dim"], kind: str | None = None
    ) -> Float[np.ndarray, "m dim"]:
        """Bring more vectors into the space, as if they had been there from the start."""
        vectors = np.asarray(vectors, np.float32)
        if self.means:
            vectors = vectors - self.means.get(kind or "", 0)
        return _unit(vectors) if self.metric == "cosine" else vectors


def in_space(points: Points, metric: str) -> Space:
    """Prepare points for a metric.

    Pictures and texts lie in two narrow cones of a joint space, apart from each other whatever they
    show (the modality gap: Liang et al. 2022, "Mind the gap"). So where a map has several kinds of
    points, each kind is centred on its own mean; else it would show the kinds and little more.

    Raises
    ------
    BadInput
        For an unknown metric.
    """
    if metric not in ("cosine", "euclidean"):
        raise BadInput(f"metric is 'cosine' or 'euclidean', not {metric!r}.")
    vectors = points.vectors
    kinds = list(dict.fromkeys(points.kinds.tolist()))
    means: dict[str, np.ndarray] = {}
    if len(kinds) > 1:
        vectors = vectors.copy()
        for kind in kinds:
            own = points.kinds == kind
            means[kind] = vectors[own].mean(axis=0)
            vectors[own] -= means[kind]
    return Space(_unit(vectors) if metric == "cosine" else vectors, metric, means)


def _unit(vectors: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
