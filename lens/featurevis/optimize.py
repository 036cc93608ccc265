"""The loop: a batch of images, each climbing its own objective.

One step shows every image under its own random transforms, one view or several, runs the model up
to the last site that an objective looks at, and lets the optimizer climb the sum of the objectives,
each averaged over the views. The optimizer works number by number and the model (in eval mode)
image by image, so no image feels its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Generator, Tensor, nn

from lens.capture.hooks import forward_to
from lens.errors import BadInput
from lens.featurevis.measures import Scene, measure
from lens.featurevis.objectives import Objective
from lens.featurevis.parameterization import Parameterization
from lens.featurevis.transforms import Transform
from lens.model import Model
from lens.precision import autocast


@dataclass(frozen=True)
class Settings:
    """How to optimize, whatever the objectives are."""

    steps: int
    size: tuple[int, int]
    seed: int
    lr: float
    parameterization: Parameterization
    transforms: Transform
    bf16: bool


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
    interrupted
        Whether ctrl-C ended it early.
    """

    images: UInt8[np.ndarray, "images h w 3"]
    values: Float[np.ndarray, " images"]
    start_values: Float[np.ndarray, " images"]
    curve: Float[np.ndarray, "images steps"]
    interrupted: bool = False


def climb(
    model: Model,
    objectives: Sequence[Objective],
    streams: Sequence[tuple[int, int]],
    settings: Settings,
    after_step: Callable[[], object] = lambda: None,
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

    Returns
    -------
    Climb
        After ctrl-C, the images as far as they got.

    Raises
    ------
    BadInput
        Where no objective is finite at the first step, or none depends on the image.
    """
    generators = [generator(settings.seed, unit, copy) for unit, copy in streams]
    copy_of = _numbered(objectives, model.device)
    views = settings.transforms.views
    seen_by = [objective for objective in objectives for _ in range(views)]
    # A view is unlike the same view of the other copies.
    view_of = (copy_of[:, None] * views + torch.arange(views, device=model.device)).flatten()
    interrupted = False
    curve: list[Tensor] = []

    with undisturbed(model.module):
        z = settings.parameterization.start(settings.size, generators).to(model.device)
        average = Average(z, settings.parameterization.averaging)
        z.requires_grad_(True)
        optimizer = settings.parameterization.optimizer(z, settings.lr)
        start_values = _final(model, objectives, copy_of, z, settings)[1]
        try:
            for step in range(settings.steps):
                pixels = settings.parameterization.pixels(z, settings.size)
                seen = settings.transforms(pixels, generators, step / settings.steps)
                itself = pixels.repeat_interleave(views, 0)
                with autocast(model.device, settings.bf16):
                    scene = look(model, seen_by, itself, seen, view_of)
                values = measure(seen_by, scene).unflatten(0, (-1, views)).mean(1)
                if step == 0:
                    _check_first(objectives, values)
                optimizer.zero_grad(set_to_none=True)
                (-values.sum()).backward()
                optimizer.step()
                average.take(z)
                curve.append(values.detach())
                after_step()
        except KeyboardInterrupt:
            interrupted = True
        images, final_values = _final(model, objectives, copy_of, average.of(z), settings)

    steps = torch.stack(curve, 1) if curve else z.new_zeros(len(objectives), 0)
    return Climb(
        images.permute(0, 2, 3, 1).cpu().numpy(),
        final_values.cpu().numpy(),
        start_values.cpu().numpy(),
        steps.detach().cpu().numpy(),
        interrupted,
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


def look(
    model: Model,
    objectives: Sequence[Objective],
    pixels: Float[Tensor, "images 3 h w"],
    seen: Float[Tensor, "images 3 h w"],
    copy_of: Int[Tensor, " images"],
) -> Scene:
    """Show images to the model, no further than the last site that an objective looks at.

    ``pixels`` are what terms about the image itself measure, ``seen`` is what the model sees.
    """
    sites = list(dict.fromkeys(site for objective in objectives for site in objective.sites))
    if not sites:
        return Scene(pixels, {}, copy_of)
    coloured = seen if len(model.mean) == 3 else seen.mean(1, keepdim=True)
    shown = model.normalize(coloured).contiguous(memory_format=torch.channels_last)
    found = forward_to(sites, shown, detach=False)
    return Scene(pixels, {site: found[site.name] for site in sites}, copy_of)


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Eval mode, and gradients to the image alone; everything as it was afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    try:
        module.eval()
        for parameter, _ in wanted:
            parameter.requires_grad_(False)
        # A notebook may have switched gradients off for all of its cells.
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training
        for parameter, requires_grad in wanted:
            parameter.requires_grad_(requires_grad)


@torch.no_grad()
def _final(
    model: Model,
    objectives: Sequence[Objective],
    copy_of: Int[Tensor, " images"],
    z: Tensor,
    settings: Settings,
) -> tuple[UInt8[Tensor, "images 3 h w"], Float[Tensor, " images"]]:
    """Round the images to eight bits and measure them just so, in float32."""
    pixels = settings.parameterization.pixels(z, settings.size)
    images = (pixels.nan_to_num(nan=0.5) * 255).round().to(torch.uint8)
    rounded = images.float() / 255
    values = measure(objectives, look(model, objectives, rounded, rounded, copy_of))
    # A NaN in z must not hide behind the grey that it is painted with.
    return images, values.masked_fill(pixels.isnan().flatten(1).any(1), float("nan"))


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
