"""Words by least squares from unit values to the joint space."""

import dataclasses

import numpy as np
import pytest

from lens.neurons.responses import responses
from lens.neurons.words import joint_map, top_words, words_of


@pytest.fixture()
def measured(model, stimuli):
    return responses(model.site("image.layer4"), stimuli, progress=False)


def planted(measured, words, rng):
    """Units of which each one moves the embedding towards its own word, and nothing else does."""
    texts = measured.site.model.embed(list(words))
    values = rng.normal(size=(2000, len(words))).astype(np.float32) * 3 + 7
    embeddings = (values - 7) @ texts / 30
    return dataclasses.replace(measured, values=values, embeddings=embeddings), texts


def test_least_squares_finds_the_map(measured):
    words = ["dog", "pizza", "guitar"]
    made, texts = planted(measured, words, np.random.default_rng(0))
    np.testing.assert_allclose(joint_map(made), texts * 3 / 30, rtol=0.06, atol=1e-3)


def test_a_unit_s_word_comes_first(measured):
    words = ["dog", "pizza", "guitar", "volcano", "crown"]
    made, _ = planted(measured, words, np.random.default_rng(1))
    for unit, word in enumerate(words):
        found = top_words(made, unit, vocabulary=words)
        assert found[0][0] == word
        assert [score for _, score in found] == sorted((s for _, s in found), reverse=True)


def test_a_dead_unit_and_a_doubled_one_do_no_harm(measured):
    made, _ = planted(measured, ["dog", "pizza"], np.random.default_rng(2))
    values = np.concatenate([made.values, made.values[:, :1], 0 * made.values[:, :1]], axis=1)
    found = joint_map(dataclasses.replace(made, values=values))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[3], 0, atol=1e-6)
    np.testing.assert_allclose(found[0] + found[2], joint_map(made)[0], atol=2e-3)


def test_the_words_are_concepts_and_their_tags(measured):
    words = words_of(measured)
    assert words[:2] == ("dog", "pizza")
    assert len(set(words)) == len(words) > 6
    assert len(top_words(measured, 0)) == 12


def test_a_model_that_can_t_read_has_no_words(measured):
    assert top_words(dataclasses.replace(measured, embeddings=None), 0) == []
