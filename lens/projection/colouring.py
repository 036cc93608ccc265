"""What the colours of a map stand for, and colours that most eyes can tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DARK",
    "LIGHT",
    "NONE",
    "RAMP_DARK",
    "RAMP_LIGHT",
    "Colouring",
    "clearest",
    "colouring",
    "ramp",
]

# Okabe & Ito's (2008) hues, in an order in which neighbours differ in lightness too; black and
# yellow, which either paper would swallow, gave way to purple and olive. At 3 to 1 or more on
# white paper and on black.
LIGHT = "#0072b2 #d55e00 #009e73 #b45a9a #56b4e9 #c98a00 #7a3e9d #8a8400".split()
DARK = "#4aa3e0 #f08a4b #2fc296 #e29bc8 #a9dcf7 #f0b93a #b58ae0 #c9c24a".split()
#: Of points with no value, or with one of the many values that have no colour of their own.
NONE = ("#9aa1ac", "#6b7280")
# From the paper's side to the ink's, so that what is strong stands out; one hue, even in lightness.
RAMP_LIGHT = "#cfd8e3 #9cc3e0 #4f9bd0 #1f66a8 #0b2f6b".split()
RAMP_DARK = "#3a4250 #2f6690 #3f9cc9 #8fd0e0 #f4f7c8".split()


@dataclass(frozen=True, eq=False)
class Colouring:
    """One value a point, to be shown as its colour.

    Attributes
    ----------
    name : str
        What is shown.
    names : list of str
        Of categories, the most frequent first; empty where the values are numbers.
    codes : ndarray
        (n,) int32: which of `names`; -1 for none.
    values : ndarray
        (n,) float32; NaN for none, and where the values are categories.
    """

    name: str
    names: list[str]
    codes: Int[np.ndarray, " n"]
    values: Float[np.ndarray, " n"]

    @property
    def is_number(self) -> bool:
        """Whether the values are numbers."""
        return not self.names

    @property
    def span(self) -> tuple[float, float]:
        """Smallest and largest number, of those that are numbers."""
        known = self.values[np.isfinite(self.values)]
        return (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)

    def scaled(self) -> Float[np.ndarray, " n"]:
        """Numbers as they go from 0 to 1; NaN for none."""
        low, high = self.span
        return (self.values - low) / (high - low if high > low else 1.0)

    def colours(self) -> list[str]:
        """Give each point's colour on white paper."""
        if self.is_number:
            scaled = self.scaled()
            return [ramp(RAMP_LIGHT, v) if np.isfinite(v) else NONE[0] for v in scaled]
        return [LIGHT[c] if 0 <= c < len(LIGHT) else NONE[0] for c in self.codes]


def colouring(name: str, values: Any) -> Colouring:
    """Turn one value a point into a colouring.

    Numbers with a fraction, and whole ones of more than twenty kinds, are numbers; all else is
    categories.
    """
    array = np.asarray(values)
    if array.dtype.kind in "iuf":
        known = array[np.isfinite(array)] if array.dtype.kind == "f" else array
        whole = bool((known == np.round(known)).all())
        if len(known) and (not whole or len(np.unique(known)) > 20):
            codes = np.full(len(array), -1, np.int32)
            return Colouring(name, [], codes, array.astype(np.float32))
        if whole:
            array = np.array([f"{v:.0f}" if np.isfinite(v) else "" for v in array], object)
    return categories(name, array)


def categories(name: str, values: Iterable[Any]) -> Colouring:
    """Turn names into codes, the most frequent name first; nothing, None and NaN are no name."""
    told = np.array(["" if v is None or v != v else str(v) for v in values], dtype=object)
    found, inverse, counts = np.unique(
        told.astype(str) if len(told) else np.zeros(0, "U1"),
        return_inverse=True,
        return_counts=True,
    )
    order = [i for i in np.argsort(-counts, kind="stable") if found[i] != ""]
    place = np.full(len(found), -1, np.int32)
    place[order] = np.arange(len(order))
    codes = place[inverse] if len(told) else np.zeros(0, np.int32)
    names = [str(found[i]) for i in order] or ["(none)"]
    return Colouring(name, names, codes.astype(np.int32), np.full(len(told), np.nan, np.float32))


def clearest(columns: pd.DataFrame) -> str | None:
    """Name the first column whose values all have a colour of their own; None if none has."""
    for name, values in columns.items():
        found = colouring(str(name), values)
        if found.is_number or len(found.names) <= len(LIGHT):
            return str(name)
    return None


def ramp(anchors: Sequence[str], share: float) -> str:
    """Give the colour at a share, from 0 to 1, of the way along some colours."""
    place = min(max(float(share), 0.0), 1.0) * (len(anchors) - 1)
    first = min(int(place), len(anchors) - 2)
    part = place - first
    one, two = (
        [int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in (anchors[first], anchors[first + 1])
    )
    return "#" + "".join(f"{round(a + (b - a) * part):02x}" for a, b in zip(one, two, strict=True))
