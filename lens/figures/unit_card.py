"""One unit on one page: what it wants, what excites it, and how sure we are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lens.figures.figure import Figure
from lens.figures.measuring import measured_for
from lens.figures.paper import area, paper, picture, say
from lens.figures.style import (
    CATEGORIES,
    GREY,
    INK,
    LINE,
    MARKERS,
    OTHER,
    SMALL,
    TITLE,
    Width,
    house_style,
    millimetres,
)
from lens.neurons.card import NeuronCard, card

if TYPE_CHECKING:
    from lens.neurons.responses import Responses
    from lens.sites import Unit

__all__ = ["unit_card"]

_CAPTION = 3.2


def unit_card(
    unit: Unit | NeuronCard,
    *,
    stimuli: Any = None,
    measured: Responses | None = None,
    visualization: Any = None,
    steps: int = 256,
    seed: int = 0,
    width: Width | float = "double",
    title: str | None = None,
) -> Figure:
    """Draw a unit: a synthetic image, the stimuli that excite it most, its responses by rendering.

    After the unit pages of Goh et al. (2021). A synthetic image stands beside real examples, and
    the score beside its sample size and its false-discovery rate q.

    Parameters
    ----------
    unit
        A unit; or its `lens.neurons.card.card`, which has everything but the style.
    stimuli, measured
        What to show, or what was measured; see `lens.neurons.responses.responses`.
    visualization
        What `lens.visualize` made of the unit; made now if not given, left out if False.
    steps, seed
        Of the visualization that is made now.
    width
        "single" (85 mm) or "double" (178 mm) column, or mm.
    title
        In place of the unit's name.

    Raises
    ------
    BadInput
        Where what was measured is of another site; see also `lens.neurons.responses.responses`.
    """
    across = millimetres(width)
    if isinstance(unit, NeuronCard):
        found = unit
    else:
        if visualization is None:
            from lens.featurevis import visualize

            visualization = visualize(unit, steps=steps, seed=seed)
        seen = measured_for(unit, stimuli, measured)
        found = card(unit, seen, visualization=visualization or None)
    said = title if title is not None else f"Unit {found.index} of {found.site}, {found.model}"
    with house_style():
        drawing = _drawn(found, said, across)
    return Figure(f"{said}: card of a unit", found.responses, drawing)


def _drawn(found: NeuronCard, title: str, across: float) -> Any:
    wide = across >= 140
    synthetic = 40.0 if wide else 38.0
    top, kinds = 10.5, list(dict.fromkeys(found.responses["rendering"]))
    concepts = list(dict.fromkeys(found.responses["concept"]))
    drawing = paper(across, 76.0 if wide else 118.0)
    say(drawing, 1, 1, title, room=across - 2, size=TITLE, bold=True)
    say(drawing, 1, 5.8, _tested(found), room=across - 2, size=SMALL, colour=GREY)

    left = 1.0
    if found.visualization is not None:
        picture(drawing, found.visualization, 1, top, synthetic, synthetic)
        said = f"synthetic, answers {found.visualization_value:.3g}"
        say(drawing, 1, top + synthetic + 0.5, said, room=synthetic, size=SMALL, colour=GREY)
        left += synthetic + 3
    right = across * 0.64 if wide else across - 1
    columns = 4 if found.visualization is None or wide else 2
    size = (right - left - (columns - 1) * 1.5) / columns
    size = min(size, 17.5)
    lines = 3 if wide else 2
    for i, example in enumerate(found.examples[: columns * lines]):
        x = left + (i % columns) * (size + 1.5)
        y = top + (i // columns) * (size + _CAPTION + 0.6)
        picture(drawing, example.image, x, y, size, size)
        said = f"{example.concept}, {example.rendering}"
        say(drawing, x, y + size + 0.3, said, room=size, size=SMALL, colour=GREY)

    if wide:
        _responses(drawing, found, concepts, kinds, right + 18, top, across - right - 20)
        _histogram(drawing, found, concepts[0], 4, top + synthetic + 7, synthetic - 4, 9)
    else:
        _responses(drawing, found, concepts, kinds, 20, 56, across - 22)
        _histogram(drawing, found, concepts[0], 20, 106, across - 22, 6)
    return drawing


def _tested(found: NeuronCard) -> str:
    test = found.statistics
    if test is None:
        return "these stimuli allow for no test"
    return (
        f"{test['concept']}: score {test['score']:.3f} (weakest rendering's AUROC, held out), "
        f"q {test['q']:.1g}, n {test['n']} a rendering"
    )


def _responses(
    drawing: Any,
    found: NeuronCard,
    concepts: list,
    kinds: list,
    left: float,
    top: float,
    wide: float,
) -> None:
    """A line a concept, a mark a rendering: mean responses."""
    tall = 3.6 * len(concepts)
    axes = area(drawing, left, top + 3.4, wide, tall)
    say(drawing, left, top, "mean response, by rendering", room=wide, size=SMALL, colour=GREY)
    for row in range(len(concepts)):
        axes.axhline(row, color=LINE, linewidth=0.4, zorder=0)
    for i, kind in enumerate(kinds):
        mine = found.responses[found.responses["rendering"] == kind]
        places = [concepts.index(concept) for concept in mine["concept"]]
        axes.scatter(
            mine["mean"], places, s=9, color=CATEGORIES[i % 7], marker=MARKERS[i % 7],
            linewidths=0.3, edgecolors="white", zorder=2,
        )  # fmt: skip
    axes.set(yticks=[], ylim=(len(concepts) - 0.5, -0.5))
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=4)
    for row, concept in enumerate(concepts):
        y = top + 3.4 + (row + 0.5) * 3.6 - 1.2
        say(drawing, left - 1.5, y, concept, room=16, size=SMALL, align="right")
    columns = 2 if wide < 60 else 3
    for i, kind in enumerate(kinds):
        x = left - 14 + (i % columns) * (wide + 14) / columns
        y = top + tall + 8 + (i // columns) * 3.2
        mark = area(drawing, x, y + 0.3, 2, 2)
        mark.set_axis_off()
        mark.scatter([0], [0], s=9, color=CATEGORIES[i % 7], marker=MARKERS[i % 7], linewidths=0)
        say(drawing, x + 2.8, y, kind, room=(wide + 14) / columns - 4, size=SMALL)


def _histogram(
    drawing: Any, found: NeuronCard, concept: Any, left: float, top: float, wide: float, tall: float
) -> None:
    edges, every, mine = found.histogram
    axes = area(drawing, left, top, wide, tall)
    for counts, colour in ((every, OTHER), (mine, INK)):
        share = counts / max(counts.max(), 1)
        axes.bar((edges[:-1] + edges[1:]) / 2, share, np.diff(edges), color=colour, alpha=0.85)
    axes.set(yticks=[], ylim=(0, 1.05))
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=4)
    said = f"all {int(every.sum()):,} stimuli (grey), {concept} (black)"
    say(drawing, left, top - 3, said, room=wide, size=SMALL, colour=GREY)
