"""The measures of a map, against plain loops and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from lens.projection import quality
from lens.projection.nearness import nearest, ranks_of
from lens.projection.quality import measured


@pytest.fixture
def spaces():
    random = np.random.default_rng(3)
    space = random.normal(size=(60, 7)).astype(np.float32)
    return space, (space[:, :2] + 0.3 * random.normal(size=(60, 2))).astype(np.float32)


def looped(space, placed, k):
    """Venna & Kaski's sum, in float64 and one pair at a time."""
    space, placed = space.astype(np.float64), placed.astype(np.float64)
    n, total = len(space), 0
    for i in range(n):
        far = [((space[i] - space[j]) ** 2).sum() for j in range(n)]
        near = [((placed[i] - placed[j]) ** 2).sum() for j in range(n)]
        order = sorted((j for j in range(n) if j != i), key=lambda j: far[j])
        in_map = sorted((j for j in range(n) if j != i), key=lambda j: near[j])[:k]
        total += sum(order.index(j) + 1 - k for j in in_map if j not in order[:k])
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * total


@pytest.mark.parametrize("k", [1, 5, 20])
def test_both_measures_are_the_formula(spaces, k):
    space, placed = spaces
    found = measured(space, placed, k)
    assert found.trustworthiness == pytest.approx(looped(space, placed, k), abs=1e-12)
    assert found.continuity == pytest.approx(looped(placed, space, k), abs=1e-12)
    assert found.trustworthiness == pytest.approx(trustworthiness(space, placed, n_neighbors=k))
    assert found.counted == 60


def test_preserved_neighbours_are_counted_one_by_one(spaces):
    space, placed = spaces
    found = measured(space, placed, 6)
    for i in (0, 17, 59):
        own = set(np.argsort(((space - space[i]) ** 2).sum(1))[1:7])
        shown = set(np.argsort(((placed - placed[i]) ** 2).sum(1))[1:7])
        assert found.preserved[i] == pytest.approx(len(own & shown) / 6)


def test_a_perfect_map_has_one_and_a_random_one_about_a_half():
    random = np.random.default_rng(0)
    plane = random.normal(size=(200, 2)).astype(np.float32)
    perfect = measured(plane, plane * 3 + 1, 10)
    assert perfect.trustworthiness == perfect.continuity == 1
    assert perfect.preserved.min() == 1
    space = random.normal(size=(400, 20)).astype(np.float32)
    shuffled = measured(space, random.normal(size=(400, 2)).astype(np.float32), 10)
    assert shuffled.trustworthiness == pytest.approx(0.5, abs=0.06)


def test_too_many_neighbours_for_the_formula_become_fewer():
    rows = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    assert measured(rows, rows[:, :2], 15).k == 4
    assert measured(rows[:3], rows[:3, :2]) is None


def test_a_sample_estimates_what_all_points_say(monkeypatch, groups):
    rows, _ = groups
    exact = measured(rows, rows[:, :2], 8)
    monkeypatch.setattr(quality, "SAMPLE", 45)
    found = measured(rows, rows[:, :2], 8)
    assert (found.counted, found.exact) == (45, True)
    assert found.trustworthiness == pytest.approx(exact.trustworthiness, abs=0.05)
    np.testing.assert_array_equal(found.preserved, exact.preserved)


def test_descent_finds_nearly_all_neighbours(monkeypatch, groups):
    """Most of the time goes into compiling it, which every process does once."""
    rows, _ = groups
    monkeypatch.setattr(quality, "EXACT", 50)
    found, exact = quality.neighbours_of_all(rows, 8, 0), nearest(rows, 8)
    shared = [len(set(a) & set(b)) for a, b in zip(found, exact, strict=True)]
    assert np.mean(shared) > 0.97 * 8
    assert not (found == np.arange(100)[:, None]).any()


def test_neighbours_and_ranks_agree_with_sorting(spaces):
    space, _ = spaces
    found = nearest(space, 5)
    for i in (0, 30):
        order = np.argsort(((space.astype(float) - space[i]) ** 2).sum(1), kind="stable")[1:]
        assert found[i].tolist() == order[:5].tolist()
    others = np.array([[3, 9], [1, 2]])
    ranks = ranks_of(space, np.array([0, 30]), others)
    for row, i in enumerate((0, 30)):
        order = np.argsort(((space.astype(float) - space[i]) ** 2).sum(1))[1:].tolist()
        assert ranks[row].tolist() == [order.index(j) + 1 for j in others[row]]


def test_exact_copies_are_neighbours_of_each_other():
    rows = np.repeat(np.eye(3, dtype=np.float32), 2, axis=0)
    assert nearest(rows, 1)[:, 0].tolist() == [1, 0, 3, 2, 5, 4]
