"""Colour decorrelation: independent channels to the colours of photographs, and back.

References
----------
Olah, Mordvintsev, Schubert, "Feature Visualization", Distill 2017 (preconditioning).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# A square root of the colour covariance of ImageNet's pixels (lucid's numbers): independent
# channels times this matrix have the colour statistics of photographs.
_COLOR_SQRT = (
    (0.26, 0.09, 0.02),
    (0.27, 0.00, -0.05),
    (0.27, -0.09, 0.03),
)


def correlate(plane: Float[Tensor, "images 3 h w"]) -> Float[Tensor, "images 3 h w"]:
    """Independent channels to correlated ones: M times every pixel."""
    return torch.einsum("oc,nchw->nohw", matrix(plane), plane)


def decorrelate(plane: Float[Tensor, "images 3 h w"]) -> Float[Tensor, "images 3 h w"]:
    """The inverse of ``correlate``."""
    inverse = torch.linalg.inv(matrix(plane))
    return torch.einsum("oc,nchw->nohw", inverse, plane)


def matrix(like: Tensor) -> Float[Tensor, "3 3"]:
    """M, the square root over its largest column norm, of the dtype and device of ``like``."""
    root = torch.tensor(_COLOR_SQRT, dtype=like.dtype, device=like.device)
    return root / root.norm(dim=0).max()
