"""Rank statistics of units against concepts, and false-discovery control.

Nothing here knows of models. ``values`` is always (stimuli, units); ``positives`` is always
(concepts, stimuli), True where the stimulus shows the concept; the stimuli are those of *one*
rendering, so that the others in the comparison differ in concept and in nothing else. Every answer
is (units, concepts), in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Real
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.special import comb, ndtr

from lens.errors import BadInput

Method = Literal["auto", "asymptotic"]

# scipy's own rule: up to so many stimuli in the smaller group, p is exact unless there are ties.
EXACT = 8


@dataclass(frozen=True, eq=False)
class Comparison:
    """How the stimuli of each concept stand out from the others, by unit.

    Attributes
    ----------
    auroc
        (units, concepts): chance that a stimulus of the concept excites the unit more than another
        one does; ties count half.
    p
        (units, concepts): one-sided Mann-Whitney p of "more than chance".
    d_prime
        (units, concepts): distance of the means in standard deviations.
    """

    auroc: Float[np.ndarray, "units concepts"]
    p: Float[np.ndarray, "units concepts"]
    d_prime: Float[np.ndarray, "units concepts"]


def midranks(
    values: Real[np.ndarray, "stimuli units"],
) -> tuple[
    Float[np.ndarray, "stimuli units"],
    Float[np.ndarray, "stimuli units"],
    Float[np.ndarray, " units"],
]:
    """Rank the stimuli for every unit; equal values share the mean of their ranks.

    Parameters
    ----------
    values
        (stimuli, units).

    Returns
    -------
    ranks
        (stimuli, units), from 1; whole or half numbers, hence exact.
    least
        (stimuli, units): the smallest of the ranks that equal values share.
    ties
        (units,): the sum over groups of t equal values of t^3 - t, which is what ties take from the
        variance of a rank sum.
    """
    rows = np.ascontiguousarray(values.T)  # a unit's values side by side: sorting is then fast
    order = np.argsort(rows, axis=1)
    ordered = np.take_along_axis(rows, order, axis=1)

    place = np.arange(rows.shape[1])
    starts = np.ones(rows.shape, dtype=bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    ends = np.ones(rows.shape, dtype=bool)
    ends[:, :-1] = starts[:, 1:]
    first = np.maximum.accumulate(np.where(starts, place, 0), axis=1)
    last = np.where(ends, place, rows.shape[1])
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]

    ranks, least = np.empty(rows.shape), np.empty(rows.shape)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, axis=1)
    np.put_along_axis(least, order, first + 1.0, axis=1)
    size = (last - first + 1).astype(np.float64)
    return ranks.T, least.T, (size**2 - 1).sum(axis=1)


def auroc(
    values: Real[np.ndarray, "stimuli units"], positives: Bool[np.ndarray, "concepts stimuli"]
) -> Float[np.ndarray, "units concepts"]:
    """Area under the ROC curve of every unit for every concept.

    Each unit is sorted once; the rank sums of all concepts are then one product with the indicator
    matrix (a sparse one: a stimulus shows few concepts).

    Parameters
    ----------
    values
        (stimuli, units).
    positives
        (concepts, stimuli).

    Returns
    -------
    np.ndarray
        (units, concepts) in [0, 1]; 0.5 is chance.

    Raises
    ------
    BadInput
        Where the shapes disagree, or a concept has all stimuli or none.
    """
    indicator, shown, others = _indicator(values, positives)
    ranks, _, _ = midranks(values)
    return ((indicator @ ranks - shown * (shown + 1) / 2) / (shown * others)).T


def mann_whitney(
    values: Real[np.ndarray, "stimuli units"],
    positives: Bool[np.ndarray, "concepts stimuli"],
    method: Method = "auto",
) -> Float[np.ndarray, "units concepts"]:
    """One-sided Mann-Whitney p of every unit for every concept (Mann & Whitney 1947).

    Parameters
    ----------
    values
        (stimuli, units).
    positives
        (concepts, stimuli).
    method
        "asymptotic": the normal form, with tie and continuity corrections. "auto": exact for up to
        eight stimuli of a concept, every tie counted against the concept, so that p is never too
        small. In the far tail of so few the normal form is much too cautious: it can't get below
        3e-4 with four stimuli, or 5e-7 with eight.

    Returns
    -------
    np.ndarray
        (units, concepts): p of "the concept's stimuli are not larger"; 1 for a constant unit.
    """
    return compare(values, positives, method).p


def d_prime(
    values: Real[np.ndarray, "stimuli units"], positives: Bool[np.ndarray, "concepts stimuli"]
) -> Float[np.ndarray, "units concepts"]:
    """Distance between the means of a concept's stimuli and of the others, in standard deviations.

    d' = (m1 - m0) / sqrt((s1^2 + s0^2) / 2). One stimulus alone has no spread of its own: s0 then
    stands for both. A constant unit gets 0; without any spread, different means are infinitely far.

    Parameters
    ----------
    values
        (stimuli, units).
    positives
        (concepts, stimuli).

    Returns
    -------
    np.ndarray
        (units, concepts).
    """
    indicator, shown, others = _indicator(values, positives)
    return _d_prime(indicator, np.asarray(values, dtype=np.float64), shown, others).T


def compare(
    values: Real[np.ndarray, "stimuli units"],
    positives: Bool[np.ndarray, "concepts stimuli"],
    method: Method = "auto",
) -> Comparison:
    """AUROC, p and d' of every unit for every concept, from one sort.

    Parameters
    ----------
    values
        (stimuli, units).
    positives
        (concepts, stimuli).
    method
        See `mann_whitney`.
    """
    indicator, shown, others = _indicator(values, positives)
    ranks, least, ties = midranks(values)
    smallest = shown * (shown + 1) / 2
    u = indicator @ ranks - smallest  # whole and half numbers: exact
    p = _normal_p(u, ties, shown, others)
    if method == "auto":
        # Ties broken at random give an exact p; broken against the concept, a larger one.
        lower = u if not ties.any() else np.maximum(indicator @ least - smallest, 0)
        for a, b in np.unique(np.hstack([shown, others]).astype(int), axis=0):
            if min(a, b) <= EXACT:
                cells = shown[:, 0] == a
                p[cells] = _upper_tail(min(a, b), max(a, b))[lower[cells].astype(int)]
    return Comparison(
        auroc=(u / (shown * others)).T,
        p=p.T,
        d_prime=_d_prime(indicator, np.asarray(values, dtype=np.float64), shown, others).T,
    )


def benjamini_hochberg(p: ArrayLike) -> np.ndarray:
    """False-discovery q of every p in one family (Benjamini & Hochberg 1995).

    Parameters
    ----------
    p
        p values of any shape; all of them are the family.

    Returns
    -------
    np.ndarray
        Of the same shape: the smallest false-discovery rate at which each would be a discovery.
    """
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, axis=None)
    return _step_up(p, order, np.full(p.size, p.size))


def adafilter_bh(p: Float[np.ndarray, "*family renderings"]) -> np.ndarray:
    """False-discovery q of "holds in every rendering" (AdaFilter-BH; Wang et al. 2022).

    The largest p has to be small for all renderings to agree, which makes plain
    Benjamini-Hochberg on it very cautious: most pairs have no effect anywhere. AdaFilter counts
    as the family, at each threshold, only the pairs whose *second* largest p passes it. It relies
    on the renderings' p being independent, as they are when no stimulus is in two renderings.

    Parameters
    ----------
    p
        One-sided p, the last axis over (two or more) renderings; all others are the family.

    Returns
    -------
    np.ndarray
        q of the family's shape.
    """
    p = np.asarray(p, dtype=np.float64)
    if p.shape[-1] < 2:
        raise BadInput("AdaFilter needs the p of two or more renderings along the last axis.")
    top = np.partition(p, (-2, -1), axis=-1)[..., -2:]
    second, largest = top[..., 0], top[..., 1]
    order = np.argsort(largest, axis=None)
    passing = np.searchsorted(np.sort(second, axis=None), largest.ravel()[order], side="right")
    return _step_up(largest, order, passing)


def _step_up(p: np.ndarray, order: np.ndarray, family: np.ndarray) -> np.ndarray:
    """Turn sorted p and the family's size at each into monotone q, in the shape of p."""
    sorted_q = p.ravel()[order] * family / np.arange(1, p.size + 1)
    sorted_q = np.minimum.accumulate(sorted_q[::-1])[::-1]
    q = np.empty(p.size)
    q[order] = np.minimum(sorted_q, 1.0)
    return q.reshape(p.shape)


