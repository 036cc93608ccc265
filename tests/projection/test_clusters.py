"""Clusters and their names."""

from __future__ import annotations

import numpy as np

from lens.projection.clusters import distinctive_words, found_clusters, most_common


def test_the_largest_cluster_comes_first_and_lone_points_are_in_none():
    random = np.random.default_rng(0)
    rows = np.concatenate([
        random.normal(size=(20, 2)) * 0.1,
        random.normal(size=(40, 2)) * 0.1 + 5,
        [[30.0, 30.0]],
    ])  # fmt: skip
    found = found_clusters(rows, 10)
    assert set(found[20:60]) == {0}
    assert set(found[:20]) == {1}
    assert found[60] == -1
    assert set(found_clusters(rows[:6])) == {-1}


def test_words_that_tell_a_cluster_from_the_others_name_it():
    # Three clusters along three axes, all with a share of a fourth; words lie along the axes.
    axes = np.eye(5, dtype=np.float32)
    vectors = np.repeat(axes[:3] + axes[3], 10, axis=0)
    clusters = np.repeat([0, 1, 2], 10)
    words = ["first", "second", "third", "common", "absent"]
    named = distinctive_words(vectors, clusters, words, axes)
    assert [own[0] for own in named] == ["first", "second", "third"]
    assert all("common" not in own and "absent" not in own for own in named)


def test_one_word_leads_one_cluster():
    axes = np.eye(4, dtype=np.float32)
    vectors = np.concatenate([np.repeat(axes[:1], 9, 0), np.repeat(axes[:1] + 0.2 * axes[1], 9, 0),
                              np.repeat(axes[2:3], 9, 0)])  # fmt: skip
    clusters = np.repeat([0, 1, 2], 9)
    named = distinctive_words(vectors, clusters, ["one", "two", "three", "four"], axes)
    assert named[0][0] == "one"
    assert named[1][0] == "two"


def test_no_clusters_have_no_names():
    none = np.full(4, -1)
    assert distinctive_words(np.eye(4), none, ["a"], np.eye(4)[:1]) == []


def test_the_most_common_value_and_its_share():
    assert most_common(["b", "a", "b", "c"]) == ("b", 0.5)
