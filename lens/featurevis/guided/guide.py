"""A text drives a generator: its latent numbers climb until the model finds the text in the image.

The image is shown in many random cutouts at once, as what one view shows can be cheated more easily
than what all of them show; the latent numbers are averaged over the steps; several texts pull or
push with weights of their own, and a discriminator may have a say. All of it is an objective, a
parameterization and a transform of ``visualize``, which does the rest.

References
----------
Patashnik et al., "StyleCLIP", ICCV 2021 (a CLIP similarity climbed in a generator's latent space);
Crowson et al., "VQGAN-CLIP", ECCV 2022 (cutouts in a batch, several prompts, weights).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from lens import zoo
from lens.errors import BadInput
from lens.featurevis import objectives
from lens.featurevis.guided import prompts
from lens.featurevis.guided.prompts import Prompts
from lens.featurevis.guided.source import as_source, best_draws
from lens.featurevis.objectives.formula import Objective
from lens.featurevis.parameterization import Parameterization
from lens.featurevis.render import visualize
from lens.featurevis.transforms import Cutouts, Transform, colour, compose, noise
from lens.featurevis.visualization import Visualization
from lens.model import Model


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
    transforms: Transform | None = None,
    progress: bool = True,
    **options: Any,
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
        Random cutouts of each image at every step.
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
    transforms
        What an image has to withstand, in place of the cutouts.
    progress
        Whether to show a progress bar.
    **options
        Further ones of ``visualize``: lr, batch_size, precision, snapshots, on_step.

    Returns
    -------
    Visualization
        Images; ``values`` are their scores as they stand (weights add up to 1), ``start_values``
        those of the draws that the run began with. ``rerun(made, modules=[generator])`` makes them
        again; a judge has to be among the modules as well.

    Raises
    ------
    BadInput
        Where the model has no joint space, there is no text, or the generator makes no images.
    """
    if "size" in options or "parameterization" in options:
        raise BadInput(
            "guide shows images in the model's own size, and they come from its generator: "
            "leave out size and parameterization."
        )
    counts = (("copies", copies, 1), ("candidates", candidates, 1), ("seed", seed, 0))
    for name, count, least in counts:
        _whole(name, count, least)
    source = as_source(generator, truncation)
    aim = objective(model, prompts.weights(text, avoid))
    if discriminator:
        opinion = objectives.score(judge or zoo.discriminator(), logit=True)
        aim = aim + float(discriminator) * opinion
    shown = compose(Cutouts(cutouts), colour(0.1, 0.1), noise(0.02))
    if candidates > 1:
        size = (int(model.image_size[0]), int(model.image_size[1]))
        source = best_draws(
            model, aim, source, size, seed=seed, copies=copies, candidates=candidates
        )
    return visualize(
        aim,
        steps=steps,
        copies=copies,
        seed=seed,
        parameterization=source,
        transforms=shown if transforms is None else transforms,
        progress=progress,
        **options,
    )


def objective(model: Model, weights: dict[str, float]) -> Objective:
    """The weighted sum of an image's similarities to texts."""
    first, *others = [(objectives.similarity(model, text), w) for text, w in weights.items()]
    if not others and first[1] == 1:
        return first[0]
    whole = first[1] * first[0]
    for term, weight in others:
        whole = whole + weight * term
    return whole


def _whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise BadInput(f"{name} is a whole number, at least {least}, not {value!r}.")
