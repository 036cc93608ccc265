"""A run as a whole: what to make, making it batch by batch, and the recipe that says it again."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from lens import __version__
from lens.errors import BadInput, LensError
from lens.featurevis import objectives, parameterization, transforms
from lens.featurevis.batching import split
from lens.featurevis.objectives import Objective
from lens.featurevis.optimize import Climb, Settings, climb
from lens.featurevis.visualization import Visualization
from lens.model import Model
from lens.sites import Unit

# What may end a run after some batches are finished, without taking them along.
_ENDINGS = (KeyboardInterrupt, BadInput, MemoryError, torch.cuda.OutOfMemoryError)


@dataclass(frozen=True, eq=False)
class Job:
    """What to make, and how.

    Attributes
    ----------
    model
        The model that looks.
    units
        What was asked for, a unit or an objective each.
    objectives
        What to climb for each of them.
    settings
        How to climb.
    copies
        Images for each unit.
    batch_size
        Images at once.
    """

    model: Model
    units: list[Unit | Objective]
    objectives: list[Objective]
    settings: Settings
    copies: int
    batch_size: int

    def recipe(self) -> dict[str, Any]:
        """Everything that decides the pixels, as JSON has it."""
        settings = self.settings
        recipe = {
            "lens": __version__,
            "model": self.model.name,
            "fingerprint": self.model.fingerprint,
            "units": [[u.site.name, u.index] if isinstance(u, Unit) else None for u in self.units],
            "objectives": [objective.recipe() for objective in self.objectives],
            "formulas": [repr(objective) for objective in self.objectives],
            "steps": settings.steps,
            "size": list(settings.size),
            "seed": settings.seed,
            "lr": settings.lr,
            "copies": self.copies,
            "parameterization": settings.parameterization.recipe(),
            "transforms": settings.transforms.recipe(),
            "precision": "bf16" if settings.bf16 else "fp32",
            "batch_size": self.batch_size,
        }
        return json.loads(json.dumps(recipe))


def from_recipe(recipe: dict[str, Any], model: Model, generators: Iterable[Any] = ()) -> Job:
    """Build the job on ``model`` from what ``Job.recipe`` returned.

    ``generators`` are for ``parameterization.from_recipe``.

    Raises
    ------
    BadInput
        Where something that the recipe has to say is missing or unknown here.
    """
    try:
        aims = [objectives.from_recipe(each, model) for each in recipe["objectives"]]
        settings = Settings(
            steps=recipe["steps"],
            size=tuple(recipe["size"]),
            seed=recipe["seed"],
            lr=recipe["lr"],
            parameterization=parameterization.from_recipe(recipe["parameterization"], generators),
            transforms=transforms.from_recipe(recipe["transforms"]),
            bf16=recipe["precision"] == "bf16",
        )
        units = [
            model.site(name[0]).unit(name[1]) if name else aim
            for name, aim in zip(recipe["units"], aims, strict=True)
        ]
        return Job(model, units, aims, settings, recipe["copies"], recipe["batch_size"])
    except KeyError as missing:
        if isinstance(missing, LensError):
            raise
        raise BadInput(f"this is no recipe of a visualization: it lacks {missing}.") from missing


def run(job: Job, progress: bool) -> Visualization:
    """Climb batch by batch; keep what is finished, whatever ends it."""
    copies, steps = job.copies, job.settings.steps
    aims = [aim for aim in job.objectives for _ in range(copies)]
    streams = [(_stream(aim), copy) for aim in job.objectives for copy in range(copies)]
    together = copies if any(t.kind == "diversity" for aim in aims for t in aim.terms()) else 1
    batches = split(len(aims), job.batch_size, together)
    done: list[Climb] = []
    why = ""
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
                why = _sentence(problem)
                break
            if part.interrupted:
                why = _sentence(KeyboardInterrupt())
                if part.curve.shape[1] == 0 and not done:
                    raise KeyboardInterrupt
                # Half-finished images are kept only where there is nothing better.
                done = done or [part]
                break
            done.append(part)
    return _result(job, done, why)


def _result(job: Job, done: list[Climb], why: str) -> Visualization:
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
    if not keep and not spoilt:
        raise KeyboardInterrupt  # before even one unit had all its copies
    if not keep:
        raise BadInput(
            f"the objective became NaN within {steps} steps for every image: "
            "use a smaller lr, or precision='fp32'."
        )
    if spoilt:
        listed = ", ".join(repr(job.units[owner]) for owner in sorted(spoilt))
        warnings.warn(f"left out, the objective became NaN: {listed}", stacklevel=4)
    if why:
        warnings.warn(
            f"stopped early, {len(keep)} of {wanted} images after {steps} of "
            f"{job.settings.steps} steps are kept: {why}",
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
        [job.units[owners[row]] for row in keep],
        values[keep],
        start_values[keep],
        curve[keep],
        made.recipe(),
    )


def _stream(aim: Objective) -> int:
    """The number that seeds an image: its unit's; objectives without a unit share stream 0."""
    return next((term.data for term in aim.terms() if term.kind == "unit"), 0)


def _sentence(problem: BaseException) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__
