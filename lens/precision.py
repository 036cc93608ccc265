"""Which arithmetic a model computes in: bfloat16 where the machine is faster at it."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from lens.errors import BadInput

Precision = Literal["auto", "fp32", "bf16"]


def in_bf16(precision: Precision, device: torch.device | str) -> bool:
    """Whether a model on `device` is to compute in bfloat16.

    Raises
    ------
    BadInput
        The precision is none of those that there are.
    """
    if precision not in get_args(Precision):
        raise BadInput(f"precision is 'auto', 'fp32' or 'bf16', not {precision!r}.")
    return takes_bf16(device) if precision == "auto" else precision == "bf16"


def takes_bf16(device: torch.device | str) -> bool:
    """Whether this machine computes in bfloat16 faster than in float32."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return kind == "cpu" and any(
        getattr(torch.cpu, name, lambda: False)()
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )


def autocast(device: torch.device | str, bf16: bool) -> torch.autocast:
    """A context in which the model computes in bfloat16, or in its own precision."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16)
