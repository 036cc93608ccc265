"""The page of a site: all its units at once, and the same as data for scripts."""

from __future__ import annotations

import json
from typing import Any

from lens.microscope.findings import Facts
from lens.microscope.graph import size_of
from lens.microscope.markup import Markup, island, name, page, plain, tag
from lens.microscope.pieces import Shown, definitions, found, notices, unit_link

ROOT = "../"


def site_page(shown: Shown) -> str:
    """Write a site's page."""
    site, findings = shown.site, shown.findings
    passed = sum(found(facts) for facts in findings.units)
    n = len(shown.units)
    tested = any(facts.statistics for facts in findings.units)
    told = (
        f"{passed:,} of {n:,} units answer to a concept in every rendering (q \u2264 0.05)."
        if tested
        else f"{n:,} units; none was tested against concepts."
    )
    return page(
        f"{site.name}, {site.model.name}",
        tag(
            "div",
            tag(
                "p",
                tag("a", name(site.model.name, 40), href=f"{ROOT}index.html"),
                class_="crumbs",
            ),
            tag("h1", name(site.name)),
            tag("p", told, f" {size_of(site)} places." if site.grid else None, class_="lead"),
            class_="head",
        ),
        notices(shown.notes),
        _controls(tested),
        tag("p", id="count", role="status", class_="hint"),
        tag("div", id="table", hidden=True, class_="scroll", tabindex="0", role="group",
            aria_label="Units as a table"),
        tag(
            "ul",
            [
                tag(
                    "li",
                    unit_link(shown, facts, ROOT, f"unit/{facts.unit}.html"),
                    data_u=facts.unit,
                )
                for facts in ranked(findings.units)
            ],
            class_="units grid",
            id="grid",
        ),
        _how(shown),
        root=ROOT,
        kind="site-page",
        model=site.model.name,
        scripts=["data.js", f"{ROOT}assets/site.js"],
    )  # fmt: skip


def ranked(units: list[Facts]) -> list[Facts]:
    """Order units as the multimodal table does: best first, untested ones last."""

    def key(facts: Facts) -> tuple[float, float, float, int]:
        known = facts.statistics
        if known is None:
            return (1.0, 2.0, 0.0, facts.unit)
        return (-known["score"], known["q"], -known["d_prime"], facts.unit)

    return sorted(units, key=key)


def site_data(shown: Shown) -> dict[str, Any]:
    """Give a site's units as columns: for sorting, filters and comparisons."""
    units = shown.findings.units
    concepts = _Numbered()
    words = _Numbered()
    known = [facts.statistics for facts in units]

    def column(key: str) -> list[float | None]:
        return [_rounded(row[key]) if row else None for row in known]

    columns = {
        "unit": shown.units,
        "concept": [concepts(row["concept"]) if row else None for row in known],
        "score": column("score"),
        "q": column("q"),
        "p": column("p"),
        "n": [row["n"] if row else None for row in known],
        "d_prime": column("d_prime"),
        "gap": column("gap"),
        "auroc": [[_rounded(a) for a in row["auroc"].values()] if row else None for row in known],
        "words": [[words(word) for word, _ in facts.words] for facts in units],
        "near": [[*facts.similar, *facts.opposing] for facts in units],
        "best": [
            int(facts.rows[0]) if facts.alive and len(facts.rows) else None for facts in units
        ],
        "drawn": [int(facts.unit in shown.drawn.get("", {})) for facts in units],
    }
    return {
        "number": shown.number,
        "name": plain(shown.site.name),
        "renderings": [plain(rendering) for rendering in shown.findings.renderings],
        "concepts": [plain(concept) for concept in concepts.names],
        "notes": [plain(note) for note in shown.notes],
        "vocabulary": [plain(word) for word in words.names],
        "columns": columns,
    }


def data_script(data: dict[str, Any]) -> str:
    """Write a site's data as a classic script, which loads from a file where `fetch` can't."""
    return f"lens.site({island(data)});\n"


def parsed(script: str) -> dict[str, Any]:
    """Read a site's data back."""
    return json.loads(script.removeprefix("lens.site(").rstrip().removesuffix(");"))


class _Numbered:
    """Names, each told by its number."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    @property
    def names(self) -> list[str]:
        return list(self._places)

    def __call__(self, one: str) -> int:
        return self._places.setdefault(one, len(self._places))


def _rounded(value: float) -> float | None:
    # Four digits; NaN and infinity are no JSON.
    rounded = float(f"{value:.4g}")
    return rounded if abs(rounded) < float("inf") else None


def _controls(tested: bool) -> Markup:
    """Write what sorts and filters; shown by the script that makes it work."""
    orders = [("score", "score"), ("unit", "unit number"), ("concept", "concept")]
    options = [tag("option", text, value=value) for value, text in orders]
    return tag(
        "form",
        tag("label", "Sort by ", tag("select", options, name="sort")),
        tag(
            "label",
            "Filter ",
            tag("input", type="search", name="filter", placeholder="concept or unit number",
                autocomplete="off"),
        ),
        tag("label", tag("input", type="checkbox", name="multimodal"),
            " multimodal only (q \u2264 0.05)") if tested else None,
        tag("label", tag("input", type="checkbox", name="table"), " as a table"),
        class_="controls",
        id="controls",
        hidden=True,
        aria_label="Sort and filter units",
    )  # fmt: skip


def _how(shown: Shown) -> Markup:
    """Say how all of it was made."""
    attrs = shown.findings.attrs
    rows = [
        ("values", shown.findings.values, ""),
        ("stimuli", f"{shown.findings.stimuli:,}", ""),
    ]
    if attrs:
        rows.append(("tests", f"{attrs['tests']:,}, corrected by {attrs['correction']}", ""))
    plain: dict[str, Any] = {}
    for drawer, recipe in shown.recipes.items():
        own = {key: value for key, value in recipe.items() if plain.get(key) != value}
        rows += [(f"{drawer} {key}".strip(), _told(value), "") for key, value in own.items()]
        plain = plain or recipe  # of further pictures, what is not as in the first ones
    return tag("details", tag("summary", "How it was made"), definitions(rows), class_="how")


def _told(setting: Any) -> str:
    if isinstance(setting, dict):
        return ", ".join(f"{key} {_told(value)}" for key, value in setting.items())
    if isinstance(setting, list | tuple):
        return "; ".join(map(_told, setting))
    return str(setting)
