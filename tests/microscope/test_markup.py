import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lens.microscope.charts import ticks
from lens.microscope.markup import (
    aligned,
    island,
    name,
    number,
    plain,
    probability,
    share,
    short,
    tag,
)


class Texts(HTMLParser):
    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.found, self.elements = "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.found += data


@given(st.text())
def test_whatever_is_text_stays_text(text):
    whole = tag("p", tag("b", text), text, title=text)
    seen = Texts(whole)
    assert [element for element, _ in seen.elements] == ["p", "b"]
    assert seen.found == 2 * plain(text)
    assert seen.elements[0][1]["title"] == plain(text)
    whole.encode("utf-8")


@given(
    st.recursive(st.text() | st.integers(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_an_island_is_json_that_cannot_end_its_script(data):
    text = island(data)
    assert not set("<>&\u2028\u2029") & set(text)
    assert text.isascii()
    assert json.loads(text) == data


def test_halves_of_surrogate_pairs_and_control_characters_are_marked():
    assert plain("a\x00b\ud800c\x1b\n") == "a\ufffdb\ufffdc\ufffd\n"


def test_long_names_are_cut_and_foreign_ones_isolated():
    assert short("x" * 81) == "x" * 79 + "\u2026"
    assert name("dog & cat") == "dog &amp; cat"
    assert name("\u05db\u05dc\u05d1") == "<bdi>\u05db\u05dc\u05d1</bdi>"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.12345, "0.123"), (1234.5, "1234"), (-0.5, "\u22120.5"), (0, "0"), (None, "\u2013"),
     (float("inf"), "\u2013"), (1.5e-7, "1.5\u00d710\u207b\u2077"), (99.96, "100")],
)  # fmt: skip
def test_numbers_read_well(value, said):
    assert number(value) == said


def test_columns_keep_their_digits():
    assert [aligned(x) for x in (0.5, 1.0, 12.34, 999.4)] == ["0.500", "1.00", "12.3", "999"]
    assert [share(x) for x in (0.5, 0.9996, 1.0, None)] == ["0.500", ">0.999", "1.000", "\u2013"]
    assert probability(0) == "< 1.0\u00d710\u207b\u00b3\u2070\u2070"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 7.1), (1e-6, 4e-6), (-50, -20), (0, 0)])
def test_ticks_are_round_and_inside(low, high):
    marks = ticks(low, high, 5)
    assert all(low - 1e-9 <= mark <= high + 1e-9 for mark in marks)
    assert 1 <= len(marks) <= 11
