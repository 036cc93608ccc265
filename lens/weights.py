"""What can be told from a module's weights alone: whether they are sound, and which they are."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

from lens.errors import BadInput, BadWeights

__all__ = ["check_weights", "fingerprint"]


def check_weights(module: nn.Module, name: str) -> None:
    """Refuse NaN or infinity among the weights.

    Raises
    ------
    BadWeights
        Naming the first parameter or buffer that has one.
    """
    for path, value in module.state_dict().items():
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.is_meta:
            continue
        # A sum is many times faster than isfinite().all(), and NaN and infinity survive it.
        if torch.isfinite(value.sum(dtype=torch.float32)) or torch.isfinite(value).all():
            continue
        bad = int((~torch.isfinite(value)).sum())
        if "mask" in path and not torch.isnan(value).any():
            continue  # minus infinity is what an attention mask is made of
        raise BadWeights(
            f"{bad} of the {value.numel()} numbers in {path!r} of {name} are NaN or infinite."
        )


def fingerprint(module: nn.Module) -> str:
    """Return sixteen hexadecimal digits that change with any weight."""
    digest = hashlib.sha256()
    for path, value in sorted(module.state_dict().items()):
        if isinstance(value, Tensor):
            if value.is_meta:
                raise BadInput(f"{path!r} is not in memory, so the weights cannot be told apart.")
            digest.update(f"{path} {value.dtype} {tuple(value.shape)}".encode())
            raw = value.detach().cpu().contiguous().flatten().view(torch.uint8)
            digest.update(raw.numpy().data)
    return digest.hexdigest()[:16]
