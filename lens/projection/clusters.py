"""Clusters of a map, named by the words that tell each from the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    import pandas as pd

    from lens.projection.points import Points

__all__ = ["cluster_table", "distinctive_words", "found_clusters", "most_common"]


def found_clusters(
    rows: Float[np.ndarray, "n dim"], smallest: int | None = None
) -> Int[np.ndarray, " n"]:
    """Find dense groups of points by HDBSCAN (Campello, Moulavi & Sander 2013).

    Parameters
    ----------
    rows
        (n, dim): the map, or the vectors themselves.
    smallest
        Points of the smallest group that counts as a cluster; half the square root of n, at least
        5, if not given.

    Returns
    -------
    ndarray
        (n,): the number of each point's cluster, the largest first; -1 in none.
    """
    n = len(rows)
    smallest = max(5, round(n**0.5 / 2)) if smallest is None else max(2, smallest)
    if n < 2 * smallest:
        return np.full(n, -1)
    from sklearn.cluster import HDBSCAN

    # Leaves of the tree: many small groups that are about one thing, rather than a few large ones.
    found = HDBSCAN(
        min_cluster_size=smallest,
        min_samples=min(5, smallest),
        cluster_selection_method="leaf",
        copy=True,
    )
    labels = np.asarray(found.fit_predict(rows.astype(np.float64)), np.int64)
    labels[labels < 0] = -1  # -2 and -3: points that are not numbers
    sizes = np.bincount(labels[labels >= 0]) if (labels >= 0).any() else np.zeros(0, int)
    number = np.empty(len(sizes), np.int64)
    number[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return np.where(labels >= 0, number[labels], -1) if len(sizes) else labels


def distinctive_words(
    vectors: Float[np.ndarray, "n dim"],
    clusters: Int[np.ndarray, " n"],
    words: Sequence[str],
    texts: Float[np.ndarray, "words dim"],
    count: int = 3,
) -> list[list[str]]:
    """Name clusters zero-shot: the words that they are nearer to than everything else is.

    The contrast of a word in a cluster is (m_c - m) . (t - mean t): m_c the cluster's mean
    embedding, m that of all points, t the word's. As in class-based TF-IDF (Grootendorst 2022,
    "BERTopic", section 3.3), a positive contrast f_cw counts log(1 + A / f_w) times: f_w is the
    word's sum over all clusters and A the mean of these sums, so that a word which suits many
    clusters names none of them.

    Returns
    -------
    list of list of str
        For each cluster its best words, best first; a word leads at most one cluster as long as
        there are others.
    """
    n = int(clusters.max(initial=-1)) + 1
    if n == 0 or not len(words):
        return [[] for _ in range(n)]
    mean = vectors.mean(axis=0)
    centres = np.stack([vectors[clusters == c].mean(axis=0) - mean for c in range(n)])
    contrast = np.maximum(centres @ (texts - texts.mean(axis=0)).T, 0).astype(np.float64)
    contrast[contrast < 1e-6 * contrast.max()] = 0  # what rounding left over names nothing
    total = contrast.sum(axis=0)
    weight = np.log1p(total.mean() / np.where(total > 0, total, np.inf))
    scores = contrast * weight
    order = np.argsort(-scores, axis=1, kind="stable")
    chosen = [[int(w) for w in row[: count + n] if scores[c, w] > 0] for c, row in enumerate(order)]
    leads: set[int] = set()
    # The clusters that are surest of their first word choose first.
    for c in np.argsort(-scores.max(axis=1), kind="stable"):
        free = next((w for w in chosen[c] if w not in leads), None)
        if free is not None:
            leads.add(free)
            chosen[c] = [free, *(w for w in chosen[c] if w != free)]
    return [[words[w] for w in own[:count]] for own in chosen]


def cluster_table(
    numbers: Int[np.ndarray, " n"],
    points: Points,
    placed: Float[np.ndarray, "n 2"],
    words: Sequence[str],
    texts: Float[np.ndarray, "words dim"] | None,
) -> pd.DataFrame:
    """Give one row a cluster; `Projection.clusters` tells the columns."""
    import pandas as pd

    n = int(numbers.max(initial=-1)) + 1
    named: list[list[str]] = [[] for _ in range(n)]
    if n and texts is not None:
        named = distinctive_words(points.vectors, numbers, words, texts)
    first = next(iter(points.columns), None)
    rows = []
    for c in range(n):
        own = numbers == c
        common, share = "", float("nan")
        if first is not None:
            common, share = most_common(points.columns[first][own].tolist())
        name = named[c][0] if named[c] else common if share >= 0.5 else f"cluster {c}"
        x, y = np.median(placed[own], axis=0)
        size = int(own.sum())
        rows.append((c, name, ", ".join(named[c]), size, size / len(own), common, share, x, y))
    columns = "cluster name words n share most_common share_of_it x y".split()
    return pd.DataFrame(rows, columns=columns)


def most_common(values: Sequence[object]) -> tuple[str, float]:
    """Give the most frequent value, as text, and its share; of equals the first."""
    names, counts = np.unique(np.asarray([str(v) for v in values]), return_counts=True)
    best = int(counts.argmax())
    return str(names[best]), float(counts[best] / counts.sum())
