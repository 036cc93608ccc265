import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens import errors

NAMES = ["image.layer1", "image.layer4", "image.layer4.1.pre_relu", "text.blocks.0"]


def test_a_key_error_prints_its_sentence_plainly():
    assert str(errors.UnknownSite("There is no 'x'.")) == "There is no 'x'."


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.UnknownSite, KeyError),
        (errors.UnknownModel, ValueError),
        (errors.UnitOutOfRange, IndexError),
        (errors.BadImage, ValueError),
        (errors.TooLarge, errors.BadInput),
        (errors.BadWeights, ValueError),
        (errors.NotDownloaded, OSError),
    ],
)
def test_errors_are_the_natural_builtins_too(error, builtin):
    with pytest.raises(builtin) as caught:
        raise error("so it is")
    assert isinstance(caught.value, errors.LensError)
    assert str(caught.value) == "so it is"


@given(st.sampled_from(NAMES))
def test_the_nearest_to_a_name_is_the_name(name):
    assert errors.nearest(name, NAMES)[0] == name


@given(st.sampled_from(NAMES), st.data())
def test_one_slip_is_forgiven(name, data):
    place = data.draw(st.integers(0, len(name) - 1))
    slipped = name[:place] + name[place + 1 :]
    assert name in errors.nearest(slipped, NAMES)


@given(st.text(), st.integers(1, 5))
def test_nearest_gives_no_more_than_asked_for(word, n):
    found = errors.nearest(word, NAMES, n)
    assert len(found) <= n
    assert set(found) <= set(NAMES)


def test_what_is_far_is_not_suggested():
    assert errors.suggestion("zzzz", NAMES) == ""
    assert errors.suggestion("image.layer3", NAMES).startswith(" Did you mean image.layer")
