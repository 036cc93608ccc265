"""Who is near whom: exact neighbours and ranks, a block of points at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

__all__ = ["nearest", "ranks_of", "squared_distances"]

# Numbers in one block of distances: 64 MB of float32.
BLOCK = 1 << 24


def squared_distances(
    rows: Float[np.ndarray, "n dim"], queries: Int[np.ndarray, " m"]
) -> Iterator[tuple[slice, Float[np.ndarray, "block n"]]]:
    """Give the squared Euclidean distances of some rows to all rows, block after block.

    A row's distance to itself is infinite: nobody is their own neighbour.
    """
    kept = rows.astype(np.float64 if rows.size <= 5_000_000 else np.float32)
    lengths = (kept**2).sum(axis=1)
    size = max(1, BLOCK // max(1, len(rows)))
    for start in range(0, len(queries), size):
        own = queries[start : start + size]
        found = lengths[own, None] + lengths - 2 * (kept[own] @ kept.T)
        found[np.arange(len(own)), own] = np.inf
        yield slice(start, start + len(own)), np.maximum(found, 0, out=found)


def nearest(
    rows: Float[np.ndarray, "n dim"], k: int, queries: Int[np.ndarray, " m"] | None = None
) -> Int[np.ndarray, "m k"]:
    """Find the `k` nearest rows of each row, nearest first; exact.

    Parameters
    ----------
    rows
        (n, dim); of unit length, their Euclidean order is that of the cosine.
    k
        How many, at most n - 1.
    queries
        The rows to find neighbours of; all of them if not given.
    """
    queries = np.arange(len(rows)) if queries is None else queries
    out = np.empty((len(queries), k), np.int64)
    for here, distances in squared_distances(rows, queries):
        close = np.argpartition(distances, k - 1, axis=1)[:, :k]
        near = np.take_along_axis(distances, close, axis=1)
        # Of equally near rows the first comes first.
        order = np.lexsort((close, near), axis=1)
        out[here] = np.take_along_axis(close, order, axis=1)
    return out


def ranks_of(
    rows: Float[np.ndarray, "n dim"], queries: Int[np.ndarray, " m"], others: Int[np.ndarray, "m k"]
) -> Int[np.ndarray, "m k"]:
    """Tell the how-manieth nearest each of some other rows is: 1 for the nearest.

    Parameters
    ----------
    rows
        (n, dim)
    queries
        From whom it is counted.
    others
        (m, k): for each query, rows whose rank is asked.
    """
    out = np.empty(others.shape, np.int64)
    for here, distances in squared_distances(rows, queries):
        asked = np.take_along_axis(distances, others[here], axis=1)
        for column in range(others.shape[1]):
            nearer = distances < asked[:, column, None]
            out[here, column] = np.count_nonzero(nearer, axis=1) + 1
    return out
