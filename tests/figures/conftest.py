"""A small model's responses to a few stimuli, some of them called what nobody should be called."""

from xml.etree import ElementTree

import pytest

from lens.data import glyphs
from lens.neurons.responses import responses

HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "quotes \" and ' & $x^2$ \\frac{}",
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u202e",
    "x" * 10_000,
    "two\nlines\tand\x00\x07more",
    "\U0001f600 \u6f22 emoji and han",
]
PLAIN = ["dog", "pizza", "guitar", "volcano", "crown", "fish"]
RENDERINGS = ["cartoon", "drawing", "word"]


def called(names):
    stimuli = glyphs().stimuli(per_cell=4, size=64, concepts=PLAIN, renderings=RENDERINGS)
    table = stimuli.table
    stimuli.table = table.assign(concept=table["concept"].map(dict(zip(PLAIN, names, strict=True))))
    return stimuli


@pytest.fixture(scope="session")
def site(tiny_rn):
    return tiny_rn.site("image.layer4")


@pytest.fixture(scope="session")
def measured(site):
    return responses(site, called(PLAIN), progress=False)


@pytest.fixture(scope="session")
def hostile(site):
    stimuli = called(HOSTILE)
    stimuli.__dict__["key"] = "hostile"  # other names, same pixels: no pass of theirs is shared
    return responses(site, stimuli, progress=False)


@pytest.fixture(scope="session")
def texts():
    """Read the lines of text of an SVG."""
    tag = "{http://www.w3.org/2000/svg}text"
    return lambda svg: ["".join(e.itertext()) for e in ElementTree.fromstring(svg).iter(tag)]


@pytest.fixture(scope="session")
def names():
    return HOSTILE
