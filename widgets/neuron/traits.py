"""A NeuronCard as what the page's script takes: small JSON, and bytes for the images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from lens.widgets.atlas import atlas, webp
from lens.widgets.neuron.verdict import verdict

if TYPE_CHECKING:
    import pandas as pd

    from lens.neurons.card import Example, NeuronCard


def card_traits(card: NeuronCard, called: Callable[[int], str] | None = None) -> dict[str, Any]:
    """Give everything about one unit but its feature visualization.

    `called` gives what other views call the stimulus of a row.
    """
    edges, counts, top = card.histogram
    return {
        "index": int(card.index),
        "name": card.unit_name,
        "model": card.model,
        "site": card.site,
        "n_units": int(card.n_units),
        "atlas": atlas([example.image for example in card.examples]),
        "examples": [_example(example, called) for example in card.examples],
        "responses": _responses(card.responses),
        "histogram": {
            "edges": [_plain(edge) for edge in edges],
            "counts": [int(count) for count in counts],
            "top": [int(count) for count in top],
        },
        "words": [[str(word), _plain(score)] for word, score in card.words],
        "statistics": _statistics(card.statistics),
        "verdict": verdict(card.statistics)._asdict(),
    }


def picture_traits(
    index: int,
    pixels: np.ndarray,
    value: float,
    recipe: Mapping[str, str],
    judgement: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Give a finished feature visualization: uint8 pixels (height, width, 3) and how it came.

    Where it was judged, `quality` says so: the percentile under held-out changes among n stimuli,
    and what another model (`by`) answers when it is shown the picture.
    """
    judged = {name: _plain(value) for name, value in (judgement or {}).items()}
    return {
        "index": index,
        "state": "ready",
        "image": webp(pixels, quality=92),
        "value": _plain(value),
        "recipe": dict(recipe),
        **({"quality": judged} if judged else {}),
    }


def _example(example: Example, called: Callable[[int], str] | None) -> dict[str, Any]:
    heat = None
    if example.heat is not None and np.size(example.heat) > 1:
        grid = np.clip(np.nan_to_num(np.asarray(example.heat, dtype=np.float32)), 0, 1)
        heat = {
            "height": grid.shape[0],
            "width": grid.shape[1],
            "peak": _place(grid),
            "values": np.round(255 * grid).astype(np.uint8).tobytes(),
        }
    return {
        "concept": str(example.concept),
        "rendering": str(example.rendering),
        "value": _plain(example.value),
        "heat": heat,
        "called": called(example.row) if called and example.row >= 0 else "",
    }


def _place(heat: np.ndarray) -> str:
    """Say in words where the largest of (height, width) values lies."""
    rows, columns = heat.shape
    row, column = divmod(int(heat.argmax()), columns)
    vertical = ("upper", "", "lower")[3 * row // rows if rows > 2 else 1]
    horizontal = ("left", "", "right")[3 * column // columns if columns > 2 else 1]
    return f"{vertical} {horizontal}".strip() or "centre"


def _responses(table: pd.DataFrame) -> dict[str, Any]:
    """Turn rows of (concept, rendering, mean, sd, n) into a grid, in order of appearance."""
    names = [table[column].astype(str).tolist() for column in ("concept", "rendering")]
    concepts, renderings = (list(dict.fromkeys(column)) for column in names)
    cells: list[list[dict[str, Any] | None]] = [[None] * len(renderings) for _ in concepts]
    numbers = [table[column].tolist() for column in ("mean", "sd", "n")]
    for concept, rendering, mean, sd, n in zip(*names, *numbers, strict=True):
        cells[concepts.index(concept)][renderings.index(rendering)] = {
            "mean": _plain(mean),
            "margin": _margin(sd, n),
            "sd": _plain(sd),
            "n": n,
        }
    return {"concepts": concepts, "renderings": renderings, "cells": cells}


def _margin(sd: float, n: int) -> float:
    """Give half of the 95% confidence interval of a mean, by Student's t."""
    return _plain(stdtrit(n - 1, 0.975) * sd / math.sqrt(n)) if n > 1 and math.isfinite(sd) else 0


def _statistics(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if found is None:
        return None
    numbers = {name: _plain(found[name]) for name in ("score", "p", "q", "n", "d_prime", "gap")}
    auroc = [[str(name), _plain(value)] for name, value in found["auroc"].items()]
    return {"concept": str(found["concept"]), **numbers, "auroc": auroc}


def _plain(value: Any) -> Any:
    """Give numpy's numbers as Python's, to seven digits; what is not finite as None (JSON)."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value
