"""Feature visualization asked for and answered: ``visualize`` and ``rerun``."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tqdm.auto import tqdm

from lens import __version__
from lens.errors import BadInput, TooLarge
from lens.featurevis import objectives as objective_values
from lens.featurevis import parameterization as parameterizations
from lens.featurevis import transforms as transform_values
from lens.featurevis.batching import batch_size as fitting_batch_size
from lens.featurevis.batching import bytes_per_image, split, takes_bf16
from lens.featurevis.objectives import Objective, Place
from lens.featurevis.optimize import Climb, Settings, climb
from lens.featurevis.parameterization import Fourier, Parameterization
from lens.featurevis.transforms import Moves, standard
from lens.featurevis.visualization import Visualization, read_recipe
from lens.model import Model, load
from lens.sites import Site, Unit

Wanted = Unit | Site | Objective
_LARGEST = 4096
# What may end a run after some batches are finished, without taking them along.
_ENDINGS = (KeyboardInterrupt, BadInput, MemoryError, torch.cuda.OutOfMemoryError)


@dataclass(frozen=True, eq=False)
class _Job:
    """Everything that is needed to make the images, and to write the recipe."""

    model: Model
    units: list[Wanted]
    objectives: list[Objective]
    settings: Settings
    copies: int
    batch_size: int


def visualize(
    units: Wanted | Sequence[Unit | Objective],
    *,
    steps: int = 256,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    lr: float = 0.05,
    at: Place = "mean",
    copies: int = 1,
    parameterization: Parameterization | None = None,
    transforms: Moves | None = None,
    batch_size: int | None = None,
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    progress: bool = True,
) -> Visualization:
    """Make the images that units want to see, many units at once.

    Noise is changed step by step, by Adam on a Fourier parameterization with decorrelated colours,
    until it excites the unit under small random moves (Olah et al., "Feature Visualization",
    Distill 2017). Every image has random numbers of its own: a unit's image is the same made alone
    or among others, up to rounding.

    Parameters
    ----------
    units
        A unit, a site (all its units), an objective (see ``lens.featurevis.objectives``), or a
        list of units and objectives, of one model.
    steps
        Optimization steps; on a small model 128 are enough for a look.
    size
        Pixels a side, or (height, width); the model's own size by default. Convolutional sites
        take other sizes, sites behind learned positions do not.
    seed
        With the unit's number it decides all of the image's random numbers.
    lr
        Adam's learning rate.
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
        a size that can't be, or an objective that isn't a number.
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
    if not (isinstance(lr, (int, float)) and 0 < lr < float("inf")):
        raise BadInput(f"lr is Adam's learning rate, a number above 0 such as 0.05, not {lr!r}.")
    if precision not in ("auto", "fp32", "bf16"):
        raise BadInput(f"precision is 'auto', 'fp32' or 'bf16', not {precision!r}.")
    settings = Settings(
        steps=int(steps),
        size=height_width,
        seed=seed,
        lr=float(lr),
        parameterization=parameterization or Fourier(),
        transforms=standard(height_width) if transforms is None else transforms,
        bf16=takes_bf16(model.device) if precision == "auto" else precision == "bf16",
    )
    needed = max(bytes_per_image(model, alike, height_width) for alike in _one_of_each_form(aims))
    if batch_size is None:
        batch_size = fitting_batch_size(needed, model.device)
    job = _Job(model, given, aims, settings, copies, _whole("batch_size", batch_size))
    return _run(job, progress)


