"""Where a number stands among others: percentiles and areas under the ROC curve, ties halved."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata


def percentiles(
    found: Float[np.ndarray, " n"], among: Float[np.ndarray, "others n"]
) -> Float[np.ndarray, " n"]:
    """Percentage of column i of ``among`` that lies below ``found[i]``; an equal counts half."""
    below = (among < found).mean(0) + 0.5 * (among == found).mean(0)
    return 100 * below


def auroc(scores: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> float:
    """Chance that a positive scores above a negative, an equal counting half; NaN without both.

    The Mann-Whitney statistic over the number of pairs (Hanley, McNeil, Radiology 1982).
    """
    many, few = int(positive.sum()), int((~positive).sum())
    if not many or not few:
        return float("nan")
    ranked = rankdata(scores)[positive].sum()
    return float((ranked - many * (many + 1) / 2) / (many * few))
