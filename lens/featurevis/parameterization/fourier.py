"""Fourier coefficients with a photograph's balance of scales: lucid's parameterization.

References
----------
Olah, Mordvintsev, Schubert, "Feature Visualization", Distill 2017 (the Fourier basis and the
colour decorrelation of lucid).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from lens.featurevis.draws import normal
from lens.featurevis.parameterization.colour import correlate
from lens.featurevis.parameterization.exact import in_full_precision


@dataclass(frozen=True)
class Fourier:
    """lucid's parameterization, x = sigmoid(M irfft2(S * z) / 4), z complex Gaussian noise.

    S(f) = sqrt(w h) / max(f, 1 / max(w, h)) ** decay gives every spatial scale the same standing
    in front of Adam (photographs have a 1/f spectrum); M makes the three channels decorrelated
    colours. Both only change which direction is steepest: every image can still be reached.

    Parameters
    ----------
    decay
        Power of the frequency in S.
    spread
        Standard deviation of the start, for the real and the imaginary part. lucid's is 0.01, an
        almost even grey: from there a random network climbs more slowly and a trained one as
        fast (``benchmarks/featurevis.py`` prints both).
    decorrelate
        Whether to use M; without it the channels are plain red, green, blue.
    """

    decay: float = 1.0
    spread: float = 0.1
    decorrelate: bool = True

    lr: ClassVar[float] = 0.05
    averaging: ClassVar[float] = 0.0

    def start(
        self, size: tuple[int, int], generators: Sequence[Generator]
    ) -> Float[Tensor, "images 3 h half_w 2"]:
        """Half spectra (the other half follows, images being real); last axis: real, imaginary."""
        height, width = size
        return self.spread * normal((3, height, width // 2 + 1, 2), generators)

    @in_full_precision
    def pixels(
        self, z: Float[Tensor, "images 3 h half_w 2"], size: tuple[int, int]
    ) -> Float[Tensor, "images 3 h w"]:
        """Images in [0, 1]; always computed in float32."""
        scale = _spectrum_scale(size, self.decay).to(z.device)
        plane = torch.fft.irfft2(torch.view_as_complex(z) * scale, s=size) / 4
        return torch.sigmoid(correlate(plane) if self.decorrelate else plane)

    def optimizer(self, z: Tensor, lr: float) -> torch.optim.Optimizer:
        """Adam, as lucid has it."""
        return torch.optim.Adam([z], lr=lr)

    def recipe(self) -> dict[str, Any]:
        """JSON-able description."""
        return {"name": "fourier", **asdict(self)}


def _spectrum_scale(size: tuple[int, int], decay: float) -> Float[Tensor, "h half_w"]:
    height, width = size
    vertical = torch.fft.fftfreq(height)[:, None]
    frequency = torch.sqrt(vertical**2 + torch.fft.rfftfreq(width)[None, :] ** 2)
    return (height * width) ** 0.5 / frequency.clamp(min=1 / max(height, width)) ** decay
