"""Any other torch module - timm, torchvision, one's own - by its own dotted paths.

Residual networks, transformers and staged networks get the friendly names too.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lens.families.blocks import image_aliases, image_places
from lens.families.family import Family, Place, Tower

__all__ = ["describe"]

# What torchvision and most of timm normalise with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


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
