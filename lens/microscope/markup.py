"""HTML as nested function calls: whatever is not markup already is text, and is escaped."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = [
    "Markup",
    "aligned",
    "island",
    "number",
    "page",
    "plain",
    "probability",
    "share",
    "short",
    "tag",
]

MINUS = "\u2212"
#: What a name is cut to where many names stand together.
SHORT = 80

# Scripts, styles and pictures of the site itself; nothing else, and no network. A browser may take
# every file for a stranger to every other one, hence `file:` beside 'self'.
POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file: 'unsafe-inline'; "
    "img-src 'self' file:; frame-src 'self' file:; base-uri 'none'; form-action 'none'"
)

_VOID = frozenset(["br", "hr", "img", "input", "link", "meta"])
# Of these, HTML lets the end be left out before the next one and at the end of what they are in;
# a page has hundreds of them.
_OPEN = frozenset(["td", "th", "tr", "li", "dt", "dd"])
# SVG closes empty elements in one tag.
_EMPTY = frozenset(["path", "rect", "image"])
# What HTML can't hold: control characters, halves of a surrogate pair, and U+FFFE, U+FFFF.
_UNSHOWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
# Attributes that are no Python names.
_SPELLED = {"class_": "class", "for_": "for", "viewbox": "viewBox", "http_equiv": "http-equiv"}

Child = Any


class Markup(str):
    """A string that is HTML as it stands."""

    __slots__ = ()


def tag(name: str, /, *children: Child, **attributes: Any) -> Markup:
    """Write an element.

    Parameters
    ----------
    name
        Of the element.
    children
        Markup as it is; anything else as text. None and False are left out, lists are laid out.
    attributes
        ``class_`` for class, underscores for hyphens; None and False leave one out, True is one
        without a value.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    inside = joined(children)
    if name in _EMPTY and not inside:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{inside}{'' if name in _OPEN else f'</{name}>'}")


def joined(children: Iterable[Child]) -> Markup:
    """Write children one after the other."""
    return Markup("".join(_child(child) for child in children))


def plain(text: Any) -> str:
    """Give text without the characters that HTML can't hold."""
    return _UNSHOWABLE.sub("\ufffd", str(text))


def short(text: Any, length: int = SHORT) -> str:
    """Cut a name that is longer than a name."""
    whole = str(text)
    return whole if len(whole) <= length else f"{whole[: length - 1]}\u2026"


def name(text: Any, length: int = SHORT) -> Markup:
    """Write a name from data, cut, in its own direction of writing."""
    cut = short(text, length)
    return Markup(_child(cut)) if cut.isascii() else tag("bdi", cut)


def island(data: Any) -> str:
    """Write JSON that may stand inside any script element, in ASCII alone."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def page(
    title: str,
    *body: Child,
    root: str,
    kind: str,
    model: str,
    scripts: Iterable[str] = (),
    data: Mapping[str, Any] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> str:
    """Write a whole page.

    Parameters
    ----------
    title
        The window's title, and with `body` what stands in its main part.
    root
        The way to the site's first page: "", "../" or "../../".
    kind
        What the style sheet and scripts know it by.
    model
        The model's name, on every page.
    scripts
        Addresses of classic scripts: modules do not load from a file.
    data
        For the scripts, as a JSON island.
    attributes
        More attributes of the body.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="generator", content="lens"),
        tag("title", short(title, 160)),
        tag("link", rel="stylesheet", href=f"{root}assets/microscope.css"),
    )
    here = {"class": kind, "data-root": root, **(attributes or {})}
    top = tag(
        "header",
        tag("a", "Skip to the content", class_="skip", href="#main"),
        tag("a", name(model, 40), class_="home", href=f"{root}index.html"),
        tag(
            "nav",
            tag("a", "Search", href=f"{root}search.html"),
            tag("a", "Compare", href=f"{root}compare.html"),
            aria_label="The whole site",
        ),
        tag(
            "form",
            tag(
                "input",
                type="search",
                name="q",
                aria_label="Search concepts, words and units",
                placeholder="concept, word or unit",
                autocomplete="off",
                aria_keyshortcuts="/",
            ),
            tag("kbd", "/", aria_hidden="true"),
            role="search",
            class_="find",
        ),
        class_="top",
    )
    load = [f"{root}assets/microscope.js", *scripts]
    whole = tag(
        "html",
        head,
        tag(
            "body",
            top,
            tag("main", *body, id="main", tabindex="-1"),
            tag("script", Markup(island(data)), type="application/json", id="data")
            if data is not None
            else None,
            *[tag("script", src=source) for source in load],
            **here,
        ),
        lang="en",
    )
    return f"<!doctype html>\n{whole}\n"


def _child(child: Child) -> str:
    if child is None or child is False:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, list | tuple):
        return joined(child)
    return html.escape(plain(child), quote=False)


def _attribute(key: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    spelled = _SPELLED.get(key) or key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {spelled}"
    return f' {spelled}="{html.escape(plain(value))}"'


# Numbers as people read them ---------------------------------------------------------------------


def number(value: float | None, digits: int = 3) -> str:
    """Give three digits; powers of ten for the very large and small; a dash for what is no number.

    Examples
    --------
    >>> number(0.12345), number(1234.5), number(float("nan"))
    ('0.123', '1234', '–')
    """
    if value is None or not math.isfinite(value):
        return "\u2013"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e5 or size < 1e-3:
        return _scientific(value)
    text = f"{value:.0f}" if size >= 100 else f"{float(f'{value:.{digits}g}'):g}"
    return text.replace("-", MINUS)


def aligned(value: float | None) -> str:
    """Give exactly three digits, for columns."""
    if value is None or not math.isfinite(value) or not 0.01 <= abs(value) < 1000:
        return number(value)
    return f"{value:#.3g}".rstrip(".").replace("-", MINUS)


def share(value: float | None) -> str:
    """Give three decimals of a score or an AUROC; never a rounded-up 1."""
    if value is None or not math.isfinite(value):
        return number(value)
    text = f"{value:.3f}"
    return ">0.999" if text == "1.000" and value < 1 else text


def probability(value: float | None) -> str:
    """Give two digits; a probability that underflowed is small, not zero."""
    return f"< {_scientific(1e-300)}" if value == 0 else number(value, 2)


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.1e}".split("e")
    raised = str(int(exponent)).translate(
        str.maketrans(
            "-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
        )
    )
    return f"{mantissa.replace('-', MINUS)}\u00d710{raised}"
