"""Feature visualizations for a page: computed off the main thread, and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lens.errors import LensError
from lens.sites import Site, Unit
from lens.widgets.neuron.judgement import Judge
from lens.widgets.neuron.traits import picture_traits
from lens.widgets.twin import twin

if TYPE_CHECKING:
    from lens.featurevis import Visualization

Picture = dict[str, Any]
#: Computes the pictures of several units at once.
Draw = Callable[[Sequence[int]], list[Picture]]


class Pictures:
    """The pictures of a site's units, each computed once.

    One computation runs at a time. While it runs, only the latest wish is remembered: someone who
    walks past ten units waits for the one they stop at, not for ten.

    Parameters
    ----------
    draw
        Computes pictures; None where no pictures were asked for.
    deliver
        Called with each picture that `want` asked for; from the computing thread, mostly.
    """

    def __init__(self, draw: Draw | None, deliver: Callable[[Picture], None]) -> None:
        self._draw = draw
        self._deliver = deliver
        self._done: dict[int, Picture] = {}
        self._wish: int | None = None
        self._thread: threading.Thread | None = None
        self._state = threading.Lock()  # guards the three above
        self._drawing = threading.Lock()  # one computation at a time

    def now(self, index: int) -> Picture:
        """Give what there is of a unit's picture, without waiting."""
        if self._draw is None:
            return {"index": index, "state": "off", "note": ""}
        return self._done.get(index, {"index": index, "state": "computing"})

    def want(self, index: int) -> None:
        """Deliver a unit's picture as soon as it is there; at once if it is there already."""
        with self._state:
            there = self._draw is None or index in self._done
            self._wish = None if there else index
            if not there and self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="lens-pictures", daemon=True
                )
                self._thread.start()
        if there:
            self._deliver(self.now(index))

    def all(self, indices: Sequence[int]) -> list[Picture]:
        """Give several finished pictures; those that are missing are computed in one go."""
        if self._draw is not None:
            with self._drawing:
                missing = [index for index in indices if index not in self._done]
                if missing:
                    self._keep(missing)
        return [self.now(index) for index in indices]

    def _work(self) -> None:
        while True:
            with self._state:
                index, self._wish = self._wish, None
                if index is None:
                    self._thread = None
                    return
            self._deliver(self.all([index])[0])

    def _keep(self, indices: Sequence[int]) -> None:
        assert self._draw is not None
        try:
            drawn = self._draw(indices)
        except Exception as problem:  # a page without a picture still has everything else to show
            said = str(problem) if isinstance(problem, LensError) else repr(problem)
            drawn = [_failed(index, said) for index in indices]
        self._done.update(zip(indices, drawn, strict=True))


def drawing(site: Site, settings: Mapping[str, Any], judge: Judge | None = None) -> Draw:
    """Give the function that visualizes units of a site.

    Parameters
    ----------
    site
        Where the units are.
    settings
        For `lens.visualize`, over its defaults.
    judge
        Says how good the pictures are; None for pictures without.
    """
    where = site.pre_activation
    # The same pooling as the responses', so that the picture's value can be compared with theirs.
    chosen = {"at": "cls" if where.n_prefix else "mean", **settings}

    def draw(indices: Sequence[int]) -> list[Picture]:
        from lens.featurevis import visualize

        own = twin(site.model).site(site.name)
        found = visualize(own.units(indices), **{"progress": len(indices) > 1, **chosen})
        return drawn(found, judge)(indices)

    return draw


def drawn(found: Visualization, judge: Judge | None = None) -> Draw:
    """Give the function that takes the pictures of units out of a visualization that is there."""
    made = [unit.index if isinstance(unit, Unit) else None for unit in found.units]
    rows = {index: made.index(index) for index in made if index is not None}
    said = judge(found) if judge else [None] * len(made)
    return lambda indices: [
        picture_traits(
            index,
            found.images[rows[index]],
            float(found.values[rows[index]]),
            _recipe(found.recipe, list(rows).index(index)),
            said[rows[index]],
        )
        if index in rows
        else _failed(index, "the objective was not a number.")
        for index in indices
    ]


def _failed(index: int, why: str) -> Picture:
    return {"index": index, "state": "failed", "note": f"No visualization: {why}"}


def _recipe(recipe: Mapping[str, Any], row: int) -> dict[str, str]:
    """Give the settings that decided one unit's picture, as a person reads them."""
    shown = ("steps", "lr", "seed", "parameterization", "transforms", "precision", "fingerprint")
    return {
        "objective": str(recipe["formulas"][row]),
        "size": " x ".join(map(str, reversed(recipe["size"]))),
        **{name: _told(recipe[name]) for name in shown},
    }


def _told(setting: Any) -> str:
    if isinstance(setting, Mapping):
        return ", ".join(f"{name} {_told(value)}" for name, value in setting.items())
    if isinstance(setting, list | tuple):
        return "; ".join(map(_told, setting))
    return str(setting)