def _indicator(values: np.ndarray, positives: np.ndarray):
    """Check the shapes; give the sparse indicator and the counts (concepts, 1) in and out of it."""
    if values.ndim != 2 or positives.ndim != 2 or positives.shape[1] != len(values):
        raise BadInput(
            f"Values of shape (stimuli, units) and positives of shape (concepts, stimuli) are "
            f"needed; these are {values.shape} and {positives.shape}."
        )
    shown = positives.sum(axis=1, dtype=np.float64)[:, None]
    others = len(values) - shown
    if not (shown.all() and others.all()):
        row = int(np.argmin(np.minimum(shown, others)))
        raise BadInput(
            f"Concept {row} has {int(shown[row, 0])} of the {len(values)} stimuli; a comparison "
            f"needs some in it and some out of it."
        )
    return sparse.csr_array(positives.astype(np.float64)), shown, others


def _normal_p(u: np.ndarray, ties: np.ndarray, shown: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Give P(U >= u) by the normal form, for u (concepts, units) and the units' tie terms."""
    n, pairs = shown + others, shown * others
    spread = np.sqrt(pairs / 12 * ((n + 1) - ties / (n * (n - 1))))
    with np.errstate(divide="ignore"):
        # A constant unit has no spread: z is minus infinity, and p is 1.
        return ndtr((u - pairs / 2 - 0.5) / -spread)


@lru_cache(maxsize=64)
def _upper_tail(few: int, many: int) -> Float[np.ndarray, " u"]:
    """Give P(U >= u) for u = 0 ... few * many by counting, without ties.

    The number of orders with U = u is the coefficient of q^u in the Gaussian binomial, the product
    over i = 1 ... few of (1 - q^(many + i)) / (1 - q^i). Only the lower half is counted, where the
    differences lose no digits; the other half is its mirror image.
    """
    pairs = few * many
    half = pairs // 2 + 1
    counts = np.zeros(half)
    counts[0] = 1
    for i in range(1, few + 1):  # divide by 1 - q^i: running sums, i apart
        padded = np.zeros(-(-half // i) * i)
        padded[:half] = counts
        counts = padded.reshape(-1, i).cumsum(axis=0).ravel()[:half]
    for i in range(1, few + 1):  # multiply by 1 - q^(many + i)
        counts[many + i :] -= counts[: -(many + i)].copy()
    lower = counts.cumsum() / comb(few + many, few)  # P(U <= u)

    tail = np.ones(pairs + 1)
    tail[1 : pairs - half + 1] = 1 - lower[: pairs - half]
    tail[pairs - half + 1 :] = lower[::-1]
    return tail


def _d_prime(indicator, values: np.ndarray, shown: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute d' (concepts, units) from sums and sums of squares about each unit's own mean."""
    values = values - values[0]  # else squares of a large offset drown the spread; a constant
    values = values - values.mean(axis=0)  # unit becomes exactly zero
    squares = values**2
    sum_in, square_in = indicator @ values, indicator @ squares
    sum_out, square_out = values.sum(axis=0) - sum_in, squares.sum(axis=0) - square_in
    distance = sum_in / shown - sum_out / others

    var_in = _variance(sum_in, square_in, shown)
    var_out = _variance(sum_out, square_out, others)
    var_in, var_out = np.where(shown > 1, var_in, var_out), np.where(others > 1, var_out, var_in)
    spread = np.sqrt((var_in + var_out) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distance == 0, 0.0, distance / spread)


def _variance(total: np.ndarray, squares: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Unbiased variance from sums; rounding can't push it below zero."""
    return np.maximum(squares - total**2 / n, 0) / np.maximum(n - 1, 1)
