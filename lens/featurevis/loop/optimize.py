"""The loop: a batch of images, each climbing its own objective.

One step shows every image under its own random transforms, one view or several, runs the model up
to the last site that an objective looks at, and lets the optimizer climb the sum of the objectives,
each averaged over the views. The optimizer works number by number and the model (in eval mode)
image by image, so no image feels its neighbours.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Generator, Tensor

from lens.errors import BadInput
from lens.featurevis.loop.compiling import compiled
from lens.featurevis.loop.interrupting import undivided
from lens.featurevis.loop.positions import stretched
from lens.featurevis.loop.rescue import STEPS, rescued
from lens.featurevis.loop.starting import from_image
from lens.featurevis.objectives.formula import Objective
from lens.featurevis.objectives.looking import look, undisturbed
from lens.featurevis.objectives.measures import Scene, measure
from lens.featurevis.parameterization import Parameterization
from lens.featurevis.picture import Picture
from lens.featurevis.transforms import Transform
from lens.model import Model
from lens.precision import autocast
from lens.sites import Site

__all__ = ["Average", "Climb", "Settings", "climb", "generator", "look", "undisturbed"]

#: Gets the number of steps done, the images as they are, and the last step's objectives.
Watch = Callable[[int, UInt8[np.ndarray, "images h w 3"], Float[np.ndarray, " images"]], Any]


@dataclass(frozen=True)
class Settings:
    """How to optimize, whatever the objectives are.

    Attributes
    ----------
    steps, size, seed, lr, parameterization, transforms
        As ``lens.visualize`` has them.
    planned
        Of how many steps these are the first: what changes in the course of a run goes by them, so
        that a run that was stopped can be made again.
    bf16
        Whether the model computes in bfloat16.
    start
        An image to start from; noise where there is none.
    snapshots
        After which steps to keep the images.
    rescue
        For how many steps silent units get gradient past their activation function.
    compile
        Whether to compile what stands before the target.
    """

    steps: int
    size: tuple[int, int]
    seed: int
    lr: float
    parameterization: Parameterization
    transforms: Transform
    bf16: bool
    start: Picture | None = None
    snapshots: tuple[int, ...] = ()
    rescue: int = STEPS
    compile: bool = False
    planned: int | None = None

    @property
    def whole(self) -> int:
        """Steps of the whole run, whether or not it gets there."""
        return self.steps if self.planned is None else self.planned


@dataclass(frozen=True, eq=False)
class Climb:
    """What a batch came to.

    Attributes
    ----------
    images
        Eight-bit images, (images, h, w, 3).
    values
        The objectives on ``images`` as they stand there: untransformed, rounded, in float32.
    start_values
        The same on the images that the run started from.
    curve
        The objectives step by step, under the transforms, (images, steps done).
    importance
        Sum over the steps of the gradient's absolute value, the mean over colours, (images, h, w).
    snapshots
        Eight-bit images after some of the steps.
    interrupted
        Whether it was ended early.
    stopped
        Whether whoever watched ended it.
    """

    images: UInt8[np.ndarray, "images h w 3"]
    values: Float[np.ndarray, " images"]
    start_values: Float[np.ndarray, " images"]
    curve: Float[np.ndarray, "images steps"]
    importance: Float[np.ndarray, "images h w"]
    snapshots: dict[int, UInt8[np.ndarray, "images h w 3"]] = field(default_factory=dict)
    interrupted: bool = False
    stopped: bool = False


def climb(
    model: Model,
    objectives: Sequence[Objective],
    streams: Sequence[tuple[int, int]],
    settings: Settings,
    after_step: Callable[[], object] = lambda: None,
    watch: Watch | None = None,
    every: int = 1,
) -> Climb:
    """Optimize one image for each objective, all in one batch.

    Parameters
    ----------
    model
        Its parameters get no gradients and its modules are in eval mode meanwhile; both are put
        back as they were, whatever happens.
    objectives
        One an image.
    streams
        One (number of the unit, number of the copy) an image: with the seed they choose the
        image's random numbers.
    settings
        How to optimize.
    after_step
        Called after every step, for a progress bar.
    watch
        Shown the images after every ``every`` steps; where it returns False, the run ends.
    every
        How often to show them.

    Returns
    -------
    Climb
        After ctrl-C, the images as far as they got.

    Raises
    ------
    BadInput
        Where no objective is finite at the first step, or none depends on the image.
    """
    sites = list(dict.fromkeys(site for objective in objectives for site in objective.sites))
    own = list(dict.fromkeys(part for objective in objectives for part in objective.modules))
    generators = [generator(settings.seed, unit, copy) for unit, copy in streams]
    views = settings.transforms.views
    seen_by = [objective for objective in objectives for _ in range(views)]
    sites_of = [objective.sites for objective in seen_by]
    copy_of = _numbered(objectives, model.device)
    number = torch.arange(len(objectives), device=model.device).repeat_interleave(views)
    # A view is unlike the same view of the other copies.
    view_of = copy_of[number] * views + torch.arange(len(number), device=model.device) % views
    memory: dict[Any, Any] = {}
    curve: list[Tensor] = []
    snapshots: dict[int, np.ndarray] = {}
    interrupted = stopped = False

    with ExitStack() as stack:
        stack.enter_context(undisturbed(model.module, *own))
        stack.enter_context(stretched(model, settings.size))
        compiling = stack.enter_context(_Compiling(sites, settings.compile))
        z = _start(settings, generators).to(model.device)
        average = Average(z, settings.parameterization.averaging)
        z.requires_grad_(True)
        optimizer = settings.parameterization.optimizer(z, settings.lr)
        first = _rounded(z, settings)
        importance = torch.zeros(len(objectives), *settings.size, device=model.device)

        def shown(seen: Tensor, pixels: Tensor) -> Scene:
            with autocast(model.device, settings.bf16):
                return look(model, seen_by, pixels, seen, view_of, number, memory)

        try:
            for step in range(settings.steps):
                pixels = settings.parameterization.pixels(z, settings.size)
                pixels.retain_grad()
                seen = settings.transforms(pixels, generators, step / settings.whole)
                itself = pixels.repeat_interleave(views, 0)
                with rescued(sites_of) if step < settings.rescue else nullcontext():
                    scene = compiling.tried(shown, seen, itself)
                values = measure(seen_by, scene).unflatten(0, (-1, views)).mean(1)
                if step == 0:
                    _check_first(objectives, values)
                optimizer.zero_grad(set_to_none=True)
                (-values.sum()).backward()
                with undivided():
                    if pixels.grad is not None:
                        importance += pixels.grad.abs().mean(1)
                    optimizer.step()
                    average.take(z)
                    curve.append(values.detach())
                after_step()
                done = step + 1
                if done in settings.snapshots:
                    snapshots[done] = _arrays(_rounded(average.of(z), settings)[0])
                if watch is not None and (done % every == 0 or done == settings.steps):
                    now = _arrays(_rounded(average.of(z), settings)[0])
                    if watch(done, now, values.detach().cpu().numpy()) is False:
                        interrupted = stopped = done < settings.steps
                        break
        except KeyboardInterrupt:
            interrupted = True
        last = _rounded(average.of(z), settings)
        values, start_values = (
            _final(model, objectives, copy_of, memory, *images) for images in (last, first)
        )

    steps = torch.stack(curve, 1) if curve else z.new_zeros(len(objectives), 0)
    return Climb(
        _arrays(last[0]),
        values.cpu().numpy(),
        start_values.cpu().numpy(),
        steps.detach().cpu().numpy(),
        importance.nan_to_num().cpu().numpy(),
        snapshots,
        interrupted,
        stopped,
    )


class Average:
    """An exponential moving average of z; with a share of 0, z itself."""

    def __init__(self, z: Tensor, share: float) -> None:
        self._share = share
        self._mean = z.detach().clone() if share else None

    @torch.no_grad()
    def take(self, z: Tensor) -> None:
        """Mix in the z of one more step."""
        if self._mean is not None:
            self._mean.lerp_(z, 1 - self._share)

    def of(self, z: Tensor) -> Tensor:
        """What to draw the images from."""
        return z if self._mean is None else self._mean


def generator(seed: int, unit: int, copy: int) -> Generator:
    """The random numbers of one image, the same whatever else is in its batch.

    Always on the CPU, so that a seed means the same on every device.
    """
    state = np.random.SeedSequence([seed, unit, copy]).generate_state(1, np.uint64)[0]
    # torch takes 64 bits; one fewer keeps clear of the sign.
    return Generator().manual_seed(int(state) >> 1)


class _Compiling(ExitStack):
    """Compiles what stands before the sites, unless that turns out not to work here."""

    def __init__(self, sites: Sequence[Site], wanted: bool) -> None:
        super().__init__()
        self._unsure = wanted
        if wanted:
            self.enter_context(compiled(sites))

    def tried(self, run: Callable[..., Scene], *images: Tensor) -> Scene:
        """Run it; where the compiler fails, say so once and go on without."""
        if not self._unsure:
            return run(*images)
        self._unsure = False
        try:
            with warnings.catch_warnings():
                # The compiler looks at the gradient of whatever it is handed.
                warnings.filterwarnings("ignore", "The .grad attribute of a Tensor")
                return run(*images)
        except Exception as problem:
            self.close()
            scene = run(*images)  # what fails without the compiler too is raised as it is
            reason = str(problem).strip().splitlines()
            warnings.warn(
                "compile=True goes on without: the compiler can't be used here "
                f"({type(problem).__name__}: {reason[0] if reason else ''}).",
                stacklevel=2,
            )
            return scene


def _start(settings: Settings, generators: Sequence[Generator]) -> Tensor:
    if settings.start is None:
        return settings.parameterization.start(settings.size, generators)
    image = settings.start.at_size(settings.size)
    return from_image(settings.parameterization, image, len(generators))


@torch.no_grad()
def _rounded(
    z: Tensor, settings: Settings
) -> tuple[UInt8[Tensor, "images 3 h w"], Int[Tensor, " images"]]:
    """Eight-bit images, and which of them are not numbers."""
    pixels = settings.parameterization.pixels(z, settings.size)
    images = (pixels.nan_to_num(nan=0.5) * 255).round().to(torch.uint8)
    return images, pixels.isnan().flatten(1).any(1)


def _arrays(images: UInt8[Tensor, "images 3 h w"]) -> UInt8[np.ndarray, "images h w 3"]:
    return images.permute(0, 2, 3, 1).cpu().numpy()


@torch.no_grad()
def _final(
    model: Model,
    objectives: Sequence[Objective],
    copy_of: Int[Tensor, " images"],
    memory: dict[Any, Any],
    images: UInt8[Tensor, "images 3 h w"],
    spoilt: Int[Tensor, " images"],
) -> Float[Tensor, " images"]:
    """Measure the rounded images just so, in float32."""
    pixels = images.float() / 255
    scene = look(model, objectives, pixels, pixels, copy_of, memory=memory)
    # A NaN in z must not hide behind the grey that it is painted with.
    return measure(objectives, scene).masked_fill(spoilt, float("nan"))


def _check_first(objectives: Sequence[Objective], values: Float[Tensor, " images"]) -> None:
    if not values.requires_grad:
        raise BadInput(
            f"{objectives[0]!r} does not depend on the image: there is nothing to climb."
        )
    if not values.isfinite().any():
        raise BadInput(
            f"{objectives[0]!r} is {values[0].item()} at the first step: "
            "look for NaN or infinity among the model's weights or in the objective."
        )


def _numbered(objectives: Sequence[Objective], device: torch.device) -> Int[Tensor, " images"]:
    """Copies of one unit share the objective object itself; number them by it."""
    numbers = {key: i for i, key in enumerate(dict.fromkeys(map(id, objectives)))}
    return torch.tensor([numbers[id(objective)] for objective in objectives], device=device)
