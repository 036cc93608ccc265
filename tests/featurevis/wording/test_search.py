import itertools

import numpy as np
import pytest

import lens
from lens.errors import BadInput
from lens.featurevis import TextsThatExcite, texts
from lens.featurevis.wording.search import whole_words

WORDS = ["cat", "dog", "a", "fox", "owl"]


@pytest.fixture
def unit(resnet):
    return resnet.site("image.embedding").unit(3)


def flat(text):
    """A fluency that knows nothing but length."""
    return -float(len(text.split()))


def brute_force(resnet, fluency, penalty, length):
    """Total of every phrase of at most so many words, computed apart."""
    single = resnet.embed(WORDS)[:, 3].astype(float)
    mean, spread = single.mean(), single.std()
    usual = np.mean([fluency(word) for word in WORDS])
    phrases = [
        " ".join(phrase)
        for n in range(1, length + 1)
        for phrase in itertools.product(WORDS, repeat=n)
    ]
    z = (resnet.embed(phrases)[:, 3].astype(float) - mean) / spread
    return dict(
        zip(phrases, z + penalty * (np.array(list(map(fluency, phrases))) - usual), strict=True)
    )


@pytest.mark.parametrize("penalty", [0.0, 0.5])
def test_a_full_beam_is_brute_force(resnet, unit, penalty):
    options = {"vocabulary": WORDS, "fluency": flat, "penalty": penalty, "length": 3}
    found = texts(unit, beam=125, proposals=5, top=200, **options)
    expected = brute_force(resnet, flat, penalty, 3)
    assert found.settings["tried"] == len(expected) == 155 == len(found)
    got = dict(zip(found.table["text"], found.table["total"], strict=True))
    for text, total in expected.items():
        assert got[text] == pytest.approx(total, abs=2e-3), text
    assert got[found.best] >= max(expected.values()) - 2e-3
    narrow = texts(unit, beam=2, proposals=3, **options)
    assert narrow.table["total"].iloc[0] <= found.table["total"].iloc[0] + 1e-6
    assert narrow.settings["tried"] < 155


def test_the_ranking_and_the_gain(resnet, unit):
    found = texts(unit, vocabulary=WORDS, beam=3, length=3, penalty=0)
    assert isinstance(found, TextsThatExcite)
    ranked = sorted(WORDS, key=lambda word: -resnet.embed([word])[0, 3])
    assert found.words["text"].tolist() == ranked and found.best_word == ranked[0]
    assert found.rank(ranked[2]) == 3 and found.rank("cow") is None
    assert found.words["z"].mean() == pytest.approx(0, abs=1e-6)
    assert found.gain == pytest.approx(found.table["z"].iloc[0] - found.words["z"].iloc[0])
    assert found.gain >= 0  # without a penalty the best word is beaten or kept
    assert found.best_word in repr(found) and "<td>" in found._repr_html_()
    only = texts(unit, vocabulary=WORDS, length=1, penalty=0)
    assert only.gain == 0 and "no phrase does better" in repr(only)


def test_it_repeats_and_more_penalty_is_more_fluent(resnet):
    unit = resnet.site("text.blocks.0").unit(4)
    first, second = (texts(unit, length=2, beam=2, proposals=8) for _ in range(2))
    assert first.table.equals(second.table)
    strict = texts(unit, length=2, beam=2, proposals=8, penalty=50.0)
    assert strict.table["fluency"].iloc[0] >= first.table["fluency"].iloc[0]


def test_nothing_from_outside_is_html(unit):
    found = texts(unit, vocabulary=["<b>", "dog"], length=1, fluency=flat)
    assert "<b>" not in found._repr_html_()


def test_the_embedded_models_own_words():
    model = lens.load("glyph-rn")
    known = whole_words(model)
    assert len(known) == 4096 and "dog" in known and known.index("the") < known.index("dog")
    concept = lens.data.glyphs().stimuli(per_cell=2, concepts=["dog"])
    dog = texts(
        lens.featurevis.objectives.similarity(model, concept[0]),
        vocabulary=["dog", "the", "kite", "drawing"],
        length=2,
    )
    assert dog.best_word == "dog"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"vocabulary": []}, "vocabulary is empty"),
        ({"vocabulary": ["dog", " "]}, "' ' is none"),
        ({"vocabulary": ["dog", 3]}, "3 is none"),
        ({"vocabulary": "caption"}, "or: captions"),
        ({"vocabulary": "tokens"}, "shows no whole words"),
        ({"length": 0}, "length is a whole number"),
        ({"beam": 0}, "beam is a whole number"),
        ({"penalty": -1}, "penalty"),
        ({"fluency": 0.3}, "function from a text"),
        ({"fluency": lambda text: float("nan")}, "not a finite number"),
    ],
)
def test_what_is_refused(unit, options, sentence):
    with pytest.raises(BadInput, match=sentence):
        texts(unit, **{"vocabulary": WORDS, **options})


def test_no_path_to_texts(colours):
    with pytest.raises(BadInput, match="reads no text"):
        texts(colours.site("0").unit(0))
    with pytest.raises(BadInput, match="not for int"):
        texts(17)
