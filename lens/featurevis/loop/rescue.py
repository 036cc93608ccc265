"""Gradient for silent units: past an activation function that lets none of it through.

Where all that an image's gradient arrives at is at or below zero, climbing leads nowhere, or away:
a ReLU has no slope there, and left of its dip a GELU falls as its input grows, so that the gradient
drives a silent neuron further into silence. For the first steps, the gradient of such an image
passes as if the function were the identity.

References
----------
Olah, Mordvintsev, Schubert, "Feature Visualization", Distill 2017: lucid redirects the gradient of
ReLUs for 16 steps. Here it is done for any activation function that is a module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lens.sites import Site

#: Steps with a rescue; lucid's number.
STEPS = 16
# An image is silent where no more than this share of its gradient arrives at values above zero.
_LIVE = 0.1
_NAMES = ("relu", "gelu", "silu", "swish", "mish", "elu")


@contextmanager
def rescued(sites_of: Sequence[Sequence[Site]]) -> Iterator[None]:
    """Let gradient through the activation functions that what is looked at comes out of.

    ``sites_of`` has the sites that each row's objective looks at: what others look at is another
    row's affair.
    """
    sites = list(dict.fromkeys(site for own in sites_of for site in own))
    whose: dict[nn.Module, set[Site]] = {}
    for site in sites:
        for module in functions_before(site):
            whose.setdefault(module, set()).add(site)
    images_axis = 1 if any(site.layout == "TBD" for site in sites) else 0
    with ExitStack() as attached:
        for module, after in whose.items():
            concerned = [not after.isdisjoint(own) for own in sites_of]
            for handle in _attach(module, images_axis, concerned):
                attached.callback(handle.remove)
        yield


def functions_before(site: Site) -> list[nn.Module]:
    """The activation functions whose output is what is seen at a site."""
    relu = site.pre_activation
    if relu.path != site.path:
        return [relu.module]
    if site.at == "output":
        return [site.module] if is_activation(site.module) else []
    if site.at == "input" and site.path and not is_activation(site.module):
        beside = site.model.module.get_submodule(site.path.rpartition(".")[0])
        return [module for module in beside.children() if is_activation(module)]
    return []


def is_activation(module: nn.Module) -> bool:
    """Whether a module is an activation function that works number by number."""
    name = type(module).__name__.lower()
    plain = not any(True for _ in module.parameters()) and not any(True for _ in module.children())
    return plain and any(part in name for part in _NAMES)


def _attach(module: nn.Module, axis: int, concerned: Sequence[bool]) -> list[Any]:
    inputs: list[Tensor] = []

    def before(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if len(args) != 1 or not isinstance(args[0], Tensor) or not args[0].requires_grad:
            return None
        inputs.append(args[0])
        # A ReLU in place would overwrite what is asked for its slope later on.
        return (args[0].clone(),) if getattr(module, "inplace", False) else None

    def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Tensor | None:
        return _Rescue.apply(inputs.pop(), output, axis, concerned) if inputs else None

    return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]


class _Rescue(torch.autograd.Function):
    """The identity; on the way back, a silent image's gradient goes to the function's input."""

    @staticmethod
    def forward(
        ctx: Any, given: Tensor, output: Tensor, axis: int, concerned: Sequence[bool]
    ) -> Tensor:
        ctx.save_for_backward(given, output)
        ctx.axis, ctx.concerned = axis, concerned
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        (gradient,) = gradients
        given, output = ctx.saved_tensors
        others = [axis for axis in range(gradient.dim()) if axis != ctx.axis]
        size = gradient.abs().float()
        live = (size * (output > 0)).sum(others, keepdim=True)
        whole = size.sum(others, keepdim=True)
        silent = (whole > 0) & (live <= _LIVE * whole)
        if silent.numel() == len(ctx.concerned):  # a module may see each image in several pieces
            concerned = torch.tensor(ctx.concerned, device=gradient.device)
            silent &= concerned.view_as(silent)
        if not silent.any():
            return None, gradient, None, None
        # Laid out as the input is: of another layout, convolutions would round differently, and an
        # image would feel that its neighbour is silent.
        past, through = torch.empty_like(given), torch.empty_like(given)
        return past.copy_(gradient * silent), through.copy_(gradient * ~silent), None, None
