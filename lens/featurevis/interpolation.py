"""From one unit to another in small steps, the images in between lying on top of each other.

Optimized one by one, neighbouring steps come out as different drawings and nothing can be followed
from one to the next. Here they start at the same noise, are moved alike, and share a base: every
image is its own numbers plus the slowly varying part of the mean of all.

References
----------
Mordvintsev, Pezzotti, Schubert, Olah, "Differentiable Image Parameterizations", Distill 2018
(aligned feature visualization interpolation).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from PIL import Image

from lens.errors import BadInput
from lens.featurevis import captioned, objectives
from lens.featurevis.objectives import Objective, Place
from lens.featurevis.parameterization import Aligned
from lens.featurevis.render import visualize
from lens.featurevis.visualization import Visualization
from lens.sites import Unit


@dataclass(frozen=True, eq=False, repr=False)
class Interpolation(Visualization):
    """A visualization whose images lead from one end to the other; ``shares`` are the t of each."""

    shares: tuple[float, ...] = ()

    def sheet(self, columns: int | None = None, captions: bool = True) -> Image.Image:
        """All images in a row, each with its t and the value of its mixture below."""
        if not captions:
            return super().sheet(columns or len(self), captions)
        notes = [
            [f"t = {share:.2f}", f"value {value:.3g}"]
            for share, value in zip(self.shares, self.values, strict=True)
        ]
        return captioned.grid(list(self.images), notes, columns or len(self))

    def _repr_html_(self) -> str:
        return captioned.figure(self.sheet(), repr(self))


def interpolate(
    first: Unit | Objective,
    last: Unit | Objective,
    k: int = 7,
    *,
    steps: int = 256,
    aligned: bool = True,
    strength: float = 2.0,
    at: Place = "mean",
    seed: int = 0,
    progress: bool = True,
    **options: Any,
) -> Interpolation:
    """Images of (1 - t) first + t last for k values of t from 0 to 1, which line up.

    Parameters
    ----------
    first, last
        Units or objectives of one model; a text is ``objectives.similarity(model, text)``.
    k
        Images, both ends included.
    steps
        Optimization steps.
    aligned
        Whether the images share a base; without it they still share noise and moves.
    strength
        Of the base, see ``Aligned``.
    at
        For units: where to look, as in ``visualize``.
    seed
        Decides every random number.
    progress
        Whether to show a progress bar.
    **options
        Further ones of ``visualize``: size, transforms, lr, precision.

    Returns
    -------
    Interpolation
        k images in order; ``values`` are those of each image's own mixture, at the ends the values
        of ``first`` and ``last`` themselves.

    Raises
    ------
    BadInput
        For fewer than two images, or ends that are neither units nor objectives of one model.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 2:
        raise BadInput(f"k is a whole number of images, at least the 2 ends, not {k!r}.")
    if "parameterization" in options or "batch_size" in options or "copies" in options:
        raise BadInput(
            "the images of an interpolation share one parameterization and one batch: "
            "leave out parameterization, batch_size and copies."
        )
    ends = [_objective(end, at) for end in (first, last)]
    shares = [float(i / (k - 1)) for i in range(k)]
    # The same terms in all of them, so that one random stream serves all: moves are alike.
    aims = [(1 - share) * ends[0] + share * ends[1] for share in shares]
    made = visualize(
        aims,
        steps=steps,
        seed=seed,
        parameterization=Aligned(strength=strength if aligned else 0.0),
        batch_size=k,
        progress=progress,
        **options,
    )
    own = {each.name: getattr(made, each.name) for each in fields(made)}
    # An image that became NaN was left out.
    kept = {id(aim) for aim in made.units}
    of_kept = [t for t, aim in zip(shares, aims, strict=True) if id(aim) in kept]
    return Interpolation(**own, shares=tuple(of_kept))


def _objective(end: Any, at: Place) -> Objective:
    if isinstance(end, Unit):
        return objectives.unit(end, at)
    if isinstance(end, Objective):
        return end
    raise BadInput(
        f"an interpolation goes from a unit or objective to another, not {type(end).__name__}; "
        "model.site('image.layer4').unit(17) is a unit."
    )
