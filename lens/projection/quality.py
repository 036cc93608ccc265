"""How far a map can be trusted: what it made up, what it tore apart, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from lens.projection.nearness import nearest, ranks_of

__all__ = ["Quality", "measured"]

# Points from which the two measures are estimated, and up to which neighbours are found exactly.
SAMPLE = 2_000
EXACT = 20_000


@dataclass(frozen=True, eq=False)
class Quality:
    """How well the neighbourhoods of a map are those of the space.

    Attributes
    ----------
    k : int
        Neighbours that are looked at.
    trustworthiness : float
        In [0, 1]; 1 where every neighbour in the map is one in the space. A random map has about
        one half.
    continuity : float
        In [0, 1]; 1 where every neighbour in the space is one in the map.
    preserved : ndarray
        (n,) float32: the share of each point's `k` neighbours in the space that are among its `k`
        neighbours in the map.
    counted : int
        From how many points the two measures come: from all, or from so many drawn at random.
    exact : bool
        Whether `preserved` rests on exact neighbours; for maps of more than 20,000 points they are
        found by nearest-neighbour descent.
    """

    k: int
    trustworthiness: float
    continuity: float
    preserved: Float[np.ndarray, " n"]
    counted: int
    exact: bool

    def __repr__(self) -> str:
        sampled = "" if self.counted == len(self.preserved) else f" of {self.counted:,} points"
        return (
            f"trustworthiness {self.trustworthiness:.3f}, continuity {self.continuity:.3f}, "
            f"{self.preserved.mean():.0%} of neighbours kept (k = {self.k}{sampled})"
        )


def measured(
    space: Float[np.ndarray, "n dim"],
    placed: Float[np.ndarray, "n 2"],
    k: int = 15,
    seed: int = 0,
) -> Quality | None:
    """Compare the neighbourhoods of a map with those of the space it shows.

    Trustworthiness is 1 - 2 / (n k (2n - 3k - 1)) times the sum, over points i and over those of
    their k neighbours in the map that are not among their k neighbours in the space, of r(i, j) -
    k, where r is the rank of j among the neighbours of i in the space; continuity is the same with
    map and space exchanged (Venna & Kaski 2006, "Local multidimensional scaling", section 3).

    Parameters
    ----------
    space
        (n, dim): where Euclidean distances are the right ones.
    placed
        (n, 2): the map.
    k
        Neighbours to look at; fewer where there are too few points for the formula (k < n / 2).
    seed
        Of the points from which the measures are estimated, where there are very many.

    Returns
    -------
    Quality or None
        None for fewer than four points: every map of them is as good as any other.
    """
    n = len(space)
    if n < 4:
        return None
    k = max(1, min(k, (n - 1) // 2))
    asked = np.arange(n)
    if n > SAMPLE * 2:
        asked = np.sort(np.random.default_rng(seed).choice(n, SAMPLE, replace=False))
    in_space, in_map = nearest(space, k, asked), nearest(placed, k, asked)
    made_up = np.maximum(ranks_of(space, asked, in_map) - k, 0).sum()
    torn = np.maximum(ranks_of(placed, asked, in_space) - k, 0).sum()
    scale = 2 / (len(asked) * k * (2 * n - 3 * k - 1))
    if len(asked) < n:
        in_space, in_map = neighbours_of_all(space, k, seed), _in_map(placed, k)
    return Quality(
        k=k,
        trustworthiness=float(1 - scale * made_up),
        continuity=float(1 - scale * torn),
        preserved=_shared(in_space, in_map),
        counted=len(asked),
        exact=n <= EXACT,
    )


def neighbours_of_all(
    space: Float[np.ndarray, "n dim"], k: int, seed: int
) -> Int[np.ndarray, "n k"]:
    """Find everybody's neighbours: exactly, or by nearest-neighbour descent for very many."""
    if len(space) <= EXACT:
        return nearest(space, k)
    from pynndescent import NNDescent

    found, _ = NNDescent(space, n_neighbors=k + 1, random_state=seed, n_jobs=1).neighbor_graph
    return _without_self(np.asarray(found, np.int64), k)


def _in_map(placed: Float[np.ndarray, "n 2"], k: int) -> Int[np.ndarray, "n k"]:
    from scipy.spatial import KDTree

    _, found = KDTree(placed).query(placed, k + 1)
    return _without_self(np.asarray(found, np.int64), k)


def _without_self(found: Int[np.ndarray, "n more"], k: int) -> Int[np.ndarray, "n k"]:
    """Drop each row's own number; of exact duplicates it may be missing, then the last goes."""
    others = found != np.arange(len(found))[:, None]
    order = np.argsort(~others, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(found, order, axis=1)


def _shared(one: Int[np.ndarray, "n k"], other: Int[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    k = one.shape[1]
    both = np.sort(np.concatenate([one, other], axis=1), axis=1)
    return ((both[:, 1:] == both[:, :-1]).sum(axis=1) / k).astype(np.float32)
