"""Adversarial examples for training: projected gradient ascent in an L2 ball.

Madry et al. 2018, "Towards deep learning models resistant to adversarial attacks", section 2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def pgd_l2(
    loss: Callable[[Tensor], Tensor],
    pixels: Float[Tensor, "batch 3 h w"],
    *,
    radius: float,
    steps: int,
    generator: torch.Generator,
) -> Float[Tensor, "batch 3 h w"]:
    """Pictures within `radius` (L2, pixels in [0, 1]) of `pixels` on which `loss` is higher.

    Training on them is what makes a model's gradients look like things (Engstrom et al. 2019,
    "Adversarial robustness as a prior for learned representations").
    """
    step = 2.5 * radius / max(steps, 1) if steps > 1 else radius
    start = torch.randn(pixels.shape, generator=generator)
    size = radius * torch.rand(len(pixels), generator=generator)[:, None, None, None]
    delta = start / _norm(start) * size
    for _ in range(steps):
        delta = delta.detach().requires_grad_(True)
        (grad,) = torch.autograd.grad(loss((pixels + delta).clamp(0, 1)), delta)
        delta = delta.detach() + step * grad / _norm(grad)
        delta = delta * (radius / _norm(delta)).clamp(max=1)
    return (pixels + delta.detach()).clamp(0, 1)


def _norm(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1).clamp(min=1e-12)[:, None, None, None]
