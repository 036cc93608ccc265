"""A visualization that runs in a thread, on a model of its own, and tells how it comes along."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8

from lens.errors import BadInput
from lens.sites import Unit
from lens.widgets.live_images.curve import Curve
from lens.widgets.twin import twin

if TYPE_CHECKING:
    from lens.featurevis import Visualization
    from lens.featurevis.objectives.formula import Objective


@dataclass(frozen=True, eq=False)
class Look:
    """How far a run has come.

    Attributes
    ----------
    images
        Those that there are: of finished batches, and of the one that is made.
    values
        Their objectives, under the last step's transforms.
    step
        Steps done in the batch that is made.
    share
        Share of the whole run that is done, in [0, 1].
    seconds
        Since the start.
    curves
        The objective of each image that was asked for, from its first step on, in few values.
    """

    images: UInt8[np.ndarray, "images h w 3"]
    values: Float[np.ndarray, " images"]
    step: int
    share: float
    seconds: float
    curves: list[list[float]]


class Run:
    """One call of `lens.visualize` off the main thread.

    Parameters
    ----------
    units
        Units and objectives of one model.
    settings
        For `lens.visualize`, as they are given there.
    watch
        Called from the thread with every `Look`.
    ended
        Called from the thread, once, when there is a result or a problem.
    """

    def __init__(
        self,
        units: Sequence[Unit | Objective],
        settings: Mapping[str, Any],
        watch: Callable[[Look], None],
        ended: Callable[[], None],
    ) -> None:
        self.result: Visualization | None = None
        self.problem: Exception | None = None
        self.seconds = 0.0
        self._units, self._settings = list(units), dict(settings)
        self._watch, self._ended = watch, ended
        self._curves = [Curve() for _ in range(len(self._units) * settings.get("copies", 1))]
        self._stop = threading.Event()
        self._finished, self._seen = 0, 0  # images of batches before this one; of this one too
        self._thread = threading.Thread(target=self._work, name="lens-live", daemon=True)

    @property
    def stopped(self) -> bool:
        """Whether somebody asked it to stop."""
        return self._stop.is_set()

    @property
    def curves(self) -> list[list[float]]:
        """The objective of each image so far; see `Look`."""
        return [curve.values for curve in self._curves]

    @property
    def running(self) -> bool:
        """Whether it has started and not ended."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._start = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Stop after the step that is being made; what there is becomes the result."""
        self._stop.set()

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end, at most so many seconds."""
        self._thread.join(timeout)

    def _work(self) -> None:
        from lens.featurevis import visualize

        try:
            own = _aimed(self._units)
            settings = {"progress": False, **self._settings, "on_step": self._step, "every": 1}
            found = visualize(own, **settings)
            given = {id(mine): unit for mine, unit in zip(own, self._units, strict=True)}
            self.result = replace(found, units=[given[id(mine)] for mine in found.units])
        except Exception as problem:  # whoever waits is told
            self.problem = problem
        self.seconds = time.monotonic() - self._start
        self._ended()

    def _step(self, step: int, images: np.ndarray, values: np.ndarray) -> bool | None:
        settings, count = self._settings, len(images)
        if count != self._seen:  # another batch
            self._finished, self._seen = (self._seen, count) if count > self._seen else (0, count)
        for i in range(self._finished, count):
            if step == 1:  # a batch that memory did not hold begins again
                self._curves[i] = Curve()
            self._curves[i].add(float(values[i]))
        every, steps = settings.get("every", 1), settings.get("steps", 256)
        if step % every and step != steps:
            return not self.stopped
        total = len(self._units) * settings.get("copies", 1)
        share = (self._finished + (count - self._finished) * step / steps) / total
        seconds = time.monotonic() - self._start
        self._watch(Look(images, values, step, share, seconds, self.curves))
        asked = settings.get("on_step")
        return False if asked and asked(step, images, values) is False else not self.stopped


def _aimed(units: Sequence[Unit | Objective]) -> list[Unit | Objective]:
    """Give the same units of a model of their own."""
    from lens.featurevis import objectives

    first = units[0]
    model = (first.site if isinstance(first, Unit) else first.sites[0]).model
    own = twin(model)
    try:
        return [
            own.site(unit.site.name).unit(unit.index)
            if isinstance(unit, Unit)
            else objectives.from_recipe(unit.recipe(), own)
            for unit in units
        ]
    except BadInput:  # it asks a module of the user's own, which has no twin
        return list(units)
