"""Feature visualization, live: the images while they are made, and a button to stop."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets

from lens.errors import BadInput, LensError
from lens.sites import Site, Unit
from lens.widgets import host
from lens.widgets.atlas import sheets
from lens.widgets.esm import module
from lens.widgets.link import place
from lens.widgets.live_images.run import Look, Run
from lens.widgets.theme import styles
from lens.widgets.view import View

if TYPE_CHECKING:
    from lens.featurevis import Visualization
    from lens.featurevis.objectives.formula import Objective
    from lens.figures import Figure

HERE = Path(__file__).parent

#: Seconds between two looks at least, so that a page is not sent more than it can draw.
PAUSE = 0.2
LARGEST = 224


class LiveImages(View):
    """Images while they are optimized; made by `lens.widgets.live`.

    Attributes
    ----------
    frame
        What is seen: the images, their objectives, and how far the run is.
    phase
        "running", "stopping", "done", "stopped" or "failed".
    """

    _esm = module(HERE / "live.js")
    _css = styles(HERE / "live.css")

    about = traitlets.Dict().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)
    phase = traitlets.Unicode("running").tag(sync=True)
    notice = traitlets.Unicode().tag(sync=True)

    def __init__(self, units: Sequence[Unit | Objective], settings: Mapping[str, Any]) -> None:
        """Start a run; see `live`."""
        copies = settings.get("copies", 1)
        names = [_name(unit) for unit in units]
        places = [_place(unit) for unit in units]
        of = [unit.site if isinstance(unit, Unit) else unit.sites[0] for unit in units]
        super().__init__(
            about={
                "model": of[0].model.name,
                "steps": settings.get("steps", 256),
                "names": [name for name in names for _ in range(copies)],
                "places": [where for where in places for _ in range(copies)],
            }
        )
        self._sent = 0.0
        self._run = Run(units, settings, self._look, self._end)
        self._run.start()

    @property
    def heading(self) -> str:
        """The model's name."""
        return f"Feature visualization of {self.about['model']}"

    @property
    def result(self) -> Visualization | None:
        """What `lens.visualize` would have returned; None while it runs."""
        return self._run.result

    def stop(self) -> None:
        """Stop after the step that is being made; `result` has what there is."""
        if self._run.running:
            self._run.stop()
            self.phase = "stopping"

    def wait(self, timeout: float | None = None) -> Visualization:
        """Wait for the end, and give the result.

        Parameters
        ----------
        timeout
            Seconds; None for as long as it takes.

        Raises
        ------
        TimeoutError
            If it is not over by then. It goes on.
        LensError
            What `lens.visualize` refused.
        """
        self._run.wait(timeout)
        if self._run.problem is not None:
            raise self._run.problem
        if self._run.result is None:
            raise TimeoutError(f"The visualization takes more than {timeout:g} seconds.")
        return self._run.result

    def figure(self, **settings: Any) -> Figure:
        """Draw the images of the `result`; ``settings`` are those of `lens.figures.image_sheet`.

        Raises
        ------
        BadInput
            While the run goes on, or where it failed.
        """
        from lens.figures import image_sheet

        if self.result is None:
            if self._run.problem is not None:
                raise BadInput(self.notice or f"No visualization: {self._run.problem!r}")
            raise BadInput("No image is finished yet: .wait() for the run, or .stop() it, first.")
        return image_sheet(self.result, **settings)

    def answers(self) -> host.Answers:
        """Nothing: a page holds the images as they are at that moment."""
        return {}

    def __repr__(self) -> str:
        return f"{self.heading}: {len(self.about['names'])} images, {self.phase}"

    @traitlets.observe("phase")
    def _asked(self, change: Any) -> None:
        if change["new"] == "stopping":  # the page's button
            self._run.stop()

    def _look(self, look: Look) -> None:
        if time.monotonic() - self._sent < PAUSE and look.share < 1:
            return
        self.frame = self._framed(look)
        self._sent = time.monotonic()

    def _end(self) -> None:
        run = self._run
        if run.result is None:
            known = isinstance(run.problem, LensError)
            self.notice = f"No visualization: {run.problem if known else repr(run.problem)}"
            self.phase = "failed"
            return
        found = run.result
        steps = int(found.recipe["steps"])
        whole = steps == self.about["steps"] and len(found) == len(self.about["names"])
        look = Look(found.images, found.values, steps, 1.0, run.seconds, run.curves)
        kept = [_name(unit) for unit in found.units]
        with self.hold_sync():
            if len(kept) != len(self.about["names"]):
                lost = len(self.about["names"]) - len(kept)
                self.notice = f"{lost} of the images asked for are not there: see the result."
                where = [_place(unit) for unit in found.units]
                self.about = {**self.about, "names": kept, "places": where}
            self.frame = self._framed(look)
            self.phase = "done" if whole or not run.stopped else "stopped"

    def _framed(self, look: Look) -> dict[str, Any]:
        height, width = look.images.shape[1:3]
        return {
            "sheets": sheets(list(look.images), min(max(height, width), LARGEST)),
            "width": width,
            "height": height,
            "values": [_plain(value) for value in look.values],
            "curves": [[_plain(value) for value in curve] for curve in look.curves],
            "step": look.step,
            "share": look.share,
            "seconds": round(look.seconds, 1),
        }


def live(
    units: Unit | Site | Objective | Sequence[Unit | Objective],
    *,
    every: int = 4,
    **settings: Any,
) -> LiveImages:
    """Make the images that units want to see, and watch while they come about.

    The run has a thread and a model of its own on the same weights: the notebook goes on meanwhile.

    Parameters
    ----------
    units
        As `lens.visualize` takes them: a unit, a site, an objective, or a list of them.
    every
        After how many steps to look; at most five times in a second.
    **settings
        Those of `lens.visualize`, such as ``steps=128``.

    Returns
    -------
    LiveImages
        ``.stop()`` ends it early as its button does, ``.wait()`` waits for the end, and ``.result``
        is the `Visualization` then.

    Raises
    ------
    BadInput
        If these are no units, or `every` is no number of steps. What `lens.visualize` refuses
        besides is said on the page, and raised by ``.wait()``.

    Examples
    --------
    >>> site = lens.load().site("image.layer4")
    >>> view = lens.widgets.live(site.units(range(8)), steps=128)  # doctest: +SKIP
    """
    listed = _listed(units)
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise BadInput(f"every is a whole number of steps, at least 1, not {every!r}.")
    return LiveImages(listed, {**settings, "every": every})


def _listed(units: Any) -> list[Unit | Objective]:
    from lens.featurevis.objectives.formula import Objective

    if isinstance(units, Site):
        units = units.units()
    listed = list(units) if isinstance(units, Iterable) else [units]
    wrong = [one for one in listed if not isinstance(one, Unit | Objective)]
    if wrong or not listed:
        got = type(wrong[0]).__name__ if wrong else "an empty list"
        raise BadInput(f"lens.widgets.live takes units and objectives, not {got}.")
    if any(isinstance(one, Objective) and not one.sites for one in listed):
        raise BadInput("An objective has to look at a site of a model: add a unit to it.")
    return listed


def _name(unit: Unit | Objective) -> str:
    return f"unit {unit.index}" if isinstance(unit, Unit) else repr(unit)


def _place(unit: Unit | Objective) -> str:
    return f"{place(unit.site)}/{unit.index}" if isinstance(unit, Unit) else ""


def _plain(value: Any) -> float | None:
    return float(f"{value:.5g}") if np.isfinite(value) else None
