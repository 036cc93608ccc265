"""The page without a kernel: what is written is what the browser will unpack."""

from __future__ import annotations

import base64
import gzip
import json
import re

import pytest

from lens.widgets import host
from lens.widgets.theme import THEME


def unpack(page: str) -> tuple[list[dict], bytes]:
    """Read a page's data by the layout that `host.js` reads."""
    packed = re.search(r'id="lens-data">([^<]*)<', page).group(1)
    data = gzip.decompress(base64.b64decode(packed))
    size = int.from_bytes(data[:4], "little")
    return json.loads(data[4 : 4 + size])["views"], data[4 + size :]


def write(**changes) -> str:
    given = {
        "esm": "function render() {}",
        "css": "p { color: red }",
        "state": {"index": 1},
        "asks": "index",
        "answers": {1: {}},
    }
    return host.page("A title", **{**given, **changes})


def test_json_and_bytes_come_back():
    page = write(
        state={"index": 1, "deep": [{"image": b"\x00\xff\x10"}]}, answers={1: {"b": b"xy"}}
    )
    (data,), binary = unpack(page)
    start, length = data["state"]["deep"][0]["image"]["$bytes"]
    assert binary[start : start + length] == b"\x00\xff\x10"
    start, length = data["answers"]["index"]["1"]["b"]["$bytes"]
    assert binary[start : start + length] == b"xy"


def test_bytes_in_two_places_travel_once():
    image = bytes(1000)
    _, binary = unpack(write(state={"card": image}, answers={1: {"card": image}}))
    assert len(binary) == 1000


def test_the_same_data_gives_the_same_file():
    assert write() == write()


def test_nothing_in_the_data_or_the_script_ends_an_element_early():
    page = write(
        esm='function render() { return "</script><!--" }',
        css="/* </style> */",
        state={"word": "</script><script>alert(1)</script>"},
    )
    body = page.split("<style>")[1]
    assert body.count("</style>") == 1
    assert body.count("</script>") == 2  # the data's element and the module's
    assert "alert" not in page
    assert "<!--" not in page


def test_the_title_is_escaped():
    page = host.page("<b>&", esm="", css="", state={}, asks="index", answers={})
    assert "<title>&lt;b&gt;&amp;</title>" in page


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_lacks_are_refused(value):
    with pytest.raises(ValueError, match="JSON"):
        write(state={"value": value})


def test_no_address_outside_the_file():
    page = write()
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "https://" not in page
    assert "default-src 'none'" in page


def test_several_views_ask_through_several_traits_each():
    maps = host.Hosted(
        "const same = 1;\nfunction render() {}\nexport default { render };\n",
        "",
        {"layer": "a", "listed": [1]},
        {"layer": {"a": {"x": 1}}, "listed": {(1, 2): {"y": 2}, 3: {"y": 3}}},
    )
    cards = host.Hosted(maps.esm.replace("= 1", "= 2"), "", {"index": 0})
    page = host.page_of("Both", [maps, cards, maps])
    views, _ = unpack(page)
    assert [view["module"] for view in views] == [0, 1, 0]
    assert views[0]["answers"] == {
        "layer": {"a": {"x": 1}},
        "listed": {"[1,2]": {"y": 2}, "3": {"y": 3}},
    }
    assert views[1]["answers"] == {}
    assert page.count("const same") == 2  # a module once, however many views it draws
    assert "export default" not in page


def test_a_theme_may_be_told():
    view = host.Hosted("", "", {})
    assert "data-jp-theme-light" not in host.page_of("", [view]).split("<style>")[0]
    assert '<html lang="en" data-jp-theme-light="false">' in host.page_of("", [view], "dark")


def test_the_theme_stands_once_in_a_page_of_several_views():
    views = [host.Hosted("", f"{THEME}\n.{name} {{}}", {}) for name in ("a", "b", "a")]
    page = host.page_of("", views)
    assert page.count("--ink:") == 1
    assert page.count(".a {}") == 1
    assert page.count(".b {}") == 1


def test_a_fragment_stands_where_it_is_told():
    text = host.fragment([host.Hosted("", "", {})], "view-3")
    assert '<div id="view-3">' in text
    assert 'const place = "view-3";' in text
    assert 'id="view-3-data"' in text
