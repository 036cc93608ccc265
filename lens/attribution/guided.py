"""Guided backpropagation's rule, applied to every ReLU that runs, however it is written.

captum replaces the backward pass of `nn.ReLU` modules. It misses functional ReLUs, and in-place
ones do not work with its hooks. A mode of torch sees them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["guided_relus"]

_RELUS = {
    torch.relu,
    torch.relu_,
    torch.Tensor.relu,
    torch.Tensor.relu_,
    torch.nn.functional.relu,
    torch.nn.functional.relu_,
}


class _Guided(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func in _RELUS and isinstance(output, Tensor):
            self.found.append(func.__name__)
            if output.requires_grad:
                # torch keeps a tensor's hook with the value that it had: what writes over the
                # tensor later on does not move it.
                output.register_hook(lambda gradient: gradient.clamp(min=0))
        return output


@contextmanager
def guided_relus() -> Iterator[list[str]]:
    """Let only positive gradients through the ReLUs that run inside; yields what was found."""
    with _Guided() as mode:
        yield mode.found
