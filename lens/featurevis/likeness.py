"""How like two images are: correlation of their pixels, and structural similarity.

References
----------
Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
Similarity", IEEE TIP 2004 (equation 13; Gaussian window of 11 pixels and 1.5 standard deviation).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def pixel_correlation(
    a: Float[Tensor, "images 3 h w"], b: Float[Tensor, "images 3 h w"]
) -> Float[Tensor, " images"]:
    """Pearson's r over all pixels and channels of each pair; 0 where an image is all one value."""
    a, b = (x.flatten(1).double() for x in (a, b))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    size = a.norm(dim=1) * b.norm(dim=1)
    return torch.where(size > 0, (a * b).sum(1) / size.clamp(min=1e-30), 0.0).float()


def ssim(
    a: Float[Tensor, "images 3 h w"], b: Float[Tensor, "images 3 h w"]
) -> Float[Tensor, " images"]:
    """Structural similarity of images in [0, 1], the mean over places and channels; 1 if equal."""
    a, b = a.double(), b.double()
    mean_a, mean_b = _windowed(a), _windowed(b)
    var_a, var_b = _windowed(a * a) - mean_a**2, _windowed(b * b) - mean_b**2
    both = _windowed(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    shape = (2 * both + _C2) / (var_a + var_b + _C2)
    return (light * shape).mean((1, 2, 3)).float()


def _windowed(x: Float[Tensor, "images 3 h w"]) -> Float[Tensor, "images 3 h2 w2"]:
    """Means under a Gaussian window, wherever the whole window fits."""
    length = min(_WINDOW, *x.shape[2:])
    offset = torch.arange(length, dtype=x.dtype, device=x.device) - (length - 1) / 2
    line = torch.exp(-(offset**2) / (2 * _SIGMA**2))
    line = (line / line.sum()).expand(x.shape[1], 1, 1, length)
    return F.conv2d(F.conv2d(x, line, groups=3), line.transpose(2, 3), groups=3)
