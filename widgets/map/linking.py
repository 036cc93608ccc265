"""What the points of a map are called in other views, and which point is called so."""

from __future__ import annotations

from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int
from PIL import Image

from lens.errors import LensError
from lens.widgets.link import named_for, place

if TYPE_CHECKING:
    from lens.projection import Projection

#: Pictures that are found by what they look like; more would take minutes to open.
MOST = 3000


class Links:
    """The names of a map's points among views: `lens.widgets.link` says what names are."""

    def __init__(self, proj: Projection) -> None:
        self._proj, self._opening = proj, Lock()

    def of(self, point: int) -> str:
        """Give the name of one point; its id where it is no unit and has no picture."""
        own = self._proj.points
        if own.kinds[point] == "unit":
            return self._unit(own.ids[point])
        picture = own.picture(point)
        return own.ids[point] if picture is None else self.of_picture(picture)

    def of_picture(self, picture: Image.Image) -> str:
        """Give the name of a picture of the map."""
        return named_for(self._proj.model, picture)

    def find(self, kind: str, name: str) -> int:
        """Give the number of the point of that name; -1 where there is none.

        Pictures are opened the first time that one is looked for, `MOST` of them at most.
        """
        if kind == "image":
            with self._opening:
                there = self._pictures
        else:
            there = self._units if kind == "unit" else {}
        found = there.get(name, -1)
        own = self._proj.points
        if found >= 0 or name not in own.ids:
            return found
        # Whatever has no other name is called by its id.
        point = own.ids.index(name)
        return point if own.kinds[point] == kind and own.rows[point] < 0 and kind != "unit" else -1

    @cached_property
    def _units(self) -> dict[str, int]:
        own = self._proj.points
        return {self._unit(own.ids[i]): int(i) for i in np.flatnonzero(own.kinds == "unit")}

    @cached_property
    def _pictures(self) -> dict[str, int]:
        own = self._proj.points
        chosen = spread(np.flatnonzero((own.rows >= 0) & (own.kinds == "image")), MOST)
        found: dict[str, int] = {}
        for point in chosen.tolist():
            picture = own.picture(point)
            if picture is not None:
                found.setdefault(self.of_picture(picture), point)
        return found

    def _unit(self, name: str) -> str:
        """Turn "image.layer4/17" into what the other views say."""
        site, _, number = name.rpartition("/")
        model = self._proj.model
        try:
            return f"{place(site if model is None else model.site(site))}/{number}"
        except LensError:  # units of another model than the map's
            return f"{place(site)}/{number}"


def spread(points: Int[np.ndarray, " n"], most: int) -> Int[np.ndarray, " m"]:
    """Choose so many of some points, evenly."""
    if len(points) <= most:
        return points
    return points[np.linspace(0, len(points) - 1, max(most, 0)).round().astype(int)]
