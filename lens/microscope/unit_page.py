"""The page of one unit: what it wants, what excites it, and how sure we are."""

from __future__ import annotations

from lens.microscope import charts
from lens.microscope.findings import Facts
from lens.microscope.markup import (
    SHORT,
    Markup,
    aligned,
    name,
    number,
    page,
    probability,
    share,
    short,
    tag,
)
from lens.microscope.parts import SIDE, Drawn, picture_name
from lens.microscope.pieces import Shown, definitions, notices, unit_link
from lens.widgets.neuron.verdict import verdict

ROOT = "../../"
# Parts of the page: what a link names them, and what they are called.
PARTS = {
    "visualizations": "What it wants",
    "examples": "What excites it",
    "responses": "Response by concept and rendering",
    "statistics": "How sure we are",
    "histogram": "All activations",
    "conditional": "Who is at which activation",
    "words": "Words it pulls towards",
    "neighbours": "Similar and opposing units",
}


def unit_page(shown: Shown, place: int) -> str:
    """Write a unit's page.

    Parameters
    ----------
    shown
        The unit's site.
    place
        The unit's place among those that have a page.
    """
    facts = shown.findings.units[place]
    title = f"Unit {facts.unit}"
    sections = {
        "visualizations": _visualizations(shown, facts),
        "examples": _examples(shown, facts),
        "responses": _responses(shown, facts),
        "statistics": _statistics(shown, facts),
        "histogram": _histogram(facts),
        "conditional": _conditional(shown, facts),
        "words": _words(facts),
        "neighbours": _neighbours(shown, facts),
    }
    there = {key: parts for key, parts in sections.items() if parts}
    dead = "This unit gives the same value for every stimulus: nothing can be told apart by it."
    said = verdict(_cut(facts)) if facts.alive else None
    return page(
        f"{title}, {shown.site.name}, {shown.site.model.name}",
        tag(
            "div",
            tag("p", _crumbs(shown), class_="crumbs"),
            tag("h1", title),
            _walk(shown, place),
            tag(
                "p",
                said.headline if said else dead,
                class_="verdict",
                data_level=said.level if said else "none",
            ),
            class_="head",
        ),
        tag(
            "nav",
            [tag("a", PARTS[key], href=f"#{key}") for key in there],
            class_="parts",
            aria_label="Parts of this page",
        ),
        tag(
            "div",
            [
                tag("section", tag("h2", PARTS[key]), parts, id=key, aria_label=PARTS[key])
                for key, parts in there.items()
            ],
            class_="sections",
        ),
        notices(shown.notes),
        root=ROOT,
        kind="unit-page",
        model=shown.site.model.name,
        scripts=[f"{ROOT}assets/unit.js"],
    )


def _crumbs(shown: Shown) -> list[Markup]:
    return [
        tag("a", name(shown.site.model.name, 40), href=f"{ROOT}index.html"),
        tag("span", "/", aria_hidden="true"),
        tag("a", name(shown.site.name), href="../site.html"),
    ]


def _walk(shown: Shown, place: int) -> Markup:
    """Link to the units before and after, and to a comparison."""
    units = shown.units
    unit = units[place]

    def link(to: int, text: str, relation: str) -> Markup:
        if not 0 <= to < len(units):
            return tag("span", text, aria_hidden="true")
        keys = "ArrowLeft" if relation == "prev" else "ArrowRight"
        label = f"Unit {units[to]}"
        return tag(
            "a", text, href=f"{units[to]}.html", rel=relation, aria_label=label,
            aria_keyshortcuts=keys,
        )  # fmt: skip

    return tag(
        "nav",
        link(place - 1, "\u2190", "prev"),
        tag("a", "all units", href="../site.html"),
        link(place + 1, "\u2192", "next"),
        tag("a", "compare", href=f"{ROOT}compare.html#{shown.number}/{unit}"),
        class_="walk",
        aria_label="Other units",
    )


def _cut(facts: Facts) -> dict | None:
    """Give the statistics with a concept that fits into a sentence."""
    known = facts.statistics
    return known and {**known, "concept": short(known["concept"])}


# Parts -------------------------------------------------------------------------------------------


