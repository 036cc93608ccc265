"""The live grid: the images of a visualization while they are made, and a way to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets
from jaxtyping import Float, UInt8

from lens.errors import BadInput, LensError
from lens.featurevis.formula import Objective
from lens.featurevis.objectives import from_recipe
from lens.featurevis.visualization import Visualization
from lens.model import Model
from lens.sites import Site, Unit
from lens.widgets.esm import module
from lens.widgets.live.frame import frame
from lens.widgets.theme import styles
from lens.widgets.twin import twin
from lens.widgets.view import View

if TYPE_CHECKING:
    from lens.featurevis.optimize import Watch

HERE = Path(__file__).parent


class Live(View):
    """The images of a running visualization; made by `live`.

    Attributes
    ----------
    phase
        "running", "stopping", "done", "stopped" or "failed".
    step
        Steps that the images on their way have behind them.
    share
        How much of the whole run is over, in [0, 1].
    values
        What each image's objective comes to: under its random transforms while it is made, as the
        image stands when it is done.
    """

    _esm = module(HERE / "live.js")
    _css = styles(HERE / "live.css")

    about = traitlets.Dict().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)
    values: traitlets.List[Any] = traitlets.List().tag(sync=True)
    phase = traitlets.Unicode("running").tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    share = traitlets.Float(0.0).tag(sync=True)
    stopping = traitlets.Bool(False).tag(sync=True)
    notice = traitlets.Unicode().tag(sync=True)

    def __init__(self, make: Callable[[Watch], Visualization], about: dict[str, Any]) -> None:
        """Start to make the images; see `live`.

        Parameters
        ----------
        make
            Makes them, and calls what it is given as `lens.visualize` calls ``on_step``.
        about
            "model", "labels" (one an image) and "steps".
        """
        self._made: Visualization | None = None
        self._problem: BaseException | None = None
        self._finished = self._shown = 0  # images of batches before this one; and with this one
        super().__init__(about=about)
        self._thread = threading.Thread(target=self._work, args=(make,), name="lens-live")
        self._thread.daemon = True
        self._thread.start()

    @property
    def heading(self) -> str:
        """What is shown, and of which model."""
        count = len(self.about["labels"])
        return f"{count} image{'s' if count != 1 else ''} of {self.about['model']}"

    @property
    def result(self) -> Visualization | None:
        """The visualization, once it is done or stopped; None before, and where it failed."""
        return self._made

    def wait(self, timeout: float | None = None) -> Visualization:
        """Give the visualization, as soon as it is there.

        Parameters
        ----------
        timeout
            Seconds; as long as it takes by default.

        Raises
        ------
        TimeoutError
            Where it is not there by then.
        """
        self._thread.join(timeout)
        if self._problem is not None:
            raise self._problem
        if self._made is None:
            raise TimeoutError(f"The images are not done after {timeout:g} s; .stop() keeps these.")
        return self._made

    def stop(self) -> None:
        """Stop after the next report, and keep what there is."""
        self.stopping = True

    def __repr__(self) -> str:
        return f"Live: {self.heading}, {self.phase}, {self.share:.0%}"

    @traitlets.observe("stopping")
    def _told_to_stop(self, change: Any) -> None:
        if change["new"] and self.phase == "running":
            self.phase = "stopping"

    def _work(self, make: Callable[[Watch], Visualization]) -> None:
        try:
            made = make(self._watch)
        except BaseException as problem:  # the page says it; `wait` raises it
            self._problem = problem
            said = str(problem) if isinstance(problem, LensError) else repr(problem)
            with self.hold_sync():
                self.notice, self.phase = f"No images: {said}", "failed"
            return
        self._made = made
        early = made.curve.shape[1] < self.about["steps"] or len(made) < len(self.about["labels"])
        with self.hold_sync():
            self.about = {**self.about, "labels": labels(made.units)}
            self._show(made.images, made.values)
            self.step = int(made.curve.shape[1])
            self.phase, self.share = ("stopped", self.share) if early else ("done", 1.0)

    def _watch(
        self, step: int, images: UInt8[np.ndarray, "n h w 3"], values: Float[np.ndarray, " n"]
    ) -> bool:
        if len(images) > self._shown:
            self._finished, self._shown = self._shown, len(images)
        under_way = (len(images) - self._finished) * step / self.about["steps"]
        with self.hold_sync():  # one message, so that numbers and images are of one step
            self._show(images, values)
            self.step = int(step)
            self.share = (self._finished + under_way) / len(self.about["labels"])
        return not self.stopping

    def _show(self, images: np.ndarray, values: np.ndarray) -> None:
        self.frame = frame(images)
        self.values = [float(f"{v:.4g}") if np.isfinite(v) else None for v in values]


def live(
    units: Unit | Site | Objective | Sequence[Unit | Objective],
    *,
    every: int = 8,
    **settings: Any,
) -> Live:
    """Make images as `lens.visualize` does, and show them while they are made.

    The cell returns at once and the images are computed in a thread, by a model of its own on the
    same weights, so that the notebook can go on with the model meanwhile.

    Parameters
    ----------
    units
        As for `lens.visualize`.
    every
        Steps from one look to the next.
    **settings
        All others of `lens.visualize`.

    Returns
    -------
    Live
        Show it in a notebook. ``.stop()`` does what its button does, ``.wait()`` gives the
        visualization when it is there, ``.result`` without waiting.

    Raises
    ------
    BadInput
        Where there is nothing to make images for, or ``on_step`` is given as well.

    Examples
    --------
    >>> grid = live(model.site("image.layer4").units(range(16)), steps=256)  # doctest: +SKIP
    >>> grid.wait().save("units.png")  # doctest: +SKIP
    """
    from lens.featurevis import visualize

    if "on_step" in settings:
        raise BadInput("A live grid watches the steps itself: leave out on_step.")
    if isinstance(every, bool) or not isinstance(every, (int, np.integer)) or every < 1:
        raise BadInput(f"every is a whole number of steps, at least 1, not {every!r}.")
    given = _listed(units)
    own, back = _on_twins(given)
    copies = int(settings.get("copies", 1))

    def make(watch: Watch) -> Visualization:
        made = visualize(own, on_step=watch, every=int(every), **{"progress": False, **settings})
        return replace(made, units=[back[id(unit)] for unit in made.units])

    about = {
        "model": _model(given[0]).name,
        "labels": [label for label in labels(given) for _ in range(copies)],
        "steps": int(settings.get("steps", 256)),
    }
    return Live(make, about)


def labels(units: Sequence[Unit | Objective]) -> list[str]:
    """What stands below each image."""
    return [f"unit {u.index}" if isinstance(u, Unit) else repr(u) for u in units]


def _listed(units: Any) -> list[Unit | Objective]:
    if isinstance(units, Site):
        units = units.units()
    listed = [units] if isinstance(units, (Unit, Objective)) else units
    if isinstance(listed, str) or not isinstance(listed, Sequence):
        listed = [listed]
    if not listed:
        raise BadInput("There are no units to visualize; site.units([1, 2, 3]) makes some.")
    for one in listed:
        if not isinstance(one, (Unit, Objective)) or (isinstance(one, Objective) and not one.sites):
            raise BadInput(
                f"A live grid is of units and objectives of a model, not of {one!r}; "
                "model.site('image.layer4').unit(17) is a unit."
            )
    return list(listed)


def _model(one: Unit | Objective) -> Model:
    return (one.site if isinstance(one, Unit) else one.sites[0]).model


def _on_twins(given: Sequence[Unit | Objective]) -> tuple[list[Any], dict[int, Unit | Objective]]:
    """The same on models of their own, and the way back by id."""
    models = dict.fromkeys(map(_model, given))
    others = {model: twin(model) for model in models}

    def there(one: Unit | Objective) -> Unit | Objective:
        other = others[_model(one)]
        if isinstance(one, Unit):
            return other.site(one.site.name).unit(one.index)
        return from_recipe(one.recipe(), other, one.modules)

    own = [there(one) for one in given]
    return own, {id(new): one for new, one in zip(own, given, strict=True)}
