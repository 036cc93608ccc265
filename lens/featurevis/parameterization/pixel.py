"""One number a pixel and channel: the baseline."""

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
class Pixel:
    """One number a pixel and channel, x = sigmoid(M z): the baseline that Fourier improves on."""

    spread: float = 0.01
    decorrelate: bool = True

    lr: ClassVar[float] = 0.05
    averaging: ClassVar[float] = 0.0

    def start(
        self, size: tuple[int, int], generators: Sequence[Generator]
    ) -> Float[Tensor, "images 3 h w"]:
        """Gaussian noise of standard deviation ``spread``."""
        return self.spread * normal((3, *size), generators)

    @in_full_precision
    def pixels(
        self, z: Float[Tensor, "images 3 h w"], size: tuple[int, int]
    ) -> Float[Tensor, "images 3 h w"]:
        """Images in [0, 1]."""
        return torch.sigmoid(correlate(z) if self.decorrelate else z)

    def optimizer(self, z: Tensor, lr: float) -> torch.optim.Optimizer:
        """Adam, as lucid has it."""
        return torch.optim.Adam([z], lr=lr)

    def recipe(self) -> dict[str, Any]:
        """JSON-able description."""
        return {"name": "pixel", **asdict(self)}
