"""Charts that need no script: SVG of fixed coordinates, scaled by the style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lens.microscope.markup import Markup, joined, name, number, tag

WIDTH, HEIGHT = 480, 170
LEFT, BOTTOM, TOP = 40, 146, 8


def histogram(edges: np.ndarray, counts: np.ndarray, mine: np.ndarray, concept: str) -> Markup:
    """Draw all stimuli, and those of one concept over them, each as shares of their own."""
    shares = [bins / max(bins.sum(), 1) for bins in (counts, mine)]
    high = max(float(np.max(shares)), 1e-12)
    x = _scale(float(edges[0]), float(edges[-1]), LEFT, WIDTH - 8)
    y = _scale(0, high, BOTTOM, TOP)
    marks = [
        joined(
            [
                tag("path", class_="grid", d=f"M{LEFT} {y(mark)}H{WIDTH - 8}"),
                _text(LEFT - 6, y(mark) + 4, f"{number(100 * mark, 2)}%" if mark else "0", "end"),
            ]
        )
        for mark in ticks(0, high, 3)
    ]
    steps = [_steps([x(edge) for edge in edges], [y(share) for share in row]) for row in shares]
    return _chart(
        f"Histogram of activations from {number(float(edges[0]))} to {number(float(edges[-1]))}: "
        f"all stimuli, and those of {concept}",
        marks,
        tag("path", class_="every", d=steps[0]),
        tag("path", class_="chosen", d=steps[1]),
        _axis(x, float(edges[0]), float(edges[-1])),
    )


def conditional(edges: np.ndarray, counts: np.ndarray, categories: Sequence[str]) -> Markup:
    """Draw what share of each bin belongs to each category, stacked; above, how many are in it."""
    strip = 22
    total = counts.sum(axis=1)
    shares = counts / np.maximum(total, 1)[:, None]
    x = _scale(float(edges[0]), float(edges[-1]), LEFT, WIDTH - 8)
    y = _scale(0, 1, BOTTOM, TOP + strip + 6)
    places = [x(edge) for edge in edges]
    layers = []
    below = np.zeros(len(total))
    full = [i for i in range(len(total)) if total[i]]
    behind = _boxes(places, full, np.zeros(len(total)), np.ones(len(total)), y)
    layers.append(tag("path", class_="crest", d=behind))  # all others: what the rest leaves
    for c in range(len(categories) - 1):
        above = below + shares[:, c]
        there = [i for i in full if shares[i, c] > 0]
        if there:
            drawn = _boxes(places, there, below, above, y)
            layers.append(tag("path", class_=f"c{category(c, len(categories))}", d=drawn))
        below = above
    most = math.log1p(float(total.max(initial=1)))
    tall = [TOP + strip - strip * math.log1p(float(n)) / most for n in total]
    crowd = "".join(
        f"M{places[i]} {TOP + strip}V{round(tall[i], 1)}H{places[i + 1]}V{TOP + strip}Z"
        for i in range(len(total))
        if total[i]
    )
    marks = [_text(LEFT - 6, y(mark) + 4, f"{mark:.0%}", "end") for mark in (0, 0.5, 1)]
    return _chart(
        f"Share of categories in {len(total)} bins from {number(float(edges[0]), 2)} to "
        f"{number(float(edges[-1]), 2)} standard deviations from zero; the table below has all "
        f"numbers",
        tag("path", class_="every", d=crowd),
        _text(LEFT - 6, TOP + strip - 4, "n", "end"),
        layers,
        marks,
        _axis(x, float(edges[0]), float(edges[-1])),
    )


def legend(categories: Sequence[str], concept: str) -> Markup:
    """Name the colours of the conditional plot."""
    own = len(categories) - 2
    items = [
        tag(
            "li",
            tag("i", class_=f"c{category(c, len(categories))}", aria_hidden="true"),
            [name(concept, 40), f" as {text}"] if c < own else text,
        )
        for c, text in enumerate(categories)
    ]
    return tag("ul", items, class_="legend")


def category(place: int, count: int) -> str:
    """Name the colour of a category: those of the concept by number, then near and rest."""
    return {count - 2: "near", count - 1: "rest"}.get(place, str(place))


def bars(rows: Sequence[tuple[str, float, str, bool]]) -> Markup:
    """Write names, bars from 0 to 1, numbers; the last tells which to stress."""
    return tag(
        "table",
        tag(
            "tbody",
            [
                tag(
                    "tr",
                    tag("th", name(label, 40), scope="row"),
                    tag(
                        "td",
                        tag("i", style=f"--to:{100 * min(max(length, 0), 1):.0f}%"),
                        class_="bar",
                    ),
                    tag("td", text),
                    class_="chosen" if stressed else None,
                )
                for label, length, text, stressed in rows
            ],
        ),
        class_="bars",
    )


def responses(
    concepts: Sequence[str],
    renderings: Sequence[str],
    cells: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> Markup:
    """Write means by concept and rendering as a table whose cells are bars with their intervals."""
    mean, margin, n = cells
    there = n > 0
    low = float(np.min((mean - margin)[there], initial=0))
    high = float(np.max((mean + margin)[there], initial=0))
    x = _scale(low, high, 0, 100)
    same = len(np.unique(n)) == 1

    def cell(c: int, r: int) -> Markup:
        if not there[c, r]:
            return tag("td", "\u2013", class_="none")
        value, half = float(mean[c, r]), float(margin[c, r])
        ends = x(min(value, 0)), x(max(value, 0)), x(value - half), x(value + half)
        return tag(
            "td",
            tag("span", number(value, 3)),
            style="--a:{:.0f};--b:{:.0f};--c:{:.0f};--d:{:.0f}".format(*ends),
            title=f"\u00b1 {number(half, 2)}" + ("" if same else f", n = {n[c, r]}"),
        )

    rows = [
        tag(
            "tr",
            tag("th", name(concept, 40), scope="row"),
            [cell(c, r) for r in range(len(renderings))],
            class_="chosen" if c == 0 else None,
        )
        for c, concept in enumerate(concepts)
    ]
    head = [tag("th", name(rendering, 30), scope="col") for rendering in renderings]
    return tag(
        "table",
        tag("thead", tag("tr", tag("td"), head)),
        tag("tbody", rows),
        class_="cells",
        style=f"--zero:{x(0):.0f}",
    )


def ticks(low: float, high: float, wanted: int) -> list[float]:
    """Give round numbers between two, about so many."""
    rough = (high - low) / wanted if high > low else 1.0
    unit = 10.0 ** math.floor(math.log10(rough))
    step = unit * next(m for m in (1, 2, 5, 10) if m * unit >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step if i else 0.0 for i in range(first, last + 1)]


def _scale(low: float, high: float, start: float, end: float):
    spread = high - low or 1.0

    def at(value: float) -> float:
        place = round(start + (end - start) * (float(value) - low) / spread, 1)
        return int(place) if place == int(place) else place

    return at


def _steps(places: Sequence[float], heights: Sequence[float]) -> str:
    path = "".join(f"V{top}H{places[i + 1]}" for i, top in enumerate(heights))
    return f"M{places[0]} {BOTTOM}{path}V{BOTTOM}Z"


def _boxes(places: Sequence[float], bins: Sequence[int], low, high, y) -> str:
    """Draw boxes over bins; neighbours of one height are one box."""
    path, start = "", 0
    for k, i in enumerate(bins):
        ends = k + 1 == len(bins) or bins[k + 1] != i + 1
        if ends or (y(low[i]), y(high[i])) != (y(low[i + 1]), y(high[i + 1])):
            first = bins[start]
            path += f"M{places[first]} {y(low[i])}V{y(high[i])}H{places[i + 1]}V{y(low[i])}Z"
            start = k + 1
    return path


def _axis(x, low: float, high: float) -> Markup:
    marks = [_text(x(m), BOTTOM + 16, number(m), "middle") for m in ticks(low, high, 7)]
    return joined([tag("path", class_="axis", d=f"M{LEFT} {BOTTOM}H{WIDTH - 8}"), *marks])


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return tag("text", text, x=x, y=y, text_anchor=anchor)


def _chart(told: str, *children: object) -> Markup:
    return tag(
        "svg",
        *children,
        class_="chart",
        viewbox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=told,
    )
