"""One file per family of models that can be opened; `describe` finds the right one."""

from __future__ import annotations

from torch import Tensor, nn

from lens.families import any_module, open_clip
from lens.families.family import Family, Place, Tower

__all__ = ["Family", "Place", "Tower", "describe"]


def describe(module: nn.Module, example: Tensor | None = None) -> Family:
    """Tell the towers, named places and picture format of any module.

    Parameters
    ----------
    module : nn.Module
        An open_clip model, or anything else.
    example : Tensor, optional
        A batch that the module takes, where its first layers do not tell.
    """
    if open_clip.is_member(module):
        return open_clip.describe(module)
    return any_module.describe(module, example)
