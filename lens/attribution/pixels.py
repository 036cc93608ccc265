"""Methods that score the input's own pixels and patches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lens.attribution.guided import guided_relus
from lens.attribution.question import Answer, Question, positive
from lens.errors import BadInput

__all__ = [
    "feature_ablation",
    "guided_backprop",
    "input_x_gradient",
    "integrated_gradients",
    "kernel_shap",
    "occlusion",
    "saliency",
    "smooth_grad",
]


def saliency(question: Question) -> Answer:
    """Steepness: the largest absolute gradient over the colour channels.

    Simonyan et al., "Deep inside convolutional networks", 2014.
    """
    from captum.attr import Saliency

    scores = Saliency(question.score).attribute(_free(question.input), abs=True)
    return Answer(scores[0].amax(0))


def input_x_gradient(question: Question) -> Answer:
    """Gradient times input, summed over the colour channels.

    Shrikumar et al., "Not just a black box", 2016.
    """
    from captum.attr import InputXGradient

    return Answer(InputXGradient(question.score).attribute(_free(question.input))[0].sum(0))


def integrated_gradients(question: Question, *, baseline: Any = None, steps: int = 64) -> Answer:
    """Gradients along the straight line from a baseline, times the way (Gauss-Legendre).

    Sundararajan et al., "Axiomatic attribution for deep networks", 2017.
    """
    from captum.attr import IntegratedGradients

    ground = question.baseline(baseline)
    scores = IntegratedGradients(question.score).attribute(
        _free(question.input),
        **question.path(ground, steps),
    )
    return Answer(scores[0].sum(0).detach(), baseline_score=question.value(ground), complete=True)


def smooth_grad(question: Question, *, samples: int = 32, noise: float = 0.15) -> Answer:
    """Mean gradient over noisy copies of the input; its largest absolute value over channels.

    `noise` is the standard deviation as a share of the input's range. Smilkov et al.,
    "SmoothGrad", 2017.
    """
    from captum.attr import NoiseTunnel, Saliency

    spread = float(question.input.max() - question.input.min())
    if not (math.isfinite(noise) and noise > 0):
        raise BadInput(f"noise is a share of the input's range, above 0, not {noise!r}.")
    with drawing(question):
        scores = NoiseTunnel(Saliency(question.score)).attribute(
            _free(question.input),
            nt_type="smoothgrad",
            nt_samples=positive(samples, "samples"),
            nt_samples_batch_size=min(question.batch_size, samples),
            # A picture of one colour has no range; the noise is then that of the normalisation.
            stdevs=noise * (spread or 1.0),
            abs=False,  # the mean is taken of signed gradients
        )
    return Answer(scores[0].abs().amax(0))


def guided_backprop(question: Question) -> Answer:
    """Gradient that passes each ReLU only where it is positive, summed over the colour channels.

    Sharp, and close to an edge detector: look at `.sanity()`. Every ReLU is found, functional and
    in-place ones too; models without any are refused. Springenberg et al., "Striving for
    simplicity", 2015.
    """
    pixels = _free(question.input)
    with guided_relus() as found:
        (scores,) = torch.autograd.grad(question.score(pixels).sum(), pixels)
    if not found:
        raise BadInput(
            f"{question.model.name} has no ReLU on the way, so guided_backprop would be the plain "
            f"gradient; use 'saliency'."
        )
    return Answer(scores[0].sum(0))


def occlusion(
    question: Question,
    *,
    baseline: Any = None,
    window: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
) -> Answer:
    """How much the score falls when a window is covered, averaged over the windows on a pixel.

    The window is an eighth of the picture by default, and steps by half of itself. Zeiler and
    Fergus, "Visualizing and understanding convolutional networks", 2014.
    """
    from captum.attr import Occlusion

    channels, height, width = question.input.shape[1:]
    size = _pair(window, "window") if window else (max(height // 8, 1), max(width // 8, 1))
    step = _pair(stride, "stride") if stride else (max(size[0] // 2, 1), max(size[1] // 2, 1))
    if size[0] > height or size[1] > width:
        raise BadInput(f"A window of {size} does not fit into a picture of {(height, width)}.")
    if step[0] > size[0] or step[1] > size[1]:
        raise BadInput(f"A stride of {step} leaves gaps between windows of {size}.")
    ground = question.baseline(baseline)
    scores = Occlusion(question.score).attribute(
        question.input,
        sliding_window_shapes=(channels, *size),
        strides=(channels, *step),
        baselines=ground,
        perturbations_per_eval=question.batch_size,
    )
    # A window covers all channels at once, so each of them carries the same number.
    return Answer(scores[0, 0], baseline_score=question.value(ground))


def feature_ablation(
    question: Question, *, baseline: Any = None, patches: int | tuple[int, int] = 8
) -> Answer:
    """How much the score falls when one patch of a grid is replaced by the baseline."""
    from captum.attr import FeatureAblation

    ground, mask, grid = _patches(question, baseline, patches)
    scores = FeatureAblation(question.score).attribute(
        question.input,
        baselines=ground,
        feature_mask=mask,
        perturbations_per_eval=question.batch_size,
    )
    return Answer(by_patch(scores, mask, grid), baseline_score=question.value(ground))


def kernel_shap(
    question: Question,
    *,
    baseline: Any = None,
    patches: int | tuple[int, int] = 6,
    samples: int = 512,
) -> Answer:
    """Shapley values of the patches of a grid, by weighted regression on random subsets.

    Noisy where `samples` is not many times the number of patches. Lundberg and Lee, "A unified
    approach to interpreting model predictions", 2017.
    """
    from captum.attr import KernelShap

    ground, mask, grid = _patches(question, baseline, patches)
    if samples <= grid[0] * grid[1]:
        raise BadInput(
            f"{grid[0] * grid[1]} patches need more than {samples} samples to be told apart; "
            f"take fewer patches or more samples."
        )
    with drawing(question):
        scores = KernelShap(question.score).attribute(
            question.input,
            baselines=ground,
            feature_mask=mask,
            n_samples=positive(samples, "samples"),
            perturbations_per_eval=question.batch_size,
        )
    return Answer(
        by_patch(scores, mask, grid), baseline_score=question.value(ground), complete=True
    )


@contextmanager
def drawing(question: Question) -> Iterator[None]:
    """Seed torch's generators for a method that draws, and put them back."""
    device = question.input.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(question.seed)
        yield


