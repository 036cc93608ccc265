import numpy as np
import pytest

from lens.data import compose, glyphs, words
from lens.errors import BadInput

FEW = {"concepts": ["dog", "pizza", "zzz"], "size": 48}


def test_every_cell_has_the_same_number_in_each_split():
    s = glyphs().stimuli(per_cell=4, **FEW)
    sizes = s.table.groupby(["concept", "rendering", "split"]).size()
    assert len(s) == 3 * 6 * 4
    assert (sizes == 2).all() and len(sizes) == 3 * 6 * 2
    assert set(s.table.concept[s.table.writing]) == {"zzz"}


def test_a_stimulus_depends_on_its_own_row_alone():
    everything = glyphs().stimuli(per_cell=4, size=48)
    some = glyphs().stimuli(per_cell=4, **FEW).where(rendering="word", concept=["pizza"])
    rows = everything.table
    indices = rows.index[(rows.rendering == "word") & (rows.concept == "pizza")]
    assert np.array_equal(everything.pixels(indices), some.pixels(range(4)))
    backwards = everything.pixels(indices[::-1])
    assert np.array_equal(backwards[::-1], some.pixels(range(4)))


def test_another_seed_draws_other_pixels_and_has_another_key():
    a, b = (glyphs().stimuli(per_cell=2, seed=seed, **FEW) for seed in (0, 1))
    assert not np.array_equal(a.pixels([0]), b.pixels([0]))
    assert a.key != b.key
    assert a.key == glyphs().stimuli(per_cell=2, seed=0, **FEW).key


def test_the_splits_write_in_different_faces():
    table = glyphs().stimuli(per_cell=8, **FEW).where(rendering="word").table
    faces = table.groupby("split").font.agg(set)
    assert not faces["discovery"] & faces["held-out"]


def test_fonts_and_backgrounds_can_be_kept_to_the_unseen():
    s = glyphs().stimuli(
        per_cell=4, renderings=["word"], fonts=words.HELD_OUT, backgrounds=compose.UNSEEN, **FEW
    )
    assert set(s.table.font) <= set(words.HELD_OUT)
    assert s.pixels([0, 1]).shape == (2, 48, 48, 3)


def test_pixels_and_items_agree():
    s = glyphs().stimuli(per_cell=2, **FEW)
    assert np.array_equal(np.asarray(s[5]), s.pixels([5])[0])
    assert s.pixels([]).shape == (0, 48, 48, 3)
    with pytest.raises(IndexError):
        s[len(s)]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"per_cell": 1}, "2 stimuli"),
        ({"concepts": ["pizzza"]}, "pizza"),
        ({"renderings": ["words"]}, "word"),
        ({"fonts": ["lato"]}, "lato-700"),
    ],
)
def test_wrong_options_get_one_sentence(options, says):
    with pytest.raises(BadInput, match=says):
        glyphs().stimuli(**options)
