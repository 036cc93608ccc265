"""Where a model is: moved where that can be done, and one clear sentence where it cannot."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from lens.errors import BadInput

__all__ = ["chosen_device", "moved"]


def chosen_device(device: str | torch.device | None) -> torch.device:
    """Return the device that is asked for, or the GPU where there is one.

    Raises
    ------
    BadInput
        If torch knows no such device, or this machine has none.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise BadInput(f"device is 'cpu', 'cuda', 'cuda:1' or 'mps', not {device!r}.") from error
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(found.type, True):
        raise BadInput(f"torch finds no {found.type} device on this machine; device='cpu' works.")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise BadInput(f"This machine has {torch.cuda.device_count()} GPUs, no {device}.")
    return found


def moved(
    module: nn.Module,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> nn.Module:
    """Move a module, if it is to be moved, and convert its weights, if they are.

    Raises
    ------
    BadInput
        If there is no such device, or accelerate has spread the module over several.
    """
    if device is None and dtype is None:
        return module
    spread: Any = getattr(module, "hf_device_map", None) or getattr(module, "_hf_hook", None)
    if spread is not None:
        raise BadInput(
            f"{type(module).__name__} is spread over devices by accelerate, where it stays; leave "
            f"out device and dtype."
        )
    where = None if device is None else chosen_device(device)
    return module.to(device=where, dtype=dtype)
