"""The words and phrases that most excite a unit: a ranking of words, then a beam search."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lens.errors import BadInput, nearest
from lens.featurevis.wording import fluency as fluencies
from lens.featurevis.wording.result import TextsThatExcite
from lens.featurevis.wording.scores import TextPlace, scorer
from lens.model import Model

# Whole words that a tokenizer has as one token, the most frequent first, are many: in CLIP's
# vocabulary 4,096 reach down to words such as "harvard" or "tulips".
_TOKENS = 4096
_SOURCES = ("captions", "tokens")


def texts(
    target: Any,
    *,
    vocabulary: Sequence[str] | str | None = None,
    beam: int = 8,
    length: int = 4,
    fluency: Callable[[str], float] | None = None,
    penalty: float = 0.3,
    proposals: int = 64,
    top: int = 20,
    at: TextPlace = "end",
    images: Any = None,
    seed: int = 0,
) -> TextsThatExcite:
    """Find the words and phrases that most excite a unit of either tower.

    Every word of the vocabulary is scored by itself; then a beam search appends words. Texts go
    through the real tokenizer and text tower. What is climbed is

        z(text) + penalty * (fluency(text) - mean fluency of a word),

    z being the score in standard deviations above the mean word, so that a penalty means the same
    for every unit. What a score is for each tower, `lens.featurevis.wording.scores` says. The
    result reports how much the best text gains over the best single word: often little.

    Parameters
    ----------
    target
        A unit of the image or the text tower, or an objective: ``objectives.unit``, ``direction``
        or ``similarity``.
    vocabulary
        Words; ``"captions"``, the words of the embedded models' captions (the default: the names
        of everyday things, what they have in common, and styles of pictures); or ``"tokens"``,
        the most frequent whole words of the model's own tokenizer, which an embedded model has
        mostly never read.
    beam
        Phrases kept at each length.
    length
        Words in a phrase at most; 1 for the ranking of words alone.
    fluency
        From a text to a number, higher for a more natural text; by default the mean
        log-probability of a word under bigrams of captions (`lens.featurevis.wording.fluency`).
    penalty
        Standard deviations that a unit of fluency is worth; 0 for none.
    proposals
        Words that are tried after each phrase: half of them the best by themselves, half those
        that follow most naturally. As many as the vocabulary has, with a beam as large, try all.
    top
        Texts in the table.
    at
        For units of the text tower: ``"end"``, the token that stands for the text, or ``"max"``.
    images
        For units of the image tower: pictures at which to linearise; some glyphs by default.
    seed
        Chooses those glyphs; nothing else is random.

    Returns
    -------
    TextsThatExcite
        With the ranking of words, the table of texts and the gain.

    Raises
    ------
    BadInput
        For a target without a way to texts, an empty vocabulary, or a number that can't be.
    """
    for name, value in (("beam", beam), ("length", length), ("proposals", proposals), ("top", top)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise BadInput(f"{name} is a whole number, at least 1, not {value!r}.")
    if not (isinstance(penalty, (int, float)) and 0 <= penalty < math.inf):
        raise BadInput(f"penalty is a number, at least 0, not {penalty!r}.")
    if fluency is not None and not callable(fluency):
        raise BadInput(f"fluency is a function from a text to a number, not {fluency!r}.")
    score = scorer(target, images=images, at=at, seed=seed)
    words = _vocabulary(vocabulary, getattr(target, "model", None) or target.site.model)
    natural = fluencies.of_captions() if fluency is None else fluency
    search = _Search(words, score, natural, float(penalty))
    kept = search.of_words(beam)
    for _ in range(1, length):
        kept = search.longer(kept, beam, proposals)
        if not kept:
            break
    settings = {
        "vocabulary": vocabulary if isinstance(vocabulary, str) else f"{len(words)} words",
        "beam": beam,
        "length": length,
        "penalty": float(penalty),
        "fluency": repr(natural),
        "proposals": proposals,
        "at": at,
        "seed": seed,
        "tried": len(search.known),
    }
    return TextsThatExcite(target, search.ranking(), search.table(top), settings)


class _Search:
    """Texts that have been tried, and what came of them."""

    def __init__(
        self,
        words: list[str],
        score: Callable[[Sequence[str]], np.ndarray],
        natural: Callable[[str], float],
        penalty: float,
    ) -> None:
        self.words, self.natural, self.penalty = words, natural, penalty
        self._score = score
        scores = _finite(score(words), words)
        self._mean = float(scores.mean())
        self._spread = float(scores.std()) or 1.0
        fluent = self._fluent(words)
        self._usual = float(fluent.mean())
        #: A row a text: words, score, z, fluency, total.
        self.known: dict[str, tuple[int, float, float, float, float]] = {}
        self._note([(word,) for word in words], scores, fluent)
        totals = np.array([self.known[word][4] for word in words])
        self._by_total = [words[i] for i in np.argsort(-totals, kind="stable")]

    def of_words(self, beam: int) -> list[tuple[str, ...]]:
        """The best single words."""
        return [(word,) for word in self._by_total[:beam]]

    def longer(
        self, phrases: list[tuple[str, ...]], beam: int, proposals: int
    ) -> list[tuple[str, ...]]:
        """The best phrases that are one word longer."""
        tried = [(*phrase, word) for phrase in phrases for word in self._after(phrase, proposals)]
        fresh = [phrase for phrase in tried if " ".join(phrase) not in self.known]
        if fresh:
            written = [" ".join(phrase) for phrase in fresh]
            self._note(fresh, _finite(self._score(written), written), self._fluent(written))
        tried.sort(key=lambda phrase: -self.known[" ".join(phrase)][4])  # stable
        return tried[:beam]

    def ranking(self) -> pd.DataFrame:
        """All single words by score."""
        rows = [(word, *self.known[word][1:3]) for word in self.words]
        frame = pd.DataFrame(rows, columns=["text", "score", "z"])
        return frame.sort_values("score", ascending=False, kind="stable", ignore_index=True)

    def table(self, top: int) -> pd.DataFrame:
        """The best texts by total."""
        rows = [(text, *values) for text, values in self.known.items()]
        columns = ["text", "words", "score", "z", "fluency", "total"]
        frame = pd.DataFrame(rows, columns=columns)
        frame = frame.sort_values("total", ascending=False, kind="stable", ignore_index=True)
        return frame.head(top)

    def _after(self, phrase: tuple[str, ...], proposals: int) -> list[str]:
        if proposals >= len(self.words):
            return self.words
        best = self._by_total[: proposals - proposals // 2]
        if isinstance(self.natural, fluencies.Bigrams):
            read = fluencies.words_in(phrase[-1])
            before = read[-1] if read else None
            chance = [-self.natural.next(before, word) for word in self.words]
            follows = [self.words[i] for i in np.argsort(chance, kind="stable")]
        else:
            follows = self._by_total
        return list(dict.fromkeys([*best, *follows]))[:proposals]

    def _fluent(self, written: Sequence[str]) -> np.ndarray:
        if not self.penalty:
            return np.zeros(len(written))
        return _finite([self.natural(text) for text in written], written)

    def _note(
        self, phrases: Sequence[tuple[str, ...]], scores: np.ndarray, fluent: np.ndarray
    ) -> None:
        z = (scores - self._mean) / self._spread
        totals = z + self.penalty * (fluent - self._usual)
        for phrase, *values in zip(phrases, scores, z, fluent, totals, strict=True):
            self.known[" ".join(phrase)] = (len(phrase), *map(float, values))  # type: ignore[assignment]


def _vocabulary(given: Sequence[str] | str | None, model: Model) -> list[str]:
    if given is None or given == "captions":
        return fluencies.caption_words()
    if given == "tokens":
        return whole_words(model)
    if isinstance(given, str):
        close = ", ".join(nearest(given, _SOURCES) or _SOURCES)
        raise BadInput(f"there is no vocabulary {given!r}; give a list of words, or: {close}.")
    words = list(given)
    for word in words:
        if not isinstance(word, str) or not word.strip():
            raise BadInput(f"a vocabulary is made of words, and {word!r} is none.")
    if not words:
        raise BadInput("the vocabulary is empty: give at least one word, or 'captions'.")
    return list(dict.fromkeys(" ".join(word.split()) for word in words))


def whole_words(model: Model) -> list[str]:
    """The whole words that the model's tokenizer has as one token, the most frequent first.

    Raises
    ------
    BadInput
        For a tokenizer that does not show its vocabulary, or marks no whole words in it.
    """
    tokenizer: Any = model.tokenizer
    inner = getattr(tokenizer, "tokenizer", tokenizer)
    known = getattr(inner, "encoder", None)
    if not isinstance(known, dict):
        known = inner.get_vocab() if callable(getattr(inner, "get_vocab", None)) else {}
    found = []
    for token in sorted(known, key=known.__getitem__):
        if token.endswith("</w>"):
            word = token.removesuffix("</w>")
        elif token[:1] in ("Ġ", "▁"):
            word = token[1:]
        else:
            continue
        if len(word) > 1 and word.isascii() and word.isalpha():
            found.append(word.lower())
    if not found:
        raise BadInput(
            f"the tokenizer of {model.name} shows no whole words; give a list of words instead."
        )
    return list(dict.fromkeys(found))[:_TOKENS]


def _finite(values: Any, written: Sequence[str]) -> np.ndarray:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.shape != (len(written),) or not np.isfinite(numbers).all():
        bad = int(np.argmin(np.isfinite(numbers))) if numbers.shape == (len(written),) else 0
        raise BadInput(f"the score or fluency of {written[bad]!r} is not a finite number.")
    return numbers
