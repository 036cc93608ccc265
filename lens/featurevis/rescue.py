"""Gradient for silent units: past an activation function that lets none of it through.

Where an activation function is flat or falls wherever an image's gradient arrives, climbing leads
nowhere, or away: a ReLU below zero has no slope, and left of its dip a GELU falls towards zero from
below, so that its gradient drives a silent neuron further into silence. For the first steps, the
gradient of such an image passes as if the function were the identity.

References
----------
Olah, Mordvintsev, Schubert, "Feature Visualization", Distill 2017: lucid redirects the gradient of
ReLUs for 16 steps. Here it is done for any activation function that is a module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lens.sites import Site

#: Steps with a rescue; lucid's number.
STEPS = 16
# An image is silent where less than this share of its gradient meets a rising slope.
_LIVE = 0.05
_NAMES = ("relu", "gelu", "silu", "swish", "mish", "elu")


@contextmanager
def rescued(sites: Sequence[Site]) -> Iterator[None]:
    """Let gradient through the activation functions that stand beside the modules of ``sites``."""
    functions = {
        module: None
        for site in sites
        for module in _parent(site).modules()
        if is_activation(module)
    }
    images_axis = 1 if any(site.layout == "TBD" for site in sites) else 0
    with ExitStack() as attached:
        for module in functions:
            for handle in _attach(module, images_axis):
                attached.callback(handle.remove)
        yield


def is_activation(module: nn.Module) -> bool:
    """Whether a module is an activation function that works number by number."""
    name = type(module).__name__.lower()
    plain = not any(True for _ in module.parameters()) and not any(True for _ in module.children())
    return plain and any(part in name for part in _NAMES)


def _parent(site: Site) -> nn.Module:
    return site.model.module.get_submodule(site.path.rpartition(".")[0])


def _attach(module: nn.Module, axis: int) -> list[Any]:
    inputs: list[Tensor] = []

    def before(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if len(args) != 1 or not isinstance(args[0], Tensor) or not args[0].requires_grad:
            return None
        inputs.append(args[0])
        # A ReLU in place would overwrite what is asked for its slope later on.
        return (args[0].clone(),) if getattr(module, "inplace", False) else None

    def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Tensor | None:
        return _Rescue.apply(inputs.pop(), output, module.forward, axis) if inputs else None

    return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]


class _Rescue(torch.autograd.Function):
    """The identity; on the way back, a silent image's gradient goes to the function's input."""

    @staticmethod
    def forward(
        ctx: Any, given: Tensor, output: Tensor, function: Callable[[Tensor], Tensor], axis: int
    ) -> Tensor:
        ctx.save_for_backward(given)
        ctx.function, ctx.axis = function, axis
        return output.view_as(output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (gradient,) = gradients
        (given,) = ctx.saved_tensors
        with torch.enable_grad():
            here = given.detach().float().requires_grad_()
            (slope,) = torch.autograd.grad(ctx.function(here.clone()).sum(), here)
        size = gradient.abs().float()
        others = [axis for axis in range(gradient.dim()) if axis != ctx.axis]
        live = (slope.clamp(min=0) * size).sum(others, keepdim=True)
        silent = (live <= _LIVE * size.sum(others, keepdim=True)).to(gradient.dtype)
        return gradient * silent, gradient * (1 - silent), None, None
