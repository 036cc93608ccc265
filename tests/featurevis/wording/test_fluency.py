import math

import pytest

import lens
from lens.featurevis.wording.fluency import Bigrams, caption_words, of_captions, words_in


def test_bigrams_by_hand():
    model = Bigrams([("a dog", 2.0), ("a cat", 1.0)], smoothing=0.5)
    # Words: a 3, dog 2, cat 1, end 3 -> N = 9, V = 4.
    common = {"a": 4 / 14, "dog": 3 / 14, "cat": 2 / 14, "cow": 1 / 14, "</s>": 4 / 14}
    assert model.next("a", "dog") == pytest.approx(math.log((2 + 0.5 * common["dog"]) / 3.5))
    assert model.next("a", "cow") == pytest.approx(math.log(0.5 * common["cow"] / 3.5))
    assert model.next("cow", "dog") == pytest.approx(math.log(common["dog"]))
    ends = [(3 + 0.5 * common["a"]) / 3.5, (2 + 0.5 * common["dog"]) / 3.5]
    ends += [(2 + 0.5 * common["</s>"]) / 2.5]
    assert model("A dog!") == pytest.approx(sum(map(math.log, ends)) / 3)
    assert model(" ... ") == -math.inf
    assert model.words == ["a", "dog", "cat"]


def test_probabilities_add_up():
    model = Bigrams([("a dog", 2.0), ("a cat", 1.0), ("the dog", 1.0)])
    for before in (None, "a", "dog", "unheard"):
        known = sum(math.exp(model.next(before, word)) for word in [*model.words, "</s>"])
        assert known + math.exp(model.next(before, "unheard")) == pytest.approx(1)


def test_captions_read_better_than_word_salad():
    fluent = of_captions()
    assert fluent("a drawing of a dog") > fluent("dog of drawing a a")
    assert fluent("the word apple") > fluent("apple apple apple")
    assert of_captions() is fluent
    assert set(lens.data.glyphs().concepts) <= set(caption_words())
    assert caption_words()[0] == "a"


def test_words():
    assert words_in("The Word: ice-cream, isn't it?") == ["the", "word", "ice-cream", "isn't", "it"]
