"""Any other torch module - timm, torchvision, one's own - by its own dotted paths.

Residual networks, transformers and staged networks get the friendly names too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lens.errors import BadInput
from lens.families.blocks import block_places, image_aliases, image_places
from lens.families.family import Family, Place, Tower

__all__ = ["describe", "describe_named"]

# What torchvision and most of timm normalise with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# Where diffusion transformers and decoders keep their blocks.
CROSS_LISTS = ("transformer_blocks", "blocks", "decoder.block", "decoder.layers", "layers")


def describe(module: nn.Module, example: Tensor | None = None) -> Family:
    """Describe a module that takes one batch: pictures, unless `example` says otherwise."""
    recipe = dict(getattr(module, "pretrained_cfg", None) or {})  # timm's own record
    channels, height, width = _input_size(module, recipe, example)
    places = list(image_places(module, ""))
    aliases = tuple(image_aliases(places))
    places.append(Place("image.output", "", "output"))

    def zeros(batch: int) -> Tensor:
        if example is not None:
            return torch.zeros(batch, *example.shape[1:], dtype=example.dtype)
        first = _first_layer(module)
        if isinstance(first, nn.Linear):
            return torch.zeros(batch, first.in_features)
        return torch.zeros(batch, channels, height, width)

    return Family(
        towers=(
            Tower(
                name="image",
                run=lambda module, batch: module(batch),
                example=zeros,
                places=tuple(places),
                aliases=aliases,
            ),
        ),
        image_size=(height, width),
        mean=tuple(recipe.get("mean") or _of_channels(IMAGENET_MEAN, channels)),
        std=tuple(recipe.get("std") or _of_channels(IMAGENET_STD, channels)),
        prefix_tokens=_prefix_tokens(module),
    )


def describe_named(
    module: nn.Module,
    example: Mapping[str, Tensor],
    run: Callable[[nn.Module, Any], Any] = lambda module, batch: module(**batch),
) -> Family:
    """Describe a module that takes several tensors by name, as one "cross" tower.

    Parameters
    ----------
    module : nn.Module
        Its blocks are named where they lie in a list that is known.
    example : mapping of str to Tensor
        A batch of at least one input: what the module's `forward` takes.
    run : callable, optional
        Runs the module on such a batch.

    Raises
    ------
    BadInput
        If the example is not made of tensors that have a batch axis.
    """
    for name, tensor in example.items():
        if not isinstance(tensor, Tensor) or tensor.ndim == 0 or len(tensor) == 0:
            raise BadInput(f"The example's {name!r} is no tensor with a batch axis.")
    places = [*block_places(module, "", "cross", CROSS_LISTS), Place("cross.output", "", "output")]

    def repeated(batch: int) -> dict[str, Tensor]:
        return {k: t[:1].expand(batch, *t.shape[1:]).clone() for k, t in example.items()}

    tower = Tower(name="cross", run=run, example=repeated, places=tuple(places))
    none: tuple[float, ...] = ()
    return Family(towers=(tower,), image_size=(0, 0), mean=none, std=none)


def _input_size(
    module: Any, recipe: dict[str, Any], example: Tensor | None
) -> tuple[int, int, int]:
    if example is not None and example.ndim == 4:
        return int(example.shape[1]), int(example.shape[2]), int(example.shape[3])
    first = _first_layer(module)
    channels = first.in_channels if isinstance(first, nn.Conv2d) else 3
    patch_embed = getattr(module, "patch_embed", None)
    size = (
        getattr(patch_embed, "img_size", None)
        or getattr(module, "image_size", None)
        or tuple(recipe.get("input_size") or ())[1:]
        or 224
    )
    height, width = (size, size) if isinstance(size, int) else size
    return int(channels), int(height), int(width)


def _first_layer(module: nn.Module) -> nn.Module | None:
    """Return the first layer with weights: it tells what the module takes."""
    return next((m for m in module.modules() if isinstance(m, (nn.Conv2d, nn.Linear))), None)


def _prefix_tokens(module: Any) -> int:
    if isinstance(count := getattr(module, "num_prefix_tokens", None), int):
        return count
    return 1 if getattr(module, "class_token", None) is not None else 0


def _of_channels(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    return values if channels == len(values) else (sum(values) / len(values),) * channels
