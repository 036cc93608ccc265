"""Feature visualization asked for and answered: ``visualize`` and ``rerun``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lens.errors import BadInput, TooLarge
from lens.featurevis import objectives as objective_values
from lens.featurevis.loop import batching, starting
from lens.featurevis.loop.job import Job, from_recipe, run
from lens.featurevis.loop.optimize import Settings, Watch
from lens.featurevis.loop.rescue import STEPS
from lens.featurevis.objectives.formula import Objective, Place
from lens.featurevis.parameterization import Fourier, Parameterization
from lens.featurevis.picture import Picture
from lens.featurevis.transforms import Transform, standard
from lens.featurevis.visualization import Visualization, read_recipe
from lens.model import Model
from lens.opening import load
from lens.precision import Precision, in_bf16
from lens.sites import Site, Unit

_LARGEST = 4096


def visualize(
    units: Unit | Site | Objective | Sequence[Unit | Objective],
    *,
    steps: int = 256,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    lr: float | None = None,
    at: Place = "mean",
    copies: int = 1,
    parameterization: Parameterization | None = None,
    transforms: Transform | None = None,
    batch_size: int | None = None,
    precision: Precision = "auto",
    start: Any = None,
    snapshots: Iterable[int] = (),
    on_step: Watch | None = None,
    every: int = 1,
    rescue: bool = True,
    compile: bool = False,
    progress: bool = True,
) -> Visualization:
    """Make the images that units want to see, many units at once.

    Noise is changed step by step, by Adam on a Fourier parameterization with decorrelated colours,
    until it excites the unit under small random moves (Olah et al., "Feature Visualization",
    Distill 2017). Every image has random numbers of its own, so that a unit's image does not depend
    on what else is made with it: to the bit in bfloat16 (oneDNN on a CPU), but for rounding in
    float32, where convolutions may add up in another order for another number of images. Such
    rounding grows with the steps: on glyph-rn to 1 of 255 levels on average after 16 steps.

    Parameters
    ----------
    units
        A unit, a site (all its units), an objective (see ``lens.featurevis.objectives``), or a
        list of units and objectives, of one model.
    steps
        Optimization steps; on a small model 128 are enough for a look.
    size
        Pixels a side, or (height, width); the model's own size by default. Convolutional sites
        take other sizes; learned positions are interpolated meanwhile (open_clip and timm).
    seed
        With the unit's number it decides all of the image's random numbers.
    lr
        The optimizer's learning rate; the parameterization's own by default (Fourier: 0.05).
    at
        For units: ``"mean"`` or ``"max"`` over positions, ``"cls"``, ``"centre"``, a
        ``(row, column)`` or a token's number.
    copies
        Images for each unit, from different noise; images of one unit follow each other.
    parameterization
        Where images come from; ``Fourier()`` by default.
    transforms
        Random moves at every step; ``transforms.standard`` by default, ``moves()`` for none.
    batch_size
        Images at once; by default as many as help and as memory holds.
    precision
        The model's arithmetic: ``"auto"`` is bfloat16 where the machine is faster at it. Images
        and final values are always computed in float32.
    start
        An image to start from in the place of noise: a PIL image, a path, an array, a tensor in
        [0, 1]. For parameterizations that can show any image: Fourier and Pixel.
    snapshots
        After which steps to keep the images as well, in ``Visualization.snapshots``.
    on_step
        Called as ``on_step(step, images, values)`` with the number of steps done, all the images so
        far (eight-bit; those of finished batches first, in the units' order) and their objectives.
        Where it returns False, the run stops and what there is is kept.
    every
        How often to call it, in steps; it is called at the last step in any case.
    rescue
        Whether units that are silent at the start get gradient past their activation function
        during the first 16 steps; see ``lens.featurevis.loop.rescue``.
    compile
        Whether to compile the blocks before the target with torch.compile, which takes a while and
        pays in long runs. Where no compiler works, a warning says so and the run goes on without.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Visualization
        Images, the values they reach untransformed, loss curves and the recipe. After ctrl-C, the
        images that are finished, or, where none is, the first batch as far as it got.

    Raises
    ------
    BadInput
        For no units, units of different models, sites that don't see images, a number of steps or
        a size that can't be, a parameterization that can't start at an image, or an objective that
        isn't a number.
    TooLarge
        Where not even one image fits into memory.
    """
    given = _listed(units)
    model = _common_model(given)
    aims = [objective_values.unit(u, at) if isinstance(u, Unit) else u for u in given]
    _check_sites(model, aims)
    height_width = _checked_size(size, model)
    _whole("steps", steps), _whole("copies", copies)
    seed = _whole("seed", seed, least=0)
    parameterization = parameterization or Fourier()
    lr = parameterization.lr if lr is None else lr
    if not (isinstance(lr, (int, float)) and 0 < lr < float("inf")):
        raise BadInput(f"lr is a learning rate, a number above 0 such as 0.05, not {lr!r}.")
    beginning = None if start is None else Picture.of(start)
    if beginning is not None:
        starting.check(parameterization, height_width)
    settings = Settings(
        steps=int(steps),
        size=height_width,
        seed=seed,
        lr=float(lr),
        parameterization=parameterization,
        transforms=standard(height_width) if transforms is None else transforms,
        bf16=in_bf16(precision, model.device),
        start=beginning,
        snapshots=_among(snapshots, int(steps)),
        rescue=STEPS if rescue else 0,
        compile=bool(compile),
    )
    needed = max(
        batching.bytes_per_image(model, alike, height_width) for alike in _one_of_each_form(aims)
    )
    if batch_size is None:
        drawn = batching.bytes_drawn(parameterization, height_width, model.device)
        batch_size = batching.batch_size(needed * settings.transforms.views + drawn, model.device)
    job = Job(model, given, aims, settings, copies, _whole("batch_size", batch_size))
    return run(job, progress, on_step, _whole("every", every))


def rerun(
    recipe: dict[str, Any] | str | Path | Visualization,
    model: Model | None = None,
    *,
    modules: Iterable[Any] = (),
    progress: bool = True,
) -> Visualization:
    """Make a visualization again from its recipe, to the same pixels on the same kind of machine.

    Parameters
    ----------
    recipe
        ``Visualization.recipe``, the visualization itself, or a file that it saved.
    model
        The model; opened by its name if not given.
    modules
        Modules of your own that make the images (or their ``Generator`` values) or that an
        objective asks for a ``score``: those with the recipe's weights are taken.
    progress
        Whether to show a progress bar.

    Raises
    ------
    BadInput
        Where the recipe isn't one, or was written for a model with other weights.
    """
    if isinstance(recipe, Visualization):
        recipe = recipe.recipe
    if not isinstance(recipe, dict):
        recipe = read_recipe(recipe)
    if not {"model", "fingerprint"} <= set(recipe):
        raise BadInput("this is no recipe of a visualization: it doesn't say for which model.")
    model = model or load(recipe["model"])
    if model.fingerprint != recipe["fingerprint"]:
        raise BadInput(
            f"the recipe is for {recipe['model']} with weights {recipe['fingerprint']}; "
            f"this {model.name} has the weights {model.fingerprint}."
        )
    return run(from_recipe(recipe, model, modules), progress)


def _listed(units: Any) -> list[Any]:
    if isinstance(units, Site):
        units = units.units()
    if isinstance(units, (Unit, Objective)):
        units = [units]
    if isinstance(units, str) or not isinstance(units, Iterable):
        raise BadInput(
            "visualize takes a unit, a site, an objective or a list of them, not "
            f"{type(units).__name__}; model.site('image.layer4').unit(17) is a unit."
        )
    listed = list(units)
    if not listed:
        raise BadInput("there are no units to visualize; site.units([1, 2, 3]) makes some.")
    for one in listed:
        if not isinstance(one, (Unit, Objective)):
            raise BadInput(
                f"visualize takes units and objectives, not {type(one).__name__}; "
                "model.site('image.layer4').unit(17) is a unit."
            )
    return listed


def _common_model(units: Sequence[Any]) -> Model:
    sites = [s for u in units for s in ([u.site] if isinstance(u, Unit) else u.sites)]
    for unit in units:
        if isinstance(unit, Objective) and not unit.sites:
            raise BadInput(f"{unit!r} looks at no site of a model; add a unit to it.")
    others = [site.model for site in sites if site.model is not sites[0].model]
    if others:
        raise BadInput(
            f"one call visualizes units of one model, and these are of {sites[0].model.name} "
            f"and {others[0].name}: call it once for each."
        )
    return sites[0].model


def _check_sites(model: Model, aims: Sequence[Objective]) -> None:
    for site in dict.fromkeys(site for aim in aims for site in aim.sites):
        if site.tower != "image":
            raise BadInput(
                f"{site.name} of {model.name} is in the {site.tower} tower and sees no image; "
                "feature visualization needs an image site, such as 'image.embedding'."
            )


def _one_of_each_form(aims: Sequence[Objective]) -> list[list[Objective]]:
    return [[aim] for aim in {aim.form: aim for aim in aims}.values()]


def _checked_size(size: Any, model: Model) -> tuple[int, int]:
    if size is None:
        return (int(model.image_size[0]), int(model.image_size[1]))
    pair = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(pair) != 2 or not all(
        isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 8 for n in pair
    ):
        raise BadInput(f"size is a whole number of pixels, at least 8, or two, not {size!r}.")
    if max(pair) > _LARGEST:
        raise TooLarge(f"{pair[0]} x {pair[1]} is too large: at most {_LARGEST} pixels a side.")
    return (int(pair[0]), int(pair[1]))


def _among(snapshots: Iterable[int], steps: int) -> tuple[int, ...]:
    listed = [_whole("a snapshot", step) for step in snapshots]
    if any(step > steps for step in listed):
        raise BadInput(f"there is no snapshot after {max(listed)} steps: the run has {steps}.")
    return tuple(sorted(set(listed)))


def _whole(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise BadInput(f"{name} is a whole number, at least {least}, not {value!r}.")
    return int(value)
