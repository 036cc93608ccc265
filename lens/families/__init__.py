"""One file per family of models that can be opened; `describe` finds the right one."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from lens.families import any_module, diffusion, hugging_face, open_clip
from lens.families.family import Family, Place, Tower
from lens.sites import Batch

__all__ = ["Family", "Place", "Tower", "describe"]


def describe(module: nn.Module, example: Batch | None = None) -> Family:
    """Tell the towers, named places and picture format of any module.

    Parameters
    ----------
    module : nn.Module
        A model of open_clip, transformers or diffusers, or anything else.
    example : Tensor or mapping of str to Tensor, optional
        A batch that the module takes, where its first layers do not tell; a mapping holds what it
        takes by name.
    """
    if diffusion.is_member(module):
        return diffusion.describe(module, example)
    if isinstance(example, Mapping):
        return any_module.describe_named(module, example)
    if open_clip.is_member(module):
        return open_clip.describe(module)
    if hugging_face.is_member(module):
        return hugging_face.describe(module, example)
    return any_module.describe(module, example)
