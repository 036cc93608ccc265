"""Pixels are computed in float32 (or float64 where z is), also inside of an autocast region."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor


def in_full_precision(pixels: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Make a ``pixels`` method get z in full precision, with autocast switched off meanwhile."""

    @wraps(pixels)
    def wrapped(self: Any, z: Tensor, size: tuple[int, int]) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            return pixels(self, z if z.dtype == torch.float64 else z.float(), size)

    return wrapped
