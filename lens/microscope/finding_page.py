"""Search and comparison: two pages that scripts fill from an index built beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lens.microscope.markup import Markup, island, page, tag


def search_index(data: Sequence[dict[str, Any]]) -> str:
    """Write the index as a classic script: concepts and words, each with its units.

    An entry is ``[text, [[site, place, score], ...]]``, best first; a word's score is its place
    among the unit's words.
    """
    concepts: dict[str, list[list[Any]]] = {}
    words: dict[str, list[list[Any]]] = {}
    for s, site in enumerate(data):
        columns = site["columns"]
        for i in range(len(columns["unit"])):
            if columns["concept"][i] is not None:
                concept = site["concepts"][columns["concept"][i]]
                concepts.setdefault(concept, []).append([s, i, columns["score"][i]])
            for rank, word in enumerate(columns["words"][i]):
                words.setdefault(site["vocabulary"][word], []).append([s, i, rank + 1])
    for found in concepts.values():
        found.sort(key=lambda hit: (-(hit[2] or 0), hit[0], hit[1]))
    for found in words.values():
        found.sort(key=lambda hit: (hit[2], hit[0], hit[1]))
    sites = [
        {
            "number": site["number"],
            "name": site["name"],
            "unit": site["columns"]["unit"],
            "drawn": site["columns"]["drawn"],
            "best": site["columns"]["best"],
            "label": [
                None if c is None else site["concepts"][c] for c in site["columns"]["concept"]
            ],
        }
        for site in data
    ]
    index = {"sites": sites, "concepts": sorted(concepts.items()), "words": sorted(words.items())}
    return f"lens.index({island(index)});\n"


def search_page(model: str) -> str:
    """Write the page that searches concepts, words and units."""
    return page(
        f"Search {model}",
        tag(
            "div",
            tag("h1", "Search"),
            tag("p", "A concept, a word that units pull towards, or a unit such as 17 or "
                "layer4 17.", class_="lead"),
            class_="head",
        ),
        _without("Searching"),
        tag("p", id="count", role="status", class_="hint"),
        tag("div", id="results"),
        root="",
        kind="search-page",
        model=model,
        scripts=["search.js", "assets/search.js"],
    )  # fmt: skip


def compare_page(model: str, data: Sequence[dict[str, Any]]) -> str:
    """Write the page that shows two units side by side."""
    sites = [{"number": site["number"], "name": site["name"]} for site in data]

    def choice(side: str) -> Markup:
        options = [tag("option", site["name"], value=site["number"]) for site in sites]
        return tag(
            "fieldset",
            tag("legend", f"{side} unit"),
            tag("label", "Site ", tag("select", options, name="site")),
            tag("label", "Unit ", tag("input", name="unit", inputmode="numeric", size="6",
                autocomplete="off")),
        )  # fmt: skip

    return page(
        f"Compare units of {model}",
        tag(
            "div",
            tag("h1", "Compare two units"),
            tag("p", "The address of this page is a link to the two.", class_="lead"),
            class_="head",
        ),
        _without("Comparing"),
        tag(
            "form",
            choice("Left"),
            choice("Right"),
            tag("button", "Swap", type="button", id="swap"),
            class_="controls",
            id="choose",
            hidden=True,
        ),
        tag("p", id="problem", role="alert", class_="hint"),
        tag("div", id="facts", class_="scroll"),
        tag("div", id="pair"),
        root="",
        kind="compare-page",
        model=model,
        scripts=["assets/compare.js"],
        data={"sites": sites},
    )


def _without(what: str) -> Markup:
    return tag("noscript", tag("p", f"{what} needs JavaScript; all other pages read without it."))
