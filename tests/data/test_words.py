import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lens.data import words
from lens.errors import BadInput


@given(
    st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=24),
    st.sampled_from(words.fonts()),
)
@settings(max_examples=60, deadline=None)
def test_any_text_fits_its_box_and_leaves_ink(text, font):
    ink = words.mask(text, font, width=96, height=48)
    assert ink.shape == (48, 96)
    assert ink.max() > 60
    rows, columns = np.nonzero(ink > 40)
    # As large as the box allows, and not cut off: a line of pixels stays free on each side.
    assert columns.min() >= 1 and columns.max() <= 94
    assert rows.min() >= 1 and rows.max() <= 46


def test_held_out_faces_are_apart_from_those_in_training():
    seen, unseen = set(words.fonts(held_out=False)), set(words.fonts(held_out=True))
    assert unseen == set(words.HELD_OUT)
    assert not seen & unseen
    assert seen | unseen == set(words.fonts())
    assert len(seen) >= 10


def test_faces_and_cases_differ():
    looks = [words.mask(case("pizza"), f) for f in words.fonts() for case in words.CASES.values()]
    assert len({look.tobytes() for look in looks}) > 0.9 * len(looks)


def test_written_word_is_transparent_and_coloured():
    picture = np.asarray(words.write("dog", size=64, color=(200, 10, 10)))
    assert picture.shape == (64, 64, 4)
    assert picture[0, 0, 3] == 0
    assert (picture[picture[..., 3] > 0][:, :3] == (200, 10, 10)).all()


def test_blank_text_and_unknown_font_are_refused():
    with pytest.raises(BadInput, match="blank"):
        words.mask("  ")
    with pytest.raises(BadInput, match="lato-700"):
        words.mask("dog", "lato-70")
