"""Attention that a model writes out itself: two products with a softmax in between.

What transformers calls "eager" attention, and what torchvision's Swin does. The pattern is the
model's own softmax, and the heads its own second product: nothing has to be worked out. Keys are
turned over before the first product, so gradients are told at all parts but these.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["PRODUCTS", "SOFTMAXES", "ByHand"]

PRODUCTS = {torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__}
SOFTMAXES = {F.softmax, torch.softmax, torch.Tensor.softmax}


class ByHand:
    """Follows a model's calls, and tells when one of them completes attention."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew; holds on to no tensor."""
        self._scores: tuple[Tensor, Tensor, Tensor] | None = None  # q, k and their product
        self._shares: tuple[Tensor, Tensor, Tensor] | None = None  # q, k and its softmax

    def see(
        self, func: Any, args: tuple[Any, ...], output: Any
    ) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        """Tell q, k, v and the pattern when a call multiplied a pattern with values.

        Between softmax and product there may be dropout and a change of type, but no other product.
        """
        if func in SOFTMAXES:
            if self._scores is not None and output.shape == self._scores[2].shape:
                self._shares = *self._scores[:2], output
            self._scores = None
        elif func in PRODUCTS:
            one, other = args[:2]
            if not isinstance(other, Tensor) or one.ndim != 4 or other.ndim != 4:
                self.forget()
            elif self._shares is not None and one.shape == self._shares[2].shape:
                q, k, _ = self._shares
                self.forget()
                return q, k, other, one
            else:
                self.forget()
                if one.shape[:2] == other.shape[:2]:
                    self._scores = one, other.mT, output
        return None
