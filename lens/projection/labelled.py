"""Points that were labelled by hand, as a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lens.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

    from lens.projection.points import Points

__all__ = ["Labelled"]


class Labelled:
    """The pictures of labelled points; a torch ``Dataset`` as it stands.

    An item is a PIL image. `table` has one row an item: ``concept`` and ``facet`` (both are the
    label), ``rendering``, the point and its id, so that whatever takes stimuli or facets takes it:
    ``lens.neuron(unit, stimuli=...)``, ``lens.featurevis.facets(units, stimuli=...)``.

    Raises
    ------
    BadInput
        If none of the points has a picture.
    """

    def __init__(self, points: Points, chosen: Sequence[tuple[int, str]]) -> None:
        self._points = points
        pictured = [(i, label) for i, label in chosen if points.rows[i] >= 0]
        if points.pictures is None or not pictured:
            raise BadInput(
                "None of these points has a picture; lens.project(..., images=...) gives them."
            )
        self._chosen = pictured

    @property
    def table(self) -> pd.DataFrame:
        """``concept, facet, rendering, point, id``."""
        import pandas as pd

        ids = self._points.ids
        rows = [(label, label, self._rendering(i), i, ids[i]) for i, label in self._chosen]
        return pd.DataFrame(rows, columns=["concept", "facet", "rendering", "point", "id"])

    def _rendering(self, point: int) -> str:
        columns = self._points.columns
        return str(columns["rendering"].iloc[point]) if "rendering" in columns else "labelled"

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, i: int) -> Image.Image:
        if not -len(self) <= i < len(self):
            raise IndexError(f"There are {len(self)} labelled pictures; there is no number {i}.")
        point = self._chosen[i][0]
        picture = self._points.picture(point)
        if picture is None:
            raise BadInput(f"The picture of {self._points.ids[point]!r} cannot be read.")
        return picture

    def __repr__(self) -> str:
        labels = dict.fromkeys(label for _, label in self._chosen)
        return f"Labelled({len(self)} pictures: {', '.join(labels)})"
