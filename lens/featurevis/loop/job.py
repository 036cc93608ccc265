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
from lens.featurevis.loop.batching import split
from lens.featurevis.loop.optimize import Climb, Settings, Watch, climb
from lens.featurevis.objectives.formula import Objective
from lens.featurevis.picture import Picture
from lens.featurevis.visualization import Visualization
from lens.model import Model
from lens.sites import Unit

# What may end a run after some batches are finished, without taking them along.
_ENDINGS = (KeyboardInterrupt, BadInput, MemoryError, RuntimeError)


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
            "planned": settings.whole,
            "size": list(settings.size),
            "seed": settings.seed,
            "lr": settings.lr,
            "copies": self.copies,
            "parameterization": settings.parameterization.recipe(),
            "transforms": settings.transforms.recipe(),
            "precision": "bf16" if settings.bf16 else "fp32",
            "batch_size": self.batch_size,
            "start": settings.start.png() if settings.start else None,
            "snapshots": list(settings.snapshots),
            "rescue": settings.rescue,
            "compile": settings.compile,
        }
        return json.loads(json.dumps(recipe))


def from_recipe(recipe: dict[str, Any], model: Model, modules: Iterable[Any] = ()) -> Job:
    """Build the job on ``model`` from what ``Job.recipe`` returned.

    ``modules`` are those of the user's own that make images or score them.

    Raises
    ------
    BadInput
        Where something that the recipe has to say is missing or unknown here.
    """
    try:
        aims = [objectives.from_recipe(each, model, modules) for each in recipe["objectives"]]
        settings = Settings(
            steps=recipe["steps"],
            size=tuple(recipe["size"]),
            seed=recipe["seed"],
            lr=recipe["lr"],
            parameterization=parameterization.from_recipe(recipe["parameterization"], modules),
            transforms=transforms.from_recipe(recipe["transforms"]),
            bf16=recipe["precision"] == "bf16",
            start=Picture.from_png(recipe["start"]) if recipe["start"] else None,
            snapshots=tuple(recipe["snapshots"]),
            rescue=recipe["rescue"],
            compile=recipe["compile"],
            planned=recipe.get("planned"),  # earlier recipes are of whole runs
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


def run(job: Job, progress: bool, watch: Watch | None = None, every: int = 1) -> Visualization:
    """Climb batch by batch; keep what is finished, whatever ends it.

    ``watch`` is shown all images so far: those of finished batches first.
    """
    copies, steps = job.copies, job.settings.steps
    aims = [aim for aim in job.objectives for _ in range(copies)]
    streams = [(_stream(aim), copy) for aim in job.objectives for copy in range(copies)]
    together = copies if any(t.kind == "diversity" for aim in aims for t in aim.terms()) else 1
    waiting = split(len(aims), job.batch_size, together)
    done: list[Climb] = []
    why = ""
    with tqdm(
        total=len(waiting) * steps, desc="visualize", unit="step", disable=not progress
    ) as bar:
        while waiting:
            batch = waiting[0]
            try:
                part = climb(
                    job.model,
                    [aims[i] for i in batch],
                    [streams[i] for i in batch],
                    job.settings,
                    bar.update,
                    None if watch is None else _after(done, watch),
                    every,
                )
            except _ENDINGS as problem:
                smaller = max(job.batch_size // 2 // together, 1) * together
                if is_out_of_memory(problem) and why != _HALVED and smaller < len(batch):
                    job, why = replace(job, batch_size=smaller), _HALVED
                    rest = split(len(aims) - batch.start, smaller, together)
                    waiting = [range(r.start + batch.start, r.stop + batch.start) for r in rest]
                    bar.reset(total=(len(done) + len(waiting)) * steps)
                    bar.update(len(done) * steps)
                    warnings.warn(
                        f"memory does not hold {len(batch)} images at once: going on with "
                        f"{smaller}.",
                        stacklevel=3,
                    )
                    continue
                if not done or not _may_end(problem):
                    raise
                why = _sentence(problem)
                break
            if part.interrupted:
                why = "on_step said so" if part.stopped else _sentence(KeyboardInterrupt())
                if part.curve.shape[1] == 0 and not done:
                    raise KeyboardInterrupt
                # Half-finished images are kept only where there is nothing better.
                done = done or [part]
                break
            done.append(part)
            waiting = waiting[1:]
    return _result(job, done, "" if why == _HALVED else why)


_HALVED = "halved"


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether memory was asked for that there isn't; torch's CPU allocator has no class for it."""
    named = isinstance(problem, (MemoryError, torch.cuda.OutOfMemoryError))
    return named or (
        isinstance(problem, RuntimeError) and "can't allocate memory" in str(problem).lower()
    )


def _may_end(problem: BaseException) -> bool:
    """Whether what is finished is worth more than the problem; an error of lens' own is not."""
    return isinstance(problem, (KeyboardInterrupt, BadInput)) or is_out_of_memory(problem)


def _after(done: list[Climb], watch: Watch) -> Watch:
    def shown(step: int, images: np.ndarray, values: np.ndarray) -> Any:
        finished = [(part.images, part.values) for part in done]
        every_image, every_value = zip(*finished, (images, values), strict=True)
        return watch(step, np.concatenate(every_image), np.concatenate(every_value))

    return shown


def _result(job: Job, done: list[Climb], why: str) -> Visualization:
    images, values, start_values, curve, importance = (
        np.concatenate([getattr(part, name) for part in done])
        for name in ("images", "values", "start_values", "curve", "importance")
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
            f"{job.settings.whole} steps are kept: {why}",
            stacklevel=4,
        )
    kept = sorted({owners[row] for row in keep})
    snapshots = tuple(step for step in job.settings.snapshots if step <= steps)
    made = replace(
        job,
        units=[job.units[owner] for owner in kept],
        objectives=[job.objectives[owner] for owner in kept],
        settings=replace(
            job.settings, steps=steps, planned=job.settings.whole, snapshots=snapshots
        ),
    )
    return Visualization(
        images[keep],
        [job.units[owners[row]] for row in keep],
        values[keep],
        start_values[keep],
        curve[keep],
        made.recipe(),
        shares(importance[keep]),
        {s: np.concatenate([part.snapshots[s] for part in done])[keep] for s in snapshots},
    )


def shares(importance: np.ndarray) -> np.ndarray:
    """Scale each image's importance to [0, 1]; its one percent of largest values are all 1."""
    top = np.percentile(importance, 99, axis=(1, 2), keepdims=True)
    top = np.where(top > 0, top, importance.max((1, 2), keepdims=True))
    return np.clip(importance / np.maximum(top, 1e-30), 0, 1).astype(np.float32)


def _stream(aim: Objective) -> int:
    """The number that seeds an image: its unit's; objectives without a unit share stream 0."""
    return next((term.data for term in aim.terms() if term.kind == "unit"), 0)


def _sentence(problem: BaseException) -> str:
    lines = str(problem).strip().splitlines()
    return lines[0] if lines else type(problem).__name__
