"""One batch through a model: in halves where memory runs out, refused where it can't be trusted."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from lens.capture.hooks import Taps
from lens.errors import BadInput, LensError, TooLarge
from lens.families.trace import shapes
from lens.sites import Site

__all__ = ["Forward", "check_numbers", "length", "split"]

HALVES = (torch.float16, torch.bfloat16)


class Forward:
    """Runs batches through the taps of one tower.

    Where the accelerator's memory runs out the batch is halved, and batches after it are no larger.
    """

    def __init__(self, taps: Taps) -> None:
        self._taps = taps
        self._largest: int | None = None

    def __call__(self, batch: Any) -> Iterator[Any]:
        """Yield each part of a batch when the taps hold what it gave.

        Raises
        ------
        TooLarge
            If not even one input fits.
        BadInput
            If the model does not run on inputs of this shape.
        """
        waiting = split(batch, self._largest or length(batch))
        while waiting:
            part = waiting.pop(0)
            try:
                self._run(part)
            except torch.cuda.OutOfMemoryError as error:
                half = length(part) // 2
                if half == 0:
                    name = self._taps.sites[0].model.name
                    raise TooLarge(f"One input of {name} does not fit into memory.") from error
                warnings.warn(
                    f"Memory ran out on a batch of {length(part)}; going on with {half} at once.",
                    stacklevel=3,
                )
                self._largest = half
                waiting = [less for more in (part, *waiting) for less in split(more, half)]
                continue
            yield part

    def _run(self, batch: Any) -> None:
        site = self._taps.sites[0]
        try:
            self._taps.forward(batch)
        except torch.cuda.OutOfMemoryError:
            raise
        except (RuntimeError, AssertionError, ValueError, TypeError, KeyError) as error:
            takes, given = site.model.input_shape(site.tower), shapes(batch, from_axis=1)
            if isinstance(error, LensError) or given == takes:
                raise
            raise BadInput(
                f"{site.model.name} does not run on inputs of the shape {given}; it takes {takes}."
            ) from error


def check_numbers(site: Site, tensor: Tensor) -> None:
    """Refuse what a half-precision model has computed beyond what half precision holds.

    Raises
    ------
    BadInput
        If something is NaN or infinite.
    """
    if tensor.dtype in HALVES and not bool(tensor.isfinite().all()):
        per_input = (~tensor.isfinite()).movedim(site.batch_axis, 0).flatten(1).any(1)
        kind = str(tensor.dtype).removeprefix("torch.")
        other = "float32" if tensor.dtype == torch.bfloat16 else "bfloat16 or float32"
        raise BadInput(
            f"{site.name} of {site.model.name} is NaN or infinite in {kind} for "
            f"{int(per_input.sum())} of {len(per_input)} inputs; run the model in {other}."
        )


def length(batch: Any) -> int:
    """Tell how many inputs a batch has."""
    return len(next(iter(batch.values()))) if isinstance(batch, Mapping) else len(batch)


def split(batch: Any, size: int) -> list[Any]:
    """Split a batch into parts of at most so many inputs."""
    if isinstance(batch, Mapping):
        parts = {name: tensor.split(size) for name, tensor in batch.items()}
        count = len(next(iter(parts.values())))
        return [{name: tensors[i] for name, tensors in parts.items()} for i in range(count)]
    return list(batch.split(size))
