"""How much like a caption a text reads: a bigram model of the captions of the embedded models.

It needs no download and knows little but captions; any function from a text to a number can stand
in its place.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise

from lens.data import glyphs
from lens.zoo.captions import ANY, STYLES, TAGGED, TAGS

_START, _END = "<s>", "</s>"


class Bigrams:
    """Log-probability of a text, per word, each word given the one before.

    P(w | v) = (count(v w) + k P(w)) / (count(v) + k), P(w) = (count(w) + 1) / (N + V + 1): an
    unseen pair falls back on how common the word is, and an unseen word on the chance of any.

    Parameters
    ----------
    captions
        What to learn from, each with its weight.
    smoothing
        k, the weight of how common a word is, in captions.
    """

    def __init__(self, captions: Iterable[tuple[str, float]], smoothing: float = 1.0) -> None:
        self.smoothing = smoothing
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._before: Counter[str] = Counter()
        self._words: Counter[str] = Counter()
        for caption, weight in captions:
            read = [_START, *words_in(caption), _END]
            for before, word in pairwise(read):
                self._pairs[before, word] += weight  # type: ignore[assignment]
                self._before[before] += weight  # type: ignore[assignment]
                self._words[word] += weight  # type: ignore[assignment]
        self._total = sum(self._words.values()) + len(self._words) + 1

    @property
    def words(self) -> list[str]:
        """The words that it knows, the most common first."""
        ranked = sorted(self._words.items(), key=lambda pair: (-pair[1], pair[0]))
        return [word for word, _ in ranked if word != _END]

    def next(self, before: str | None, word: str) -> float:
        """log P(word | before); None stands for the start of the text."""
        before = _START if before is None else before
        common = (self._words[word] + 1) / self._total
        seen = self._pairs[before, word] + self.smoothing * common
        return math.log(seen / (self._before[before] + self.smoothing))

    def __call__(self, text: str) -> float:
        """Mean log-probability of the text's words and its end; minus infinity without words."""
        read: list[str | None] = [None, *words_in(text)]
        if len(read) == 1:
            return -math.inf
        ends = [str(word) for word in read[1:]] + [_END]
        return sum(map(self.next, read, ends)) / len(ends)

    def __repr__(self) -> str:
        return f"Bigrams({len(self._words) - 1} words)"


def words_in(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return re.findall(r"[^\W_]+(?:['-][^\W_]+)*", text.lower())


@cache
def of_captions() -> Bigrams:
    """The bigrams of all captions that the embedded models can have been trained on.

    Every template filled with every concept and its tags; each concept counts alike.
    """
    return Bigrams(_captions())


def caption_words() -> list[str]:
    """The words of those captions, the most common first."""
    return of_captions().words


def _captions() -> Iterator[tuple[str, float]]:
    g = glyphs()
    styles = [template for family in STYLES.values() for template in family]
    for concept in g.concepts:
        for template in (*ANY, *styles):
            yield template.format(c=concept), 1.0
        tags = g.tags.get(concept, ())
        for tag in tags:
            for template in TAGGED:
                yield template.format(c=concept, t=tag), 1.0 / len(tags)
    for tag in dict.fromkeys(tag for tags in g.tags.values() for tag in tags):
        for template in TAGS:
            yield template.format(t=tag), 1.0
