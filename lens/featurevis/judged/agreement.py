"""How like an image is to real pictures, and to its own copies, in a space of embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from lens.featurevis.judged.ranks import auroc


def agreement(
    found: Float[np.ndarray, "images dim"],
    features: Float[np.ndarray, "stimuli dim"],
    rows: Sequence[np.ndarray],
) -> list[float]:
    """AUROC of the cosine to the image, a unit's best stimuli against all others."""
    scores = []
    for vector, best in zip(found, rows, strict=True):
        positive = np.zeros(len(features), dtype=bool)
        positive[best] = True
        scores.append(auroc(features @ vector, positive))
    return scores


def diversity(
    found: Float[np.ndarray, "images dim"],
    features: Float[np.ndarray, "stimuli dim"],
    copies: Int[np.ndarray, " images"],
    rows: Sequence[np.ndarray],
) -> pd.DataFrame:
    """A row a unit: mean cosine distance of its copies, and of its best stimuli."""
    starts = np.flatnonzero(copies == 0).tolist()
    ends = [*starts[1:], len(copies)]
    return pd.DataFrame(
        {
            "diversity": [_apart(found[a:b]) for a, b in zip(starts, ends, strict=True)],
            "examples_diversity": [_apart(features[rows[a]]) for a in starts],
        }
    )


def _apart(features: Float[np.ndarray, "some dim"]) -> float:
    """Mean cosine distance over pairs; NaN for a single one."""
    pairs = np.triu_indices(len(features), 1)
    return float((1 - (features @ features.T)[pairs]).mean()) if len(pairs[0]) else float("nan")