def _visualizations(shown: Shown, facts: Facts) -> list[Markup]:
    figures = []
    for kind, (drawer, drawn) in enumerate(shown.drawn.items()):
        number_ = kind if "" in shown.drawn else kind + 1
        made = drawn.get(facts.unit)
        if made is not None:
            figures.append(_figure(shown, facts, drawer, number_, made))
        elif facts.unit in shown.asked[drawer]:
            figures.append(tag("p", _missing(drawer), class_="hint"))
    if not figures:
        return []
    measured = shown.quality.get(facts.unit)
    return [
        tag("div", figures, class_="figures many" if len(figures) > 1 else "figures"),
        *([tag("h3", "How good the picture is"), definitions(measured)] if measured else []),
    ]


def _missing(drawer: str) -> str:
    what = f"picture \u201c{short(drawer)}\u201d" if drawer else "visualization"
    return f"There is no {what}: its objective was not a number."


def _figure(shown: Shown, facts: Facts, drawer: str, kind: int, made: Drawn) -> Markup:
    told = f"Made to excite unit {facts.unit}" + (f", {short(drawer)}" if drawer else "")
    silent = (
        " It did not rise above the noise that it began as." if made.value <= made.start else ""
    )
    best = float(facts.values[0]) if len(facts.values) else None
    looks = sorted(made.measured.items(), key=lambda row: -row[1])[:1] if drawer else []
    return tag(
        "figure",
        tag(
            "img",
            src=f"{ROOT}{picture_name(shown.number, facts.unit, kind)}",
            width=made.width,
            height=made.height,
            alt=f"{told}: a synthetic image",
        ),
        tag(
            "figcaption",
            [tag("b", name(drawer)), " "] if drawer else None,
            f"A synthetic image: activation {number(made.value)}, the best stimulus has "
            f"{number(best)}.{silent} ",
            [["To the probe that guided it, it looks like ", name(facet), f" ({share(sure)}). "]
             for facet, sure in looks],
            tag("span", f"Objective {made.objective}.", class_="formula"),
        ),
    )  # fmt: skip


def _examples(shown: Shown, facts: Facts) -> list[Markup]:
    if not facts.alive:
        return []
    paths = shown.outlines[facts.unit]
    items = []
    told = zip(facts.rows.tolist(), facts.values.tolist(), facts.kinds, paths, strict=True)
    for row, value, (concept, rendering), path in told:
        said = f"{short(concept)}, {short(rendering)}, activation {aligned(value)}"
        # The frame lies outside the picture: one path is the outline, and a veil over the rest.
        veil = tag("path", d=f"M-9-9H105V105H-9Z{path}") if path else None
        image = tag("image", href=f"{ROOT}img/{row}.webp", width=SIDE, height=SIDE)
        items.append(
            tag(
                "li",
                tag("svg", image, veil, viewbox=f"0 0 {SIDE} {SIDE}", role="img", tabindex="0",
                    aria_label=said),
                tag("b", name(concept, 40)),
                tag("em", aligned(value)),
                tag("span", name(rendering, 30)),
            )
        )  # fmt: skip
    where = (
        " The outline is where the unit is above half of its peak; hover or focus one to dim the "
        "rest."
        if any(paths)
        else ""
    )
    hint = f"The {len(items)} strongest stimuli, two of a concept in a rendering at most.{where}"
    return [tag("p", hint, class_="hint"), tag("ol", items, class_="examples")]


def _responses(shown: Shown, facts: Facts) -> list[Markup]:
    if not facts.alive:
        return []
    n = facts.cells[2]
    low, high = int(n[n > 0].min()), int(n.max())
    count = f"n = {high}" if low == high else f"n = {low} to {high}"
    hint = (
        f"Mean activation; the line is its 95% confidence interval ({count} stimuli in each cell). "
        f"Bars start at zero."
    )
    return [
        tag("p", hint, class_="hint"),
        tag(
            "div",
            charts.responses(facts.concepts, shown.findings.renderings, facts.cells),
            class_="scroll",
            tabindex="0",
            role="group",
            aria_label="Responses",
        ),
    ]