def rerun(
    recipe: dict[str, Any] | str | Path | Visualization,
    model: Model | None = None,
    *,
    progress: bool = True,
) -> Visualization:
    """Make a visualization again from its recipe, to the same pixels on the same kind of machine.

    Parameters
    ----------
    recipe
        ``Visualization.recipe``, the visualization itself, or a PNG that it saved.
    model
        The model; opened by its name if not given.
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
    absent = {"model", "fingerprint", "objectives", "steps", "size"} - set(recipe)
    if absent:
        raise BadInput(
            f"this is no recipe of a visualization: it lacks {', '.join(sorted(absent))}."
        )
    model = model or load(recipe["model"])
    if model.fingerprint != recipe["fingerprint"]:
        raise BadInput(
            f"the recipe is for {recipe['model']} with weights {recipe['fingerprint']}; "
            f"this {model.name} has the weights {model.fingerprint}."
        )
    aims = [objective_values.from_recipe(each, model) for each in recipe["objectives"]]
    given: list[Wanted] = [
        model.site(name[0]).unit(name[1]) if name else aim
        for name, aim in zip(recipe["units"], aims, strict=True)
    ]
    settings = Settings(
        steps=recipe["steps"],
        size=tuple(recipe["size"]),
        seed=recipe["seed"],
        lr=recipe["lr"],
        parameterization=parameterizations.from_recipe(recipe["parameterization"]),
        transforms=transform_values.from_recipe(recipe["transforms"]),
        bf16=recipe["precision"] == "bf16",
    )
    return _run(
        _Job(model, given, aims, settings, recipe["copies"], recipe["batch_size"]), progress
    )


def _run(job: _Job, progress: bool) -> Visualization:
    """Climb batch by batch; keep what is finished, whatever ends it."""
    copies, steps = job.copies, job.settings.steps
    aims = [aim for aim in job.objectives for _ in range(copies)]
    streams = [(_stream(aim), copy) for aim in job.objectives for copy in range(copies)]
    together = copies if any(t.kind == "diversity" for aim in aims for t in aim.terms()) else 1
    batches = split(len(aims), job.batch_size, together)
    done: list[Climb] = []
    with tqdm(
        total=len(batches) * steps, desc="visualize", unit="step", disable=not progress
    ) as bar:
        for batch in batches:
            try:
                part = climb(
                    job.model,
                    [aims[i] for i in batch],
                    [streams[i] for i in batch],
                    job.settings,
                    bar.update,
                )
            except _ENDINGS as problem:
                if not done:
                    raise
                warnings.warn(f"stopped early: {_sentence(problem)}", stacklevel=3)
                break
            if not part.interrupted:
                done.append(part)
                continue
            if not done:
                if part.curve.shape[1] == 0:
                    raise KeyboardInterrupt
                done.append(part)
            break
    return _result(job, done)


def _result(job: _Job, done: list[Climb]) -> Visualization:
    images, values, start_values, curve = (
        np.concatenate([getattr(part, name) for part in done])
        for name in ("images", "values", "start_values", "curve")
    )
    owners = [i for i in range(len(job.units)) for _ in range(job.copies)]
    wanted, reached = len(owners), len(images)
    owners = owners[:reached]
    # A unit with a copy that was not made, or is not a number, is left out with all its copies.
    short = {owners[-1]} if reached < wanted and reached % job.copies else set()
    spoilt = {owner for owner, value in zip(owners, values, strict=True) if not np.isfinite(value)}
    keep = [row for row, owner in enumerate(owners) if owner not in short | spoilt]
    steps = curve.shape[1]
    if not keep:
        raise BadInput(
            f"the objective became NaN within {steps} steps for every image: "
            "use a smaller lr, or precision='fp32'."
        )
    if spoilt:
        listed = ", ".join(repr(job.units[owner]) for owner in sorted(spoilt))
        warnings.warn(f"left out, the objective became NaN: {listed}", stacklevel=4)
    if reached < wanted or steps < job.settings.steps:
        warnings.warn(
            f"stopped early: {len(keep)} of {wanted} images, after {steps} of "
            f"{job.settings.steps} steps",
            stacklevel=4,
        )
    kept = sorted({owners[row] for row in keep})
    made = replace(
        job,
        units=[job.units[owner] for owner in kept],
        objectives=[job.objectives[owner] for owner in kept],
        settings=replace(job.settings, steps=steps),
    )
    return Visualization(
        images[keep],
        [job.units[owners[row]] for row in keep],  # type: ignore[misc]
        values[keep],
        start_values[keep],
        curve[keep],
        _recipe(made),
    )


def _recipe(job: _Job) -> dict[str, Any]:
    """Everything that decides the pixels, as JSON has it."""
    settings = job.settings
    recipe = {
        "lens": __version__,
        "model": job.model.name,
        "fingerprint": job.model.fingerprint,
        "units": [[u.site.name, u.index] if isinstance(u, Unit) else None for u in job.units],
        "objectives": [objective.recipe() for objective in job.objectives],
        "formulas": [repr(objective) for objective in job.objectives],
        "steps": settings.steps,
        "size": list(settings.size),
        "seed": settings.seed,
        "lr": settings.lr,
        "copies": job.copies,
        "parameterization": settings.parameterization.recipe(),
        "transforms": settings.transforms.recipe(),
        "precision": "bf16" if settings.bf16 else "fp32",
        "batch_size": job.batch_size,
    }
    return json.loads(json.dumps(recipe))


def _listed(units: Any) -> list[Any]:
    if isinstance(units, Site):
        units = units.units()
    listed = [units] if isinstance(units, (Unit, Objective)) else list(units)
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
    pair = (size, size) if isinstance(size, (int, np.integer)) else tuple(size)
    if len(pair) != 2 or any(isinstance(n, bool) or int(n) != n or n < 8 for n in pair):
        raise BadInput(f"size is a whole number of pixels, at least 8, or two, not {size!r}.")
    if max(pair) > _LARGEST:
        raise TooLarge(f"{pair[0]} x {pair[1]} is too large: at most {_LARGEST} pixels a side.")
    return (int(pair[0]), int(pair[1]))


def _whole(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise BadInput(f"{name} is a whole number, at least {least}, not {value!r}.")
    return int(value)


def _stream(aim: Objective) -> int:
    """The number that seeds an image: its unit's; objectives without a unit share stream 0."""
    return next((term.data for term in aim.terms() if term.kind == "unit"), 0)


def _sentence(problem: BaseException) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__
