"""The page without a kernel: what is written is what the browser will unpack."""

from __future__ import annotations

import base64
import gzip
import json
import re

import pytest

from lens.widgets import host


def unpack(page: str) -> tuple[dict, bytes]:
    """Read a page's data by the layout that `host.js` reads."""
    packed = re.search(r'id="lens-data">([^<]*)<', page).group(1)
    data = gzip.decompress(base64.b64decode(packed))
    size = int.from_bytes(data[:4], "little")
    return json.loads(data[4 : 4 + size]), data[4 + size :]


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
    data, binary = unpack(page)
    start, length = data["state"]["deep"][0]["image"]["$bytes"]
    assert binary[start : start + length] == b"\x00\xff\x10"
    start, length = data["answers"]["1"]["b"]["$bytes"]
    assert binary[start : start + length] == b"xy"
    assert data["asks"] == "index"


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