def _statistics(shown: Shown, facts: Facts) -> list[Markup]:
    known = facts.statistics
    if known is None:
        return []
    said = verdict(_cut(facts))
    weakest = min(known["auroc"].values())
    area = [(name_, 2 * a - 1, share(a), a == weakest) for name_, a in known["auroc"].items()]
    rows = [
        ("score", share(known["score"]), "AUROC in the weakest rendering"),
        ("q", probability(known["q"]), "share of false finds if all this strong were accepted"),
        ("p", probability(known["p"]), "one-sided rank test, weakest rendering"),
        ("n", f"{known['n']}", "held-out stimuli in each rendering, at least"),
        ("d\u2032", aligned(known["d_prime"]), "distance to other concepts in sd, at least"),
        ("gap", aligned(known["gap"]), "d\u2032 of the written word minus that of the pictures"),
    ]
    tests = shown.findings.attrs.get("tests")
    whole = known["concept"]
    cut = len(whole) > SHORT
    return [
        tag("p", said.plain),
        charts.bars(area),
        tag(
            "p", "AUROC by rendering: an empty bar is 0.5, chance; a full one is 1.", class_="hint"
        ),
        definitions(rows),
        tag("p", f"{said.caution} q is corrected for {tests:,} tests.", class_="hint"),
        *([tag("p", "The concept in full: ", tag("bdi", whole), class_="hint")] if cut else []),
    ]


def _histogram(facts: Facts) -> list[Markup]:
    if not facts.alive:
        return []
    edges, counts, mine = facts.histogram
    concept = facts.concepts[0]
    legend = tag(
        "ul",
        tag("li", tag("i", class_="every"), f"all stimuli (n = {counts.sum():,})"),
        tag("li", tag("i", class_="chosen"), name(concept, 40), f" (n = {mine.sum():,})"),
        class_="legend",
    )
    return [
        legend,
        charts.histogram(edges, counts, mine, short(concept, 40)),
        tag("p", "Activation; each group as a share of its own stimuli.", class_="hint"),
    ]


def _conditional(shown: Shown, facts: Facts) -> list[Markup]:
    if not facts.alive:
        return []
    edges, counts = facts.shares
    categories = shown.findings.categories
    total = counts.sum(axis=1)
    head = ["from", "to", "n", *(short(c, 40) for c in categories)]
    own = len(categories) - 2
    rows = [
        tag("tr", [tag("td", text) for text in (
            number(float(edges[i]), 2), number(float(edges[i + 1]), 2), f"{total[i]}",
            *(str(count) for count in counts[i].tolist()),
        )])
        for i in range(len(total) - 1, -1, -1)
        if total[i]
    ]  # fmt: skip
    told = [f"concept as {c}" if i < own else c for i, c in enumerate(categories)]
    head[3:] = told
    return [
        charts.legend(categories, facts.concepts[0]),
        charts.conditional(edges, counts, categories),
        tag(
            "p",
            "Bins of equal width, in standard deviations from zero; above, how many stimuli are in "
            "each (log scale).",
            class_="hint",
        ),
        tag(
            "details",
            tag("summary", "The numbers"),
            tag(
                "table",
                tag("thead", tag("tr", [tag("th", text, scope="col") for text in head])),
                tag("tbody", rows),
                class_="numbers",
            ),
        ),
    ]


def _words(facts: Facts) -> list[Markup]:
    if not facts.words:
        return []
    most = max(abs(score) for _, score in facts.words) or 1.0
    hint = (
        "What one standard deviation more of this unit adds to an image\u2019s similarity with a "
        "word, over the average word (least squares over the stimuli)."
    )
    rows = [(word, score / most, number(score, 2), False) for word, score in facts.words]
    return [tag("p", hint, class_="hint"), charts.bars(rows)]


def _neighbours(shown: Shown, facts: Facts) -> list[Markup]:
    if not (facts.similar or facts.opposing):
        return []
    by_number = {other.unit: other for other in shown.findings.units}

    def listed(rows: list[tuple[int, float]]) -> Markup:
        items = [
            tag("li", unit_link(shown, by_number[unit], ROOT, f"{unit}.html", f"r {aligned(r)}"),
                tag("a", "compare", class_="beside",
                    aria_label=f"Compare units {facts.unit} and {unit}",
                    href=f"{ROOT}compare.html#{shown.number}/{facts.unit},{shown.number}/{unit}"))
            for unit, r in rows
        ]  # fmt: skip
        return tag("ul", items, class_="units")

    none = tag("p", "None.", class_="hint")
    return [
        tag("p", "Correlation r of the responses over all stimuli.", class_="hint"),
        tag("h3", "Similar"),
        listed(facts.similar) if facts.similar else none,
        tag("h3", "Opposing"),
        listed(facts.opposing) if facts.opposing else none,
    ]
