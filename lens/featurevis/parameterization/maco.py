"""MACO: only the phases of an image are optimized, its magnitudes are those of natural images.

References
----------
Fel, Boissin, Boutin, Picard, Novello, Colin, Linsley, Rousseau, Cadene, Gardes, Serre, "Unlocking
Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization", NeurIPS 2023.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from lens.errors import BadInput
from lens.featurevis.draws import uniform
from lens.featurevis.parameterization import spectrum as spectra
from lens.featurevis.parameterization.colour import correlate
from lens.featurevis.parameterization.exact import in_full_precision
from lens.featurevis.parameterization.spectrum import Spectrum


@dataclass(frozen=True)
class Maco:
    """x = sigmoid(M irfft2(R * exp(i phi))), z = phi, R the mean spectrum of natural images.

    However long it climbs, the image keeps a photograph's balance of coarse and fine, so that no
    high frequency can run away. The phases start uniform on (-pi, pi): normal ones add up to a
    bright spot in the corner, uniform ones leave it what its area deserves (``python
    benchmarks/maco.py`` prints how much, and where the spectra come from).

    Parameters
    ----------
    spectrum
        R: ``"photographs"``, ``"glyphs"`` (both ship), the name of a file that
        ``python -m lens.featurevis.parameterization.spectrum measure`` wrote, a ``Spectrum``, or
        an array of magnitudes, see ``Spectrum.of``.
    """

    spectrum: Any = "photographs"

    lr: ClassVar[float] = 1.0
    averaging: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        given = self.spectrum
        if isinstance(given, (np.ndarray, Tensor)):
            object.__setattr__(self, "spectrum", Spectrum.of(given))
        elif isinstance(given, dict):
            object.__setattr__(self, "spectrum", spectra.from_recipe(given))
        elif isinstance(given, str):
            spectra.named(given)  # a wrong name is said at once
        elif not isinstance(given, Spectrum):
            raise BadInput(
                f"a spectrum is a name, a Spectrum or an array, not {type(given).__name__}."
            )

    def start(
        self, size: tuple[int, int], generators: Sequence[Generator]
    ) -> Float[Tensor, "images 3 h half_w"]:
        """Phases, uniform on (-pi, pi)."""
        height, width = size
        return math.pi * (2 * uniform((3, height, width // 2 + 1), generators) - 1)

    @in_full_precision
    def pixels(
        self, z: Float[Tensor, "images 3 h half_w"], size: tuple[int, int]
    ) -> Float[Tensor, "images 3 h w"]:
        """Images in [0, 1]."""
        return torch.sigmoid(correlate(self.planes(z, size)))

    def planes(
        self, z: Float[Tensor, "images 3 h half_w"], size: tuple[int, int]
    ) -> Float[Tensor, "images 3 h w"]:
        """The images before colour and sigmoid: their magnitude spectrum is R, whatever z is."""
        magnitudes = _magnitudes(self._spectrum, size).to(z)
        return torch.fft.irfft2(torch.polar(magnitudes.expand_as(z), _odd(z, size)), s=size)

    def optimizer(self, z: Tensor, lr: float) -> torch.optim.Optimizer:
        """NAdam, as the paper has it."""
        return torch.optim.NAdam([z], lr=lr)

    def recipe(self) -> dict[str, Any]:
        """JSON-able description: a spectrum that ships by its name, any other by its numbers."""
        by_name = isinstance(self.spectrum, str) and self.spectrum in spectra.SHIPPED
        return {"name": "maco", "spectrum": self.spectrum if by_name else self._spectrum.recipe()}

    @property
    def _spectrum(self) -> Spectrum:
        named = isinstance(self.spectrum, str)
        return spectra.named(self.spectrum) if named else self.spectrum


@lru_cache(maxsize=8)
def _magnitudes(spectrum: Spectrum, size: tuple[int, int]) -> Float[Tensor, "3 h half_w"]:
    return spectrum.at(size)


def _odd(
    phases: Float[Tensor, "images 3 h half_w"], size: tuple[int, int]
) -> Float[Tensor, "images 3 h half_w"]:
    """Phases of a real image: in a column that mirrors itself, those of -f are minus those of f.

    ``irfft2`` would otherwise average the two, and with them their magnitudes away.
    """
    height, width = size
    mirrored = [0, width // 2] if width % 2 == 0 else [0]
    row = torch.arange(height, device=phases.device)
    sign = (row < height - row).to(phases) - (row > height - row).to(phases)
    sign[0] = 0  # the mean, like the middle row of an even height, has no phase
    partner = torch.minimum(row, (height - row) % height)
    columns = phases[..., mirrored][..., partner, :] * sign[:, None]
    return phases.index_copy(-1, torch.tensor(mirrored, device=phases.device), columns)
