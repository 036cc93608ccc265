"""Rank statistics against brute force and scipy, and the false-discovery controls."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from lens.errors import BadInput
from lens.neurons import statistics


def brute_auroc(values, positives):
    areas = np.empty((values.shape[1], len(positives)))
    for c, shown in enumerate(positives):
        for k in range(values.shape[1]):
            inside, outside = values[shown, k][:, None], values[~shown, k]
            areas[k, c] = np.mean((inside > outside) + 0.5 * (inside == outside))
    return areas


def draw(rng, stimuli=60, units=5, concepts=4, levels=None):
    """Values (few levels: many ties) and an overlapping set of concepts."""
    values = rng.normal(size=(stimuli, units))
    if levels:
        values = np.round(values * levels) / levels
    positives = rng.random((concepts, stimuli)) < rng.uniform(0.1, 0.6, size=(concepts, 1))
    positives[:, 0], positives[:, 1] = True, False
    return values, positives


@pytest.mark.parametrize("levels", [None, 1, 3])
def test_auroc_equals_counting_pairs(levels):
    values, positives = draw(np.random.default_rng(0), levels=levels)
    area = statistics.auroc(values, positives)
    assert area.dtype == np.float64
    np.testing.assert_allclose(area, brute_auroc(values, positives), rtol=0, atol=1e-14)


def test_auroc_of_ties_is_exact():
    values = np.array([[1.0], [1.0], [1.0], [2.0]])
    assert statistics.auroc(values, np.array([[True, False, False, False]]))[0, 0] == 1 / 3
    assert statistics.auroc(values * 0, np.array([[True, False, False, False]]))[0, 0] == 0.5


@pytest.mark.parametrize("levels", [None, 1, 3])
def test_midranks_and_their_tie_term(levels):
    values, _ = draw(np.random.default_rng(1), levels=levels)
    ranks, least, ties = statistics.midranks(values)
    np.testing.assert_array_equal(ranks, stats.rankdata(values, axis=0))
    np.testing.assert_array_equal(least, stats.rankdata(values, axis=0, method="min"))
    counts = [np.unique(column, return_counts=True)[1].astype(float) for column in values.T]
    np.testing.assert_array_equal(ties, [np.sum(t**3 - t) for t in counts])


@pytest.mark.parametrize("levels", [None, 1, 3])
def test_asymptotic_p_matches_scipy(levels):
    rng = np.random.default_rng(2)
    values, positives = draw(rng, levels=levels)
    values[:, 0] += 3 * positives[1]  # one strong effect, for the tail
    p = statistics.mann_whitney(values, positives, method="asymptotic")
    for c, shown in enumerate(positives):
        for k in range(values.shape[1]):
            known = stats.mannwhitneyu(
                values[shown, k], values[~shown, k], alternative="greater", method="asymptotic"
            )
            assert p[k, c] == pytest.approx(known.pvalue, rel=1e-9, abs=1e-300)


def test_p_of_few_stimuli_matches_scipy_s_own_choice():
    """Exact for up to eight in either group, normal for more."""
    rng = np.random.default_rng(9)
    values = rng.normal(size=(31, 6)) + 2.0 * (np.arange(31) < 8)[:, None]
    positives = np.stack([np.arange(31) < n for n in (1, 2, 5, 8, 9, 15, 23, 30)])
    p = statistics.mann_whitney(values, positives)
    for c, shown in enumerate(positives):
        for k in range(values.shape[1]):
            known = stats.mannwhitneyu(
                values[shown, k], values[~shown, k], alternative="greater", method="auto"
            )
            assert p[k, c] == pytest.approx(known.pvalue, rel=1e-9)


def test_ties_of_few_stimuli_count_against_the_concept():
    rng = np.random.default_rng(12)
    shown = np.arange(40) < 6
    values = np.round(rng.normal(size=(40, 30)) + 1.5 * shown[:, None], 1)
    p = statistics.mann_whitney(values, shown[None])[:, 0]
    assert (statistics.midranks(values)[2] > 0).all()
    for _ in range(10):  # however the ties are broken, p is no smaller than the exact one
        broken = values + 1e-3 * rng.random(values.shape)
        exact = stats.mannwhitneyu(
            broken[shown], broken[~shown], alternative="greater", method="exact"
        ).pvalue
        assert (p >= exact * (1 - 1e-9)).all()
    # Lost to everything it is tied with, and nothing more: where only strangers are tied.
    against = stats.mannwhitneyu(
        values[shown] - 1e-3 * np.arange(6)[:, None] / 6 - 1e-3,
        values[~shown] + 1e-6 * rng.random((34, 30)),
        alternative="greater",
        method="exact",
    ).pvalue
    own = np.array([len(np.unique(column)) == 6 for column in values[shown].T])
    assert own.any() and np.allclose(p[own], against[own], rtol=1e-9)


def test_exact_p_in_the_far_tail():
    """Eight stimuli above 3,400 others: one order in as many as there are choices of eight."""
    values = np.arange(3408.0)[:, None]
    p = statistics.mann_whitney(values, values.T >= 3400)[0, 0]
    assert p == pytest.approx(1 / math.comb(3408, 8), rel=1e-9)
    values[3400], values[3399] = values[3399, 0], values[3400, 0]  # one other in between
    p = statistics.mann_whitney(values, np.arange(3408)[None] >= 3400)[0, 0]
    assert p == pytest.approx(2 / math.comb(3408, 8), rel=1e-9)


def test_exact_p_is_uniform_under_the_null():
    values = np.random.default_rng(10).normal(size=(40, 4000))
    p = statistics.mann_whitney(values, np.arange(40)[None] < 6).ravel()
    for level in (0.001, 0.01, 0.05, 0.3):
        assert abs((p <= level).mean() - level) < 4 * np.sqrt(level * (1 - level) / 4000)


def test_tiny_p_keeps_its_digits():
    values = np.arange(3000.0)[:, None]
    shown = values.T >= 2500
    known = stats.mannwhitneyu(
        values[shown.ravel(), 0], values[~shown.ravel(), 0], alternative="greater",
        method="asymptotic",
    )  # fmt: skip
    p = statistics.mann_whitney(values, shown)[0, 0]
    assert 0 < p < 1e-200
    assert p == pytest.approx(known.pvalue, rel=1e-9)


def test_d_prime_by_its_formula():
    values, positives = draw(np.random.default_rng(3))
    values = values * 1e-3 + 1e3  # an offset must not eat the digits
    found = statistics.d_prime(values, positives)
    for c, shown in enumerate(positives):
        inside, outside = values[shown], values[~shown]
        spread = np.sqrt((inside.var(axis=0, ddof=1) + outside.var(axis=0, ddof=1)) / 2)
        known = (inside.mean(axis=0) - outside.mean(axis=0)) / spread
        np.testing.assert_allclose(found[:, c], known, rtol=1e-6)


def test_one_stimulus_borrows_the_spread_of_the_others():
    values = np.array([[5.0], [0.0], [1.0], [2.0]])
    found = statistics.d_prime(values, np.array([[True, False, False, False]]))
    assert found[0, 0] == pytest.approx(4.0)


def test_a_constant_unit_says_nothing():
    values = np.full((30, 1), 0.1)
    positives = np.arange(30)[None] < 7
    result = statistics.compare(values, positives)
    assert (result.auroc[0, 0], result.p[0, 0], result.d_prime[0, 0]) == (0.5, 1.0, 0.0)


def test_compare_agrees_with_the_single_functions():
    values, positives = draw(np.random.default_rng(4), levels=3)
    result = statistics.compare(values, positives)
    np.testing.assert_array_equal(result.auroc, statistics.auroc(values, positives))
    np.testing.assert_array_equal(result.d_prime, statistics.d_prime(values, positives))


@pytest.mark.parametrize(
    ("values", "positives"),
    [
        (np.zeros((5, 2)), np.ones((1, 4), bool)),
        (np.zeros(5), np.ones((1, 5), bool)),
        (np.zeros((5, 2)), np.ones((1, 5), bool)),
        (np.zeros((5, 2)), np.zeros((1, 5), bool)),
    ],
)
def test_bad_shapes_and_empty_concepts(values, positives):
    with pytest.raises(BadInput):
        statistics.compare(values, positives)


# Properties -----------------------------------------------------------------------------------

tables = st.integers(2, 25).flatmap(
    lambda n: st.tuples(
        arrays(np.float64, (n, 3), elements=st.integers(-4, 4).map(float)),
        arrays(np.bool_, (2, n)).filter(lambda m: m.any(axis=1).all() and not m.all(axis=1).any()),
    )
)


@settings(max_examples=60, deadline=None)
@given(tables)
def test_auroc_properties(table):
    values, positives = table
    area = statistics.auroc(values, positives)
    np.testing.assert_allclose(area, brute_auroc(values, positives), atol=1e-13)
    # Only the order counts; the other side of the same question is the complement.
    np.testing.assert_array_equal(area, statistics.auroc(np.exp(values / 2), positives))
    np.testing.assert_allclose(area, 1 - statistics.auroc(-values, positives), atol=1e-13)
    np.testing.assert_allclose(area, 1 - statistics.auroc(values, ~positives), atol=1e-13)


@settings(max_examples=40, deadline=None)
@given(tables, st.randoms(use_true_random=False))
def test_the_order_of_stimuli_does_not_matter(table, random):
    values, positives = table
    order = list(range(len(values)))
    random.shuffle(order)
    before = statistics.compare(values, positives)
    after = statistics.compare(values[order], positives[:, order])
    np.testing.assert_array_equal(before.auroc, after.auroc)
    np.testing.assert_array_equal(before.p, after.p)
    assert ((before.p >= 0) & (before.p <= 1)).all()


# False discoveries ----------------------------------------------------------------------------

probabilities = arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1))


@settings(max_examples=60, deadline=None)
@given(probabilities)
def test_benjamini_hochberg_matches_scipy(p):
    q = statistics.benjamini_hochberg(p)
    np.testing.assert_allclose(q, stats.false_discovery_control(p), rtol=1e-12)


def test_benjamini_hochberg_takes_the_whole_array_as_one_family():
    p = np.random.default_rng(5).random((4, 7)) ** 4
    known = stats.false_discovery_control(p.ravel()).reshape(p.shape)
    np.testing.assert_allclose(statistics.benjamini_hochberg(p), known, rtol=1e-12)


def adafilter_rejections(p, alpha):
    """The threshold of Wang et al. (2022), searched over all candidates, for r = n."""
    ordered = np.sort(p, axis=1)
    filtering, selection = ordered[:, -2], ordered[:, -1]
    best = -1.0
    for gamma in selection:
        found = np.sum(selection <= gamma)
        if gamma * np.sum(filtering <= gamma) / found <= alpha:
            best = max(best, gamma)
    return selection <= best


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_adafilter_rejects_what_its_definition_rejects(alpha):
    rng = np.random.default_rng(6)
    p = rng.random((300, 3))
    p[:60] **= 6  # effects in every rendering
    p[60:120, 0] **= 6  # in one alone
    np.testing.assert_array_equal(
        statistics.adafilter_bh(p) <= alpha, adafilter_rejections(p, alpha)
    )


def test_adafilter_finds_more_than_benjamini_hochberg_and_holds_its_rate():
    rng = np.random.default_rng(7)
    true, false, powers = 0, 0, []
    for _ in range(40):
        z = rng.normal(size=(2000, 3))
        z[:50] += 3  # in all renderings
        z[50:250, rng.integers(3)] += 3  # in one
        p = stats.norm.sf(z)
        ada = statistics.adafilter_bh(p) <= 0.05
        plain = statistics.benjamini_hochberg(p.max(axis=1)) <= 0.05
        powers.append((ada[:50].mean(), plain[:50].mean()))
        true, false = true + ada[:50].sum(), false + ada[50:].sum()
    ada_power, plain_power = np.mean(powers, axis=0)
    assert ada_power > plain_power + 0.2
    assert false / (true + false) < 0.06


def test_adafilter_needs_two_renderings():
    with pytest.raises(BadInput):
        statistics.adafilter_bh(np.ones((5, 1)))
