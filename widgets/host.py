"""Views as one HTML file that needs no kernel and no network.

`host.js` plays the part of the Jupyter front end: it runs each view's own ``render({model, el})``
on data that lies, compressed, in the page. Whatever a view would ask the kernel for has been
computed beforehand: an answer for each value of each trait that asks.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lens.widgets.theme import together

HOST = Path(__file__).with_name("host.js")

#: For each trait that asks, and each of its values: the traits that answer it.
Answers = Mapping[str, Mapping[Any, Mapping[str, Any]]]

TEMPLATE = """<!doctype html>
<html lang="en"{theme}>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; \
script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src blob: data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="{schemes}">
<meta name="generator" content="lens">
<title>{title}</title>
<style>
:root {{ color-scheme: {schemes}; }}
body {{ margin: 0; }}
{css}
</style>
</head>
<body class="lens">
<main id="lens"><noscript>This page needs JavaScript to draw itself.</noscript></main>
{scripts}
</body>
</html>
"""

FRAGMENT = """<style>
{css}
</style>
<div id="{place}"><noscript>This view needs JavaScript to draw itself.</noscript></div>
{scripts}
"""

SCRIPTS = """<script type="application/octet-stream" id="{place}-data">{data}</script>
<script type="module">
{script}
</script>"""

# A module's last line, as every view ends; in a page it returns instead.
EXPORTED = re.compile(r"^[ \t]*export default .*$", re.MULTILINE)


@dataclass(frozen=True)
class Hosted:
    """One view of a page.

    Attributes
    ----------
    esm
        Its ES module, as anywidget takes it. It imports nothing, and its ``render`` is a top-level
        name.
    css
        Its style sheet.
    state
        The traits it starts with: what JSON holds, and bytes.
    answers
        For each trait through which it asks, and each value of that trait, the traits that answer.
    """

    esm: str
    css: str
    state: Mapping[str, Any]
    answers: Answers = field(default_factory=dict)


def page(
    title: str,
    *,
    esm: str,
    css: str,
    state: Mapping[str, Any],
    asks: str,
    answers: Mapping[Any, Mapping[str, Any]],
) -> str:
    """Write one view that asks through one trait, and its data, as one HTML page.

    Parameters
    ----------
    title
        The window's title.
    esm, css, state
        See `Hosted`.
    asks
        The trait through which the view asks for something else.
    answers
        For each value of that trait, the traits that answer it.
    """
    return page_of(title, [Hosted(esm, css, state, {asks: answers})])


def page_of(
    title: str, views: Sequence[Hosted], theme: Literal["light", "dark"] | None = None
) -> str:
    """Write views and their data as one HTML page, one below the other.

    Views of a page hear what is chosen in each other (`link.js`).

    Parameters
    ----------
    title
        The window's title.
    views
        In order.
    theme
        "light" or "dark"; None follows the reader's system.
    """
    return TEMPLATE.format(
        title=html.escape(title),
        css=_css(views),
        scripts=_scripts(views, "lens"),
        schemes=theme or "light dark",
        theme=f' data-jp-theme-light="{str(theme == "light").lower()}"' if theme else "",
    )


def fragment(views: Sequence[Hosted], place: str) -> str:
    """Write views and their data as HTML that stands in another page.

    Parameters
    ----------
    views
        In order.
    place
        The id of the element that holds them: letters, digits and hyphens, once in that page.
    """
    return FRAGMENT.format(css=_css(views), place=place, scripts=_scripts(views, place))


def _css(views: Sequence[Hosted]) -> str:
    return together([view.css for view in views]).replace("</style", "<\\/style")


def _scripts(views: Sequence[Hosted], place: str) -> str:
    modules = list(dict.fromkeys(view.esm for view in views))
    data = [
        {
            "module": modules.index(view.esm),
            "state": view.state,
            "answers": {
                trait: {key(value): told for value, told in answers.items()}
                for trait, answers in view.answers.items()
            },
        }
        for view in views
    ]
    # Each module in a scope of its own: two views share names, such as those of draw.js.
    scopes = ",\n".join(
        f"() => {{\n{EXPORTED.sub('', module)}\nreturn {{ render }};\n}}" for module in modules
    )
    own = f'const place = "{place}";\nconst modules = [\n{scopes}\n];\n'
    return SCRIPTS.format(
        place=place,
        data=base64.b64encode(gzip.compress(_pack({"views": data}), mtime=0)).decode(),
        script=_inline(own + HOST.read_text(encoding="utf-8")),
    )


def key(value: Any) -> str:
    """Write a trait's value as the page looks it up among the answers."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


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
