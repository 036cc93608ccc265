"""Random numbers of which every image has its own, whatever else is in its batch.

They are drawn on the CPU, so that a seed means the same on every device. Where there are more rows
than generators, every image has several views, which follow each other and share its generator.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor


def normal(
    shape: Sequence[int], generators: Sequence[Generator], rows: int | None = None
) -> Float[Tensor, "rows ..."]:
    """Standard normal numbers of ``shape`` for every row."""
    return torch.cat(
        [torch.randn(_each(generators, rows), *shape, generator=own) for own in generators]
    )


def uniform(
    shape: Sequence[int], generators: Sequence[Generator], rows: int | None = None
) -> Float[Tensor, "rows ..."]:
    """Numbers between 0 and 1, of ``shape`` for every row."""
    return torch.cat(
        [torch.rand(_each(generators, rows), *shape, generator=own) for own in generators]
    )


def _each(generators: Sequence[Generator], rows: int | None) -> int:
    return 1 if rows is None else rows // len(generators)
