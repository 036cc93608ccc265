"""Which words a unit pulls the image embedding towards."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float

from lens.model import Model
from lens.neurons.responses import Responses

# Share of a unit's variance added to the diagonal: enough for units that never or always fire
# together, too little to be seen in the others.
RIDGE = 0.01
BLOCK = 4096

_maps: WeakKeyDictionary[Responses, np.ndarray] = WeakKeyDictionary()
_texts: WeakKeyDictionary[Model, dict[tuple[str, ...], np.ndarray]] = WeakKeyDictionary()


def top_words(
    measured: Responses, unit: int, count: int = 12, vocabulary: Sequence[str] | None = None
) -> list[tuple[str, float]]:
    """Rank words by how far a unit moves the image embedding towards them.

    The score of a word is W_k . (x - mean x): W the least-squares map from the site's values, in
    standard deviations, to the image embedding of the same stimuli (no gradients; linear where
    the model is not), W_k the unit's own part of it, x the text embedding of the word. So it is
    what one standard deviation more of this unit, *the other units staying as they are*, adds to
    the word's cosine over that of the average word.

    Parameters
    ----------
    measured
        The responses of the unit's site.
    unit
        Its number.
    count
        How many words.
    vocabulary
        Words or captions; the concepts of the stimuli and their tags if not given.

    Returns
    -------
    list of (word, score)
        Best first; empty for a model that can't read or has no joint space.
    """
    model = measured.site.model
    if measured.embeddings is None or model.tokenizer is None:
        return []
    words = tuple(vocabulary) if vocabulary is not None else words_of(measured)
    texts = _embedded(model, words)
    if texts.shape[1] != measured.embeddings.shape[1]:
        return []
    scores = (texts - texts.mean(axis=0)) @ joint_map(measured)[unit]
    best = np.argsort(-scores, kind="stable")[:count]
    return [(words[i], float(scores[i])) for i in best]


def joint_map(measured: Responses) -> Float[np.ndarray, "units dim"]:
    """Estimate the map from the site to the joint space by least squares over the stimuli.

    Parameters
    ----------
    measured
        With embeddings.

    Returns
    -------
    np.ndarray
        (units, dim): by how much one standard deviation of each unit moves the embedding.
    """
    if measured not in _maps:
        assert measured.embeddings is not None
        mean, spread = measured.values.mean(axis=0), measured.values.std(axis=0)
        spread[spread == 0] = 1
        targets = measured.embeddings - measured.embeddings.mean(axis=0)
        gram = RIDGE * len(targets) * np.eye(len(spread))
        product = np.zeros((len(spread), targets.shape[1]))
        for start in range(0, len(targets), BLOCK):  # never a second copy of all values
            rows = slice(start, start + BLOCK)
            values = (measured.values[rows] - mean) / spread
            gram += values.T @ values
            product += values.T @ targets[rows]
        _maps[measured] = np.linalg.solve(gram, product).astype(np.float32)
    return _maps[measured]


def words_of(measured: Responses) -> tuple[str, ...]:
    """Give the concepts of the stimuli and the tags that they share."""
    concepts = [str(concept) for concept in measured.table["concept"].unique()]
    tags = getattr(getattr(measured.stimuli, "glyphs", None), "tags", {})
    shared = [tag for concept in concepts for tag in tags.get(concept, ())]
    return tuple(dict.fromkeys([*concepts, *shared]))


def _embedded(model: Model, words: tuple[str, ...]) -> np.ndarray:
    known = _texts.setdefault(model, {})
    if words not in known:
        known[words] = model.embed(list(words))
    return known[words]
