"""The heat map: which pixels or words an answer comes from, with its sanity check at hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets
from jaxtyping import Float

from lens.attribution.overlay import AGAINST, FOR, strength
from lens.attribution.page import ends, labels
from lens.attribution.result import Attribution
from lens.errors import BadInput
from lens.widgets import host
from lens.widgets.atlas import webp
from lens.widgets.esm import module
from lens.widgets.link import named, place
from lens.widgets.theme import styles
from lens.widgets.view import View

if TYPE_CHECKING:
    from lens.figures import Figure

HERE = Path(__file__).parent

#: How many places the table of numbers lists.
LISTED = 20
#: More places than these in a row are not walked through one by one.
WALKED = 32


class HeatMap(View):
    """An attribution on one screen; made by `heatmap`, or by showing what `lens.attribute` gives.

    Attributes
    ----------
    threshold
        Share of the strongest colour below which nothing is drawn, in [0, 1].
    blend
        How much the strongest colours cover, in [0, 1].
    checked
        Whether the sanity check is asked for.
    sanity
        Its rows, once it is done.
    """

    _esm = module(HERE / "heatmap.js")
    _css = styles(HERE / "heatmap.css")

    about = traitlets.Dict().tag(sync=True)
    picture = traitlets.Dict().tag(sync=True)
    words: traitlets.List[Any] = traitlets.List().tag(sync=True)
    places: traitlets.List[Any] = traitlets.List().tag(sync=True)
    blend = traitlets.Float(0.85).tag(sync=True)
    threshold = traitlets.Float(0.0).tag(sync=True)
    checked = traitlets.Bool(False).tag(sync=True)
    sanity: traitlets.List[Any] = traitlets.List().tag(sync=True)
    notice = traitlets.Unicode().tag(sync=True)

    def __init__(self, attribution: Attribution) -> None:
        """Lay an attribution out; see `heatmap`."""
        self._attribution = attribution
        super().__init__(
            about=_about(attribution),
            picture=_picture(attribution),
            words=_words(attribution),
            places=_places(attribution),
        )

    @property
    def heading(self) -> str:
        """What is explained."""
        return self._attribution.target

    def check(self, stages: int = 4, seed: int = 0) -> None:
        """Make the sanity check, `Attribution.sanity`, and show it."""
        table = self._attribution.sanity(stages, seed)
        rows: list[dict[str, Any]] = table.to_dict("records")  # type: ignore[assignment]
        self.sanity = [{str(name): _plain(value) for name, value in row.items()} for row in rows]

    def figure(self, **settings: Any) -> Figure:
        """Draw the attribution; ``settings`` are those of `lens.figures.explanation`."""
        from lens.figures import explanation

        return explanation(self._attribution, **settings)

    def answers(self) -> host.Answers:
        """Nothing: a page holds the whole map, and the sanity check where it has been made."""
        return {}

    def state(self) -> dict[str, Any]:
        """Give what the page starts with."""
        return {**super().state(), "notice": ""}

    def __repr__(self) -> str:
        return f"Heat map: {self._attribution!r}"

    @traitlets.observe("checked")
    def _check(self, change: Any) -> None:
        if change["new"] and not self.sanity:
            try:
                self.check()
            except Exception as problem:  # the page says it; the notebook goes on
                self.notice = f"No sanity check: {problem}"


def heatmap(attribution: Attribution) -> HeatMap:
    """Open the heat map of an attribution: blend, threshold, numbers, and its sanity check.

    Parameters
    ----------
    attribution
        From `lens.attribute`.

    Raises
    ------
    BadInput
        If it is none.
    """
    if not isinstance(attribution, Attribution):
        raise BadInput(
            f"A heat map shows what lens.attribute returns, not a {type(attribution).__name__}."
        )
    return HeatMap(attribution)


def _about(attribution: Attribution) -> dict[str, Any]:
    low, high, _ = ends(attribution.values)
    picture, text = attribution.picture, attribution.scores is not None
    site, _, unit = attribution._unit.rpartition("/")
    left, right = labels(attribution)
    return {
        "target": attribution.target,
        "how": f"{attribution.method}{attribution._at}",
        "model": attribution.model,
        "numbers": attribution._numbers,
        "most": float(strength(attribution.values)),
        "low": bool(low),
        "high": bool(high),
        "labels": [left, right],
        "against": list(AGAINST),
        "for": list(FOR),
        "checkable": attribution._ask is not None,
        "image": "" if picture is None else named(picture),
        "text": attribution._read if text else "",
        "unit": f"{place(site)}/{unit}" if site else "",
        "grid": _walked(attribution),
    }


def _picture(attribution: Attribution) -> dict[str, Any]:
    """Give picture and map, a signed byte a pixel: 127 is the strongest colour's number."""
    if attribution.heat is None or attribution.picture is None:
        return {}
    return {
        "image": webp(attribution.picture, quality=92),
        "height": attribution.heat.shape[0],
        "width": attribution.heat.shape[1],
        "heat": signed_bytes(attribution.heat).tobytes(),
    }


def _walked(attribution: Attribution) -> list[int]:
    """Give the rows and columns that are walked through: the map's own, or patches of pixels."""
    places = attribution.places
    if attribution.heat is None or places is None:
        return []
    return [side if side <= WALKED else WALKED // 2 for side in places.shape]


def signed_bytes(heat: Float[np.ndarray, "height width"]) -> np.ndarray:
    """Write numbers as int8 from -127 to 127 for minus to plus `strength`; beyond is cut off."""
    most = strength(heat) or 1.0
    return np.round(127 * np.clip(np.nan_to_num(heat) / most, -1, 1)).astype(np.int8)


def _words(attribution: Attribution) -> list[Any]:
    if attribution.scores is None:
        return []
    pairs = zip(attribution.tokens or (), attribution.scores, strict=True)
    return [[token, _plain(score)] for token, score in pairs]


def _places(attribution: Attribution) -> list[Any]:
    """List the largest numbers of the map as the method gave them: row, column, score."""
    places = attribution.places
    if attribution.heat is None or places is None:
        return []
    order = np.argsort(-np.abs(np.nan_to_num(places)), axis=None, kind="stable")[:LISTED]
    found = [divmod(int(i), places.shape[1]) for i in order]
    return [[row, column, _plain(places[row, column])] for row, column in found]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value
