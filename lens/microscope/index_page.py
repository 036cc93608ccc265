"""The first page: the model, its layers, and where to go from here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lens.microscope.graph import graph, size_of
from lens.microscope.markup import Markup, name, page, share, short, tag
from lens.microscope.pieces import definitions, notices
from lens.microscope.plan import Plan
from lens.widgets.neuron.verdict import ACCEPTED

BEST = 24


def index_page(plan: Plan, data: Sequence[dict[str, Any]], notes: Sequence[str]) -> str:
    """Write the first page.

    Parameters
    ----------
    plan
        What the web site is made of.
    data
        The columns of each site; see `lens.microscope.site_page.site_data`.
    notes
        What is left out, and why.
    """
    model = plan.model
    pages = {site.name: f"{i}/site.html" for i, (site, _) in enumerate(plan.chosen)}
    units = sum(len(units) for _, units in plan.chosen)
    every = sum(site.n_units for site, _ in plan.chosen)
    whose = "Every unit" if units == every else f"Each of {units:,} units out of {every:,}"
    passed = [_passed(site) for site in data]
    table = plan.stimuli.table
    parameters = sum(p.numel() for p in model.module.parameters())
    height, width = model.image_size
    rows = [
        ("architecture", type(model.module).__name__, f"{parameters / 1e6:.1f} million "
         f"parameters; fingerprint {model.fingerprint}"),
        ("pictures", f"{height} \u00d7 {width}", f"towers: {', '.join(model.towers)}"),
        ("units", f"{units:,}", f"at {len(plan.chosen)} of {len(model.sites)} sites"),
        ("multimodal", f"{sum(map(len, passed)):,}", "answer to a concept in every rendering"),
        ("stimuli", f"{len(table):,}", f"{table['concept'].nunique():,} concepts, "
         f"{table['rendering'].nunique()} renderings"),
    ]  # fmt: skip
    return page(
        f"{model.name} under the microscope",
        tag(
            "div",
            tag("h1", name(model.name)),
            tag("p", f"{whose}: what it wants, what excites it, and how sure we are.",
                class_="lead"),
            class_="head",
        ),
        tag(
            "div",
            tag(
                "div",
                definitions(rows),
                notices(notes),
                tag("section", tag("h2", "Sites"), _sites(plan, passed), aria_label="Sites"),
                _best(data, passed),
            ),
            tag(
                "section",
                tag("h2", "Layers"),
                tag("p", "From input to output; those in colour have pages.", class_="hint"),
                tag("div", graph(model, pages), class_="scroll", tabindex="0", role="group",
                    aria_label="Layers"),
                aria_label="Layers",
            ),
            class_="columns",
        ),
        root="",
        kind="index-page",
        model=model.name,
    )  # fmt: skip


def _passed(site: dict[str, Any]) -> list[int]:
    """Give the places of units that passed the test, best first."""
    columns = site["columns"]
    found = [i for i, q in enumerate(columns["q"]) if q is not None and q <= ACCEPTED]
    return sorted(found, key=lambda i: (-columns["score"][i], columns["q"][i], i))


def _sites(plan: Plan, passed: Sequence[Sequence[int]]) -> Markup:
    head = ["site", "kind", "size", "units with pages", "multimodal"]
    rows = [
        tag(
            "tr",
            tag("th", tag("a", name(site.name), href=f"{i}/site.html"), scope="row"),
            tag("td", site.kind),
            tag("td", size_of(site)),
            tag("td", f"{len(units):,}"),
            tag("td", f"{len(passed[i]):,}"),
        )
        for i, (site, units) in enumerate(plan.chosen)
    ]
    return tag(
        "div",
        tag(
            "table",
            tag("thead", tag("tr", [tag("th", text, scope="col") for text in head])),
            tag("tbody", rows),
            class_="numbers",
        ),
        class_="scroll",
        tabindex="0",
        role="group",
        aria_label="Sites",
    )


def _best(data: Sequence[dict[str, Any]], passed: Sequence[Sequence[int]]) -> Markup | None:
    """Show the best units of all sites; two of a concept at most."""
    every = [(data[s]["columns"]["score"][i], s, i) for s, own in enumerate(passed) for i in own]
    every.sort(key=lambda entry: (-entry[0], entry[1], entry[2]))
    items: list[Markup] = []
    seen: dict[str, int] = {}
    for score, s, i in every:
        site, columns = data[s], data[s]["columns"]
        concept = site["concepts"][columns["concept"][i]]
        seen[concept] = seen.get(concept, 0) + 1
        if seen[concept] > 2 or len(items) == BEST:
            continue
        unit = columns["unit"][i]
        items.append(
            tag(
                "li",
                tag(
                    "a",
                    _thumbnail(site, i),
                    tag("b", str(unit)),
                    tag("span", name(concept, 40)),
                    tag("em", share(score)),
                    href=f"{s}/unit/{unit}.html",
                    class_="unit",
                    title=short(site["name"]),
                ),
            )
        )
    if not items:
        return None
    title = "Units that answer to one concept, however it is shown"
    return tag("section", tag("h2", title), tag("ul", items, class_="units"), aria_label=title)


def _thumbnail(site: dict[str, Any], place: int) -> Markup:
    columns = site["columns"]
    if columns["drawn"][place]:
        file, tile = divmod(place, 64)
        row, column = divmod(tile, 8)
        x, y = (f"{100 * at / 7:.4g}%" if at else "0" for at in (column, row))
        source = f"{site['number']}/thumb/{file}.webp"
        style = f"background:url({source}) {x} {y}/800%"
        return tag("i", class_="thumb", style=style, aria_hidden="true")
    if columns["best"][place] is not None:
        return tag("img", class_="thumb", src=f"img/{columns['best'][place]}.webp", alt="")
    return tag("i", class_="thumb none", aria_hidden="true")
