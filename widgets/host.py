"""A widget as one HTML file that needs no kernel and no network.

`host.js` plays the part of the Jupyter front end: it runs the widget's own ``render({model, el})``
on data that lies, compressed, in the page. Whatever the widget would ask the kernel for has been
computed beforehand: one answer for each value of one trait.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HOST = Path(__file__).with_name("host.js")

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src blob: data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="lens">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0; background: #fff; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #14161a; color: #eceef2; }} }}
{css}
</style>
</head>
<body>
<main id="lens"><noscript>This page needs JavaScript to draw itself.</noscript></main>
<script type="application/octet-stream" id="lens-data">{data}</script>
<script type="module">
{script}
</script>
</body>
</html>
"""


def page(
    title: str,
    *,
    esm: str,
    css: str,
    state: Mapping[str, Any],
    asks: str,
    answers: Mapping[Any, Mapping[str, Any]],
) -> str:
    """Write a widget and its data as one HTML page.

    Parameters
    ----------
    title
        The window's title.
    esm
        The widget's ES module, as anywidget takes it. It imports nothing, and its ``render`` is a
        top-level name.
    css
        The widget's style sheet.
    state
        The traits the widget starts with: what JSON holds, and bytes.
    asks
        The trait through which the widget asks for something else.
    answers
        For each value of that trait, the traits that answer it.
    """
    data = {"state": state, "asks": asks, "answers": {str(k): v for k, v in answers.items()}}
    return TEMPLATE.format(
        title=html.escape(title),
        css=css.replace("</style", "<\\/style"),
        data=base64.b64encode(gzip.compress(_pack(data), mtime=0)).decode(),
        script=_inline(f"{esm}\n{HOST.read_text(encoding='utf-8')}"),
    )


def _pack(data: Mapping[str, Any]) -> bytes:
    """Lay out data as: length of the JSON (uint32, little endian), the JSON, the binary parts."""
    parts: list[bytes] = []
    known: dict[int, dict[str, list[int]]] = {}  # what stands in two places travels once
    end = 0

    def binary(value: Any) -> dict[str, list[int]]:
        nonlocal end
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(f"A page can't hold a {type(value).__name__}.")
        if id(value) not in known:
            parts.append(bytes(value))
            known[id(value)] = {"$bytes": [end, len(parts[-1])]}
            end += len(parts[-1])
        return known[id(value)]

    text = json.dumps(data, default=binary, allow_nan=False, separators=(",", ":")).encode()
    return b"".join([len(text).to_bytes(4, "little"), text, *parts])


def _inline(script: str) -> str:
    """Keep a script from ending its own element early."""
    return script.replace("</script", "<\\/script").replace("<!--", "<\\!--")
