"""A Laplacian pyramid: pictures from coarse to fine, added up.

References
----------
Burt, Adelson, "The Laplacian Pyramid as a Compact Image Code", IEEE Trans. Comm. 1983; as a
parameterization in Mordvintsev, Pezzotti, Schubert, Olah, "Differentiable Image
Parameterizations", Distill 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from lens.errors import BadInput
from lens.featurevis.draws import normal
from lens.featurevis.parameterization.colour import correlate
from lens.featurevis.parameterization.exact import in_full_precision


@dataclass(frozen=True)
class Pyramid:
    """x = sigmoid(M sum_l gain ** l up(z_l)), z_l a picture of 1 / 2 ** l of the size.

    Like Fourier it lets coarse shapes move as easily as fine ones, but every number has a place:
    what happens in one corner leaves the others alone.

    Parameters
    ----------
    levels
        How many pictures; fewer where the coarsest would be smaller than a pixel.
    gain
        How much more a level counts than the next finer one; above 1 large fields of strong
        colour grow first.
    spread
        Standard deviation of the start.
    decorrelate
        Whether to use M; without it the channels are plain red, green, blue.
    """

    levels: int = 5
    gain: float = 1.25
    spread: float = 0.01
    decorrelate: bool = True

    lr: ClassVar[float] = 0.02
    averaging: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        if not (isinstance(self.levels, int) and self.levels >= 1):
            raise BadInput(f"levels is a whole number, at least 1, not {self.levels!r}.")

    def start(
        self, size: tuple[int, int], generators: Sequence[Generator]
    ) -> Float[Tensor, "images numbers"]:
        """All levels behind each other, the finest first."""
        numbers = sum(3 * prod(level) for level in self._sizes(size))
        return self.spread * normal((numbers,), generators)

    @in_full_precision
    def pixels(
        self, z: Float[Tensor, "images numbers"], size: tuple[int, int]
    ) -> Float[Tensor, "images 3 h w"]:
        """Images in [0, 1]."""
        sizes = self._sizes(size)
        levels = z.split([3 * prod(level) for level in sizes], dim=1)
        # From the coarsest up, so that every picture is enlarged by two at a time: smoother.
        plane = z.new_zeros(len(z), 3, *sizes[-1])
        for height_width, level in zip(reversed(sizes), reversed(levels), strict=True):
            plane = F.interpolate(plane, height_width, mode="bilinear") * self.gain
            plane = plane + level.unflatten(1, (3, *height_width))
        return torch.sigmoid(correlate(plane) if self.decorrelate else plane)

    def optimizer(self, z: Tensor, lr: float) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam([z], lr=lr)

    def recipe(self) -> dict[str, Any]:
        """JSON-able description."""
        return {"name": "pyramid", **asdict(self)}

    def _sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        height, width = size
        usable = min(self.levels, min(size).bit_length())
        return [(-(-height // 2**level), -(-width // 2**level)) for level in range(usable)]
