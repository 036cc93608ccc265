"""Attention rollout against a plain loop in double precision."""

from __future__ import annotations

import numpy as np
import pytest

import lens
from lens.capture.rollout import rollout
from lens.errors import BadInput


def stochastic(*shape, seed=0):
    scores = np.random.default_rng(seed).normal(size=shape)
    weights = np.exp(scores)
    return weights / weights.sum(-1, keepdims=True)


def by_hand(patterns, row):
    """Sum over all ways through the layers, one token at a time."""
    keys = patterns[0].shape[-1]
    reached = [[float(i == j) for j in range(keys)] for i in range(keys)]
    for pattern in patterns:
        heads, queries, keys = pattern.shape[1:]
        after = []
        for i in range(queries):
            steps = [sum(pattern[row, h, i, j] for h in range(heads)) / heads for j in range(keys)]
            if queries == keys:
                steps = [(step + (i == j)) / 2 for j, step in enumerate(steps)]
            total = sum(steps)
            after.append(
                [
                    sum(steps[j] / total * reached[j][k] for j in range(keys))
                    for k in range(len(reached[0]))
                ]
            )
        reached = after
    return np.array(reached)


def test_the_formula():
    patterns = [stochastic(2, 3, 5, 5, seed=seed) for seed in range(4)]
    found = rollout(patterns)
    assert found.shape == (2, 5, 5)
    for row in range(2):
        np.testing.assert_allclose(found[row], by_hand(patterns, row), atol=1e-6)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)


def test_what_pools_has_no_residual_stream():
    patterns = [stochastic(1, 2, 5, 5), stochastic(1, 2, 1, 5, seed=1)]
    np.testing.assert_allclose(rollout(patterns)[0], by_hand(patterns, 0), atol=1e-6)


def test_layers_that_attend_to_nothing_else_pass_tokens_on():
    identity = np.eye(4)[None, None]
    np.testing.assert_array_equal(rollout([identity, identity])[0], np.eye(4, dtype=np.float32))
    np.testing.assert_array_equal(rollout([np.zeros((1, 1, 4, 4))])[0], np.eye(4))


@pytest.mark.parametrize(
    ("patterns", "says"),
    [
        ([], "nothing to roll out"),
        ([stochastic(1, 1, 4, 4), stochastic(1, 1, 5, 5)], "Layer 1 attends to 1 x 5 .* 1 x 4"),
        ([stochastic(4, 1, 4, 4), stochastic(2, 1, 4, 4)], "windows"),
    ],
)
def test_bad_input(patterns, says):
    with pytest.raises(BadInput, match=says):
        rollout(patterns)


def test_of_a_model(tiny_vit, small_pictures):
    maps = lens.attention(tiny_vit, small_pictures[:2], ["a dog", "a cat"])
    patterns = [layer.pattern for layer in maps.tower("image")]
    np.testing.assert_allclose(maps.rollout()[1], by_hand(patterns, 1), atol=1e-5)
    causal = maps.rollout("text")
    assert not np.triu(causal, 1).any()
