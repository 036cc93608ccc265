"""A text drives a generator: its latent numbers climb until the model finds the text in the image.

The image is shown in many random cutouts at once, as what one view shows can be cheated more easily
than what all of them show; the latent numbers are averaged over the steps; several texts pull or
push with weights of their own, and a discriminator may have a say.

References
----------
Patashnik et al., "StyleCLIP", ICCV 2021 (a CLIP similarity climbed in a generator's latent space);
Crowson et al., "VQGAN-CLIP", ECCV 2022 (cutouts in a batch, several prompts, weights).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from lens import __version__, zoo
from lens.capture.hooks import forward_to
from lens.errors import BadInput
from lens.featurevis import objectives, optimize
from lens.featurevis.latent import stylegan
from lens.featurevis.objectives import Objective
from lens.featurevis.parameterization import Parameterization
from lens.featurevis.visualization import Visualization
from lens.model import Model
from lens.precision import Precision, autocast, in_bf16

Prompts = str | Sequence[str] | Mapping[str, float]

_AVOIDED = 0.5  # weight of a text to keep away from, beside the 1 of a text to come near


@dataclass(frozen=True, eq=False)
class Aim:
    """Texts in the joint space with weights: the score of an image is sum_i w_i cos(image, text_i).

    Weights are scaled so that their absolute values add up to 1.
    """

    texts: tuple[str, ...]
    vectors: Float[Tensor, "texts dim"]
    weights: Float[Tensor, " texts"]

    def __call__(self, embeddings: Float[Tensor, "images dim"]) -> Float[Tensor, " images"]:
        """The score of every image."""
        near = F.normalize(embeddings.float(), dim=1) @ self.vectors.to(embeddings.device).T
        return near @ self.weights.to(embeddings.device)


def aim(model: Model, text: Prompts, avoid: Prompts | None = None) -> Aim:
    """What to come near and what to keep away from, as one score.

    Parameters
    ----------
    text
        A text, several that count alike, or ``{text: weight}``; a weight below 0 repels.
    avoid
        The same for what to keep away from; its weights are halved.

    Raises
    ------
    BadInput
        Where there is no text, or a weight isn't a number.
    """
    wanted = _weighted(text)
    for one, weight in _weighted(avoid).items() if avoid is not None else ():
        wanted[one] = wanted.get(one, 0.0) - _AVOIDED * weight
    total = sum(abs(weight) for weight in wanted.values())
    if not total:
        raise BadInput("every text has the weight 0: there is nothing to come near to.")
    vectors = torch.from_numpy(model.embed(list(wanted)))
    return Aim(tuple(wanted), vectors, torch.tensor([w / total for w in wanted.values()]))


def guide(
    model: Model,
    text: Prompts,
    generator: nn.Module | Parameterization | None = None,
    *,
    steps: int = 80,
    copies: int = 4,
    cutouts: int = 16,
    candidates: int = 64,
    discriminator: float = 0.0,
    judge: nn.Module | None = None,
    truncation: float = 1.0,
    seed: int = 0,
    avoid: Prompts | None = None,
    lr: float | None = None,
    precision: Precision = "auto",
    progress: bool = True,
) -> Visualization:
    """Find images of a text among those that a generator can make.

    Every copy starts at the best of a few random draws and climbs the similarity of its cutouts to
    the text.

    Parameters
    ----------
    model
        Any model with a joint space of images and texts.
    text
        A text, several that count alike, or ``{text: weight}``.
    generator
        Any module from z to images (see ``stylegan`` for which calls are understood, and for the
        range of what it paints), or any parameterization: ``Fourier()`` climbs pixels. The
        generator that ships by default.
    steps
        Optimization steps.
    copies
        Images, from different draws.
    cutouts
        Random views of each image at every step.
    candidates
        Random draws from which the start of each copy is chosen.
    discriminator
        Weight of the judge's opinion, log(sigmoid(logit)), beside the score.
    judge
        From images in [0, 1] to one logit each; the discriminator that ships by default.
    truncation
        How far from the generator's mean image to go; a parameterization has its own.
    seed
        Decides every random number.
    avoid
        Texts to keep away from, at half weight.
    lr
        Learning rate; the parameterization's own by default.
    precision
        The model's arithmetic; images and final values are computed in float32.
    progress
        Whether to show a progress bar.

    Returns
    -------
    Visualization
        Images; ``values`` are their scores as they stand, ``start_values`` those of the draws that
        the run began with. After ctrl-C, the images as far as they got.

    Raises
    ------
    BadInput
        Where the model has no joint space, there is no text, or the generator makes no images.
    """
    counts = {"steps": steps, "copies": copies, "cutouts": cutouts, "candidates": candidates}
    for name, count in counts.items():
        _whole(name, count)
    _whole("seed", seed, least=0)
    source = as_source(generator, truncation)
    target = aim(model, text, avoid)
    site = model.site("image.embedding")
    if discriminator and judge is None:
        judge = zoo.discriminator()
    size = (int(model.image_size[0]), int(model.image_size[1]))
    lr = source.lr if lr is None else lr
    streams = _streams(seed, copies)

    def score(pixels: Tensor) -> Tensor:
        shown = model.normalize(pixels).contiguous(memory_format=torch.channels_last)
        return target(forward_to(site, shown, detach=False)[site.name])

    def final(z: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            images = (source.pixels(z, size) * 255).round()
            return images.to(torch.uint8), score(images / 255)

    def rated(pixels: Tensor) -> Tensor:
        value = score(_cut(pixels, cutouts, streams)).unflatten(0, (-1, cutouts)).mean(1)
        if judge is not None and discriminator:
            value = value + discriminator * F.logsigmoid(judge(pixels).flatten())
        return value

    curve: list[Tensor] = []
    with _at_work(model, source, judge):
        z = _best_of(candidates, source, size, streams, score)
        start_values = final(z)[1]
        average = optimize.Average(z, source.averaging)
        z = z.detach().requires_grad_(True)
        optimizer = source.optimizer(z, float(lr))
        try:
            for _ in tqdm(range(steps), desc="guide", unit="step", disable=not progress):
                with autocast(model.device, in_bf16(precision, model.device)):
                    value = rated(source.pixels(z, size))
                optimizer.zero_grad(set_to_none=True)
                (-value.sum()).backward()
                optimizer.step()
                average.take(z)
                curve.append(value.detach().float())
        except KeyboardInterrupt:
            if not curve:
                raise
        images, values = final(average.of(z).detach())
    recipe = {
        "lens": __version__,
        "made_by": "guide",
        "model": model.name,
        "fingerprint": model.fingerprint,
        "prompts": dict(zip(target.texts, target.weights.tolist(), strict=True)),
        "steps": len(curve),
        "copies": copies,
        "cutouts": cutouts,
        "candidates": candidates,
        "discriminator": discriminator,
        "seed": seed,
        "lr": float(lr),
        "parameterization": source.recipe(),
    }
    return Visualization(
        images.permute(0, 2, 3, 1).cpu().numpy(),
        [_formula(model, target)] * copies,
        values.cpu().numpy(),
        start_values.cpu().numpy(),
        torch.stack(curve, 1).cpu().numpy(),
        json.loads(json.dumps(recipe)),
    )


def as_source(given: nn.Module | Parameterization | None, truncation: float) -> Parameterization:
    """A parameterization: as it is, of a module, or of the generator that ships.

    Raises
    ------
    BadInput
        Where it is neither a module nor a parameterization.
    """
    if given is None:
        given = zoo.generator()
    if isinstance(given, nn.Module):
        return stylegan(given, truncation=truncation)
    if all(callable(getattr(given, name, None)) for name in ("start", "pixels", "optimizer")):
        return given
    raise BadInput(
        f"a generator is a torch module or a parameterization, not {type(given).__name__}."
    )


def _weighted(text: Prompts) -> dict[str, float]:
    """Texts with their weights, in the order in which they came."""
    listed = [text] if isinstance(text, str) else text
    pairs = listed.items() if isinstance(listed, Mapping) else [(one, 1.0) for one in listed]
    found: dict[str, float] = {}
    for one, weight in pairs:
        if not isinstance(one, str) or not one.strip():
            raise BadInput(f"a text to guide by is a str of at least one letter, not {one!r}.")
        number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not (number and np.isfinite(weight)):
            raise BadInput(f"the weight of {one!r} is a number, not {weight!r}.")
        found[one] = found.get(one, 0.0) + float(weight)
    if not found:
        raise BadInput("there is no text to guide by; 'a photo of a dog' is one.")
    return found


def _formula(model: Model, target: Aim) -> Objective:
    """The score as an objective, to be printed."""
    terms = [objectives.similarity(model, text) for text in target.texts]
    if len(terms) == 1:
        return terms[0]
    weights = [round(float(weight), 4) for weight in target.weights]
    return sum((w * term for w, term in zip(weights, terms, strict=True)), start=0)  # type: ignore[return-value, arg-type]


def _streams(seed: int, copies: int) -> list[Generator]:
    return [optimize.generator(seed, 0, copy) for copy in range(copies)]


@torch.no_grad()
def _best_of(
    candidates: int,
    source: Parameterization,
    size: tuple[int, int],
    streams: Sequence[Generator],
    score: Any,
) -> Tensor:
    """Of each copy's draws the one that the model finds nearest."""
    chosen = []
    for stream in streams:
        draws = source.start(size, [stream] * candidates)
        near = score(source.pixels(draws, size))
        chosen.append(draws[near.nan_to_num(nan=-1.0).argmax()])
    return torch.stack(chosen)