def by_patch(
    scores: Float[Tensor, "1 channels height width"],
    mask: Int[Tensor, "1 1 height width"],
    grid: tuple[int, int],
) -> Float[Tensor, "rows columns"]:
    """Read one number a patch out of a map where all pixels of a patch carry it."""
    flat = scores.new_zeros(grid[0] * grid[1])
    flat[mask.flatten()] = scores[0, 0].flatten()
    return flat.reshape(grid)


def _patches(
    question: Question, baseline: Any, patches: int | tuple[int, int]
) -> tuple[Tensor, Int[Tensor, "1 1 height width"], tuple[int, int]]:
    height, width = question.input.shape[-2:]
    rows, columns = _pair(patches, "patches")
    if rows > height or columns > width:
        raise BadInput(f"{rows} x {columns} patches are more than {height} x {width} pixels.")
    row = torch.arange(height, device=question.input.device) * rows // height
    column = torch.arange(width, device=question.input.device) * columns // width
    mask = (row[:, None] * columns + column)[None, None]
    return question.baseline(baseline), mask, (rows, columns)


def _pair(value: Any, what: str) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2:
        raise BadInput(f"{what} is a whole number or (rows, columns), not {value!r}.")
    return positive(pair[0], what), positive(pair[1], what)


def _free(pixels: Tensor) -> Tensor:
    """The same pixels as a leaf of their own, which captum may mark as it likes."""
    return pixels.detach().clone().requires_grad_()
