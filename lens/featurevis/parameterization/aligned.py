"""Images that lie on top of each other, because they share a base.

References
----------
Mordvintsev, Pezzotti, Schubert, Olah, "Differentiable Image Parameterizations", Distill 2018
(aligned feature visualization interpolation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lens.featurevis.parameterization.exact import in_full_precision
from lens.featurevis.parameterization.fourier import Fourier


@dataclass(frozen=True)
class Aligned:
    """Fourier images that share a base: own spectrum + strength x low-passed mean of all spectra.

    Images of one batch feel each other through the base, on purpose; each can still reach any
    image by itself.

    Parameters
    ----------
    own
        How spectra become images.
    strength
        Of the shared base; 0 leaves every image to itself.
    cycles
        Waves across the image at which the base has fallen to 1/e.
    """

    own: Fourier = field(default_factory=Fourier)
    strength: float = 2.0
    cycles: float = 12.0

    @property
    def lr(self) -> float:
        """That of the spectra."""
        return self.own.lr

    @property
    def averaging(self) -> float:
        """That of the spectra: none."""
        return self.own.averaging

    def start(
        self, size: tuple[int, int], generators: Sequence[torch.Generator]
    ) -> Float[Tensor, "images 3 h half_w 2"]:
        """The spectra's own start."""
        return self.own.start(size, generators)

    @in_full_precision
    def pixels(
        self, z: Float[Tensor, "images 3 h half_w 2"], size: tuple[int, int]
    ) -> Float[Tensor, "images 3 h w"]:
        """Images in [0, 1]."""
        down = torch.fft.fftfreq(size[0], 1 / size[0])[:, None]
        across = torch.fft.rfftfreq(size[1], 1 / size[1])[None, :]
        passed = torch.exp(-(down**2 + across**2) / self.cycles**2).to(z)[:, :, None]
        return self.own.pixels(z + self.strength * passed * z.mean(0, keepdim=True), size)

    def optimizer(self, z: Tensor, lr: float) -> torch.optim.Optimizer:
        """That of the spectra."""
        return self.own.optimizer(z, lr)

    def recipe(self) -> dict[str, Any]:
        """JSON-able description."""
        return {
            "name": "aligned",
            "own": self.own.recipe(),
            "strength": self.strength,
            "cycles": self.cycles,
        }
