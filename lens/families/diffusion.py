"""diffusers: transformers that denoise latents while they read a text and a time.

A "cross" tower: its inputs are tensors by name, as the model's own `forward` calls them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lens.errors import BadInput
from lens.families.any_module import describe_named
from lens.families.family import Family
from lens.families.processors import descends_from
from lens.sites import Batch

__all__ = ["describe", "is_member"]


def is_member(module: nn.Module) -> bool:
    """Tell whether a module is one of diffusers' models."""
    return descends_from(module, "diffusers", "ModelMixin")


def describe(module: nn.Module, example: Batch | None = None) -> Family:
    """Describe a diffusion model.

    The tokens of `cross.blocks.N` are places of a video in time and space, so they make no map.

    Parameters
    ----------
    module : nn.Module
        One of diffusers' models.
    example : mapping of str to Tensor, optional
        What its `forward` takes; not needed for the classes in `EXAMPLES`.

    Raises
    ------
    BadInput
        If it is not known what the model takes.
    """
    kind = type(module).__name__
    if example is None and kind in EXAMPLES:
        example = EXAMPLES[kind](module.config)
    if not isinstance(example, Mapping):
        raise BadInput(
            f"What a {kind} takes is not known: lens.wrap(..., example=...) says so with a dict of "
            f"the tensors that its forward takes."
        )
    return describe_named(module, example, denoise)


def denoise(module: nn.Module, batch: Mapping[str, Tensor]) -> Any:
    """Run one step: what the model makes of the latents."""
    return module(**batch, return_dict=False)[0]


def _wan(config: Any) -> dict[str, Tensor]:
    frames, rows, columns = config.patch_size
    return {
        "hidden_states": torch.zeros(1, config.in_channels, frames, 4 * rows, 4 * columns),
        "timestep": torch.zeros(1, dtype=torch.long),
        "encoder_hidden_states": torch.zeros(1, 16, config.text_dim),
    }


def _cogvideox(config: Any) -> dict[str, Tensor]:
    frames = (config.sample_frames - 1) // config.temporal_compression_ratio + 1
    frames += -frames % (config.patch_size_t or 1)
    size = config.sample_height, config.sample_width
    return {
        "hidden_states": torch.zeros(1, frames, config.in_channels, *size),
        "encoder_hidden_states": torch.zeros(1, config.max_text_seq_length, config.text_embed_dim),
        "timestep": torch.zeros(1, dtype=torch.long),
    }


#: What the text-to-video transformers take that need no more than latents, a text and a time.
EXAMPLES: dict[str, Callable[[Any], dict[str, Tensor]]] = {
    "WanTransformer3DModel": _wan,
    "CogVideoXTransformer3DModel": _cogvideox,
}
