"""A table of units as the page takes it: numbers and pictures as bytes, texts once each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int
from PIL import Image

from lens.errors import BadInput
from lens.neurons.overview import ACCEPTED
from lens.neurons.responses import pictures, responses
from lens.sites import Site, Unit
from lens.widgets.atlas import sheets

TILE = 48

#: A page's words for the columns of `lens.multimodal`, and what they mean.
KNOWN = {
    "unit": ("unit", "number in its site"),
    "concept": ("concept", "what it answers to most"),
    "score": ("score", "AUROC in the weakest rendering: 0.5 is chance, 1 is always"),
    "p": ("p", "one-sided rank test, weakest rendering"),
    "q": ("q", "share of false finds if all this strong were accepted"),
    "n": ("n", "held-out stimuli of the concept in the smallest rendering"),
    "d_prime": ("d\u2032", "distance to other concepts in standard deviations, at least"),
    "gap": ("gap", "d\u2032 of the written word minus that of the pictures"),
}


def columns(table: pd.DataFrame) -> list[dict[str, str]]:
    """Say what each column is: ``area`` (of a ROC curve), ``chance`` (p, q), ``number``, ``text``.

    Scores come before the concept's company: p last, since q is what should be read.
    """
    found = []
    for name in map(str, table.columns):
        label, about = KNOWN.get(name, (name.removeprefix("auroc_"), ""))
        if name.startswith("auroc_"):
            about = f"AUROC among stimuli of the rendering {label}: 0.5 is chance, 1 is always"
        found.append({"name": name, "label": label, "about": about, "kind": _kind(table, name)})
    first = {"unit": 0, "concept": 1, "score": 2, "q": 3}
    late = {"d_prime": 6, "gap": 7, "n": 8, "p": 9}

    def place(column: Mapping[str, str]) -> int:
        name = column["name"]
        return first.get(name, late.get(name, 4 if column["kind"] == "area" else 5))

    return sorted(found, key=place)


def texts(table: pd.DataFrame, columns: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Give each column of texts: its values once each, and which of them each row has."""
    told = {}
    for name in (column["name"] for column in columns if column["kind"] == "text"):
        said = np.array(["" if pd.isna(value) else str(value) for value in table[name]], object)
        codes, names = pd.factorize(said)
        told[name] = {"names": names.tolist(), "codes": _bytes(codes, "<u4")}
    return told


def numbers(table: pd.DataFrame, columns: Sequence[Mapping[str, str]]) -> dict[str, bytes]:
    """Give each column of numbers in float64: a q may be smaller than float32 can be."""
    plain = [column["name"] for column in columns if column["kind"] != "text"]
    return {name: _bytes(table[name].to_numpy(float, na_value=np.nan), "<f8") for name in plain}


def listed(table: pd.DataFrame, order: str, search: str, sure: bool) -> pd.DataFrame:
    """Give the rows that a page lists, in its order: what is unknown last, texts by their letters.

    Every word of `search` stands in the unit's number or in one of the texts.
    """
    written = [name for name in map(str, table) if _kind(table, name) == "text"]
    words = search.lower().split()
    kept = np.ones(len(table), bool)
    if words:
        rows = table[["unit", *written]].fillna("").astype(str).agg(" ".join, axis=1).str.lower()
        kept &= np.array([all(word in row for word in words) for row in rows])
    if sure and "q" in table:
        kept &= table["q"].to_numpy(float) <= ACCEPTED
    found, name = table[kept], order.removeprefix("-")
    if name not in table:
        return found
    by = found[name].fillna("").astype(str).str.casefold() if name in written else found[name]
    places = by.reset_index(drop=True).sort_values(
        ascending=not order.startswith("-"), kind="stable", na_position="last"
    )
    return found.iloc[places.index]


def thumbnails(
    indices: Sequence[int],
    made: Mapping[int, np.ndarray],
    excited: tuple[Int[np.ndarray, "units examples"], list[np.ndarray]] | None,
    called: Callable[[np.ndarray], str] | None = None,
) -> dict[str, Any]:
    """Give all pictures of a table on sheets, and for each row the numbers of its tiles.

    Parameters
    ----------
    indices
        The unit of each row.
    made
        A picture for a unit's number.
    excited
        For each row the examples' numbers, -1 for none, and the examples.
    called
        Gives what other views call an example.
    """
    of_unit = {unit: tile for tile, unit in enumerate(made)}
    own = np.array([of_unit.get(index, -1) for index in indices])
    which, shown = (np.zeros((len(indices), 0), int), []) if excited is None else excited
    return {
        **sheets([*made.values(), *shown], TILE),
        "made": _bytes(own, "<i4") if made else b"",
        "examples": _bytes(np.where(which < 0, -1, which + len(made)), "<i4"),
        "each": which.shape[1],
        "called": [""] * len(made) + [called(picture) for picture in shown] if called else [],
    }


def drawn(visualization: Any) -> dict[int, np.ndarray]:
    """Take pictures of units out of a visualization or a mapping."""
    if visualization is None:
        return {}
    if isinstance(visualization, Mapping):
        return {int(unit): _pixels(picture) for unit, picture in visualization.items()}
    if not hasattr(visualization, "units"):
        raise BadInput(
            "Pictures of units are what lens.visualize returns, or a mapping from a unit's number, "
            f"not a {type(visualization).__name__}."
        )
    pairs = zip(visualization.units, visualization.images, strict=True)
    return {unit.index: image for unit, image in pairs if isinstance(unit, Unit)}


def excited(
    site: Site, indices: Sequence[int], count: int, stimuli: Any, activations: Any
) -> tuple[Int[np.ndarray, "units examples"], list[np.ndarray]]:
    """Find the stimuli that excite each unit most, one at most of a concept in a rendering.

    Returns
    -------
    For each unit the places of its examples in the list that follows, -1 where there are too few;
    and the stimuli, each once.
    """
    measured = responses(site, stimuli, activations=activations)
    cells = measured.table.groupby(["concept", "rendering"], sort=False).ngroup().to_numpy()
    best = np.full((len(indices), count), -1)
    for row, index in enumerate(indices):
        order = np.argsort(-measured.values[:, index], kind="stable")
        _, first = np.unique(cells[order], return_index=True)
        chosen = order[np.sort(first)[:count]]
        best[row, : len(chosen)] = chosen
    rows = np.unique(best[best >= 0])
    places = np.where(best < 0, -1, np.searchsorted(rows, best))
    return places, [_pixels(picture) for picture in pictures(measured.stimuli, rows)]


def _kind(table: pd.DataFrame, name: str) -> str:
    if not pd.api.types.is_numeric_dtype(table[name]):
        return "text"
    if name == "score" or name.startswith("auroc_"):
        return "area"
    return "chance" if name in ("p", "q") else "number"


def _pixels(picture: Any) -> np.ndarray:
    if isinstance(picture, Image.Image):
        picture = picture.convert("RGB")
    return np.asarray(picture, dtype=np.uint8)


def _bytes(values: np.ndarray, kind: str) -> bytes:
    return np.ascontiguousarray(values).astype(kind).tobytes()