def _cut(
    pixels: Float[Tensor, "images 3 h w"], cutouts: int, streams: Sequence[Generator]
) -> Float[Tensor, "views 3 h w"]:
    """Views of every image, which follow each other: the whole of it, then parts of it.

    A part is a square of 60% to 100% of the image, turned by up to 9 degrees, brightened or
    darkened by up to 15%, with noise.
    """
    draws = torch.stack([torch.rand(cutouts, 5, generator=own) for own in streams])
    draws[:, 0] = draws.new_tensor([1.0, 0.5, 0.5, 0.5, 0.5])
    side, right, down, turn, light = draws.flatten(0, 1).to(pixels.device).T
    side, angle = 0.6 + 0.4 * side, 0.16 * (2 * turn - 1)
    cos, sin = side * angle.cos(), side * angle.sin()
    shift = (1 - side) * torch.stack([2 * right - 1, 2 * down - 1])
    theta = torch.stack(
        [torch.stack([cos, -sin, shift[0]], 1), torch.stack([sin, cos, shift[1]], 1)], 1
    )
    every = pixels.float().repeat_interleave(cutouts, 0)
    grid = F.affine_grid(theta, list(every.shape), align_corners=False)
    seen = F.grid_sample(every, grid, align_corners=False, padding_mode="border")
    noise = [torch.randn(cutouts, *pixels.shape[1:], generator=own) for own in streams]
    gain = (0.85 + 0.3 * light)[:, None, None, None]
    return gain * seen + 0.02 * torch.cat(noise).to(pixels.device)


@contextmanager
def _at_work(model: Model, source: Any, judge: nn.Module | None) -> Iterator[None]:
    """Everything in eval mode and without gradients to weights; as it was afterwards."""
    with ExitStack() as stack:
        for part in (model.module, getattr(source, "module", None), judge):
            if isinstance(part, nn.Module):
                stack.enter_context(optimize.undisturbed(part))
        yield


def _whole(name: str, value: Any, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise BadInput(f"{name} is a whole number, at least {least}, not {value!r}.")
