import math

import numpy as np
from scipy.stats import mannwhitneyu, percentileofscore

from lens.featurevis.judged.ranks import auroc, percentiles


def test_percentiles_are_those_of_a_plain_count():
    random = np.random.default_rng(0)
    among = random.integers(0, 9, size=(50, 6)).astype(np.float32)  # with many ties
    found = random.integers(-1, 10, size=6).astype(np.float32)
    plain = [percentileofscore(among[:, i], found[i], kind="mean") for i in range(6)]
    assert np.allclose(percentiles(found, among), plain)


def test_percentiles_at_the_ends():
    among = np.arange(10.0)[:, None].repeat(3, 1)
    assert percentiles(np.array([-1.0, 10.0, 4.0]), among).tolist() == [0, 100, 45]


def test_auroc_counts_pairs():
    random = np.random.default_rng(1)
    scores = random.integers(0, 12, size=80).astype(float)
    positive = random.random(80) < 0.3
    pairs = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a in scores[positive]
        for b in scores[~positive]
    ]
    assert math.isclose(auroc(scores, positive), sum(pairs) / len(pairs))
    u = mannwhitneyu(scores[positive], scores[~positive]).statistic
    assert math.isclose(auroc(scores, positive), u / len(pairs))


def test_auroc_needs_both_kinds():
    assert math.isnan(auroc(np.arange(3.0), np.zeros(3, dtype=bool)))
    assert math.isnan(auroc(np.arange(3.0), np.ones(3, dtype=bool)))
