"""A small network from places to colours: an image without pixels, smooth at any size.

References
----------
Stanley, "Compositional Pattern Producing Networks", 2007; optimized through a classifier in
Mordvintsev, Pezzotti, Schubert, Olah, "Differentiable Image Parameterizations", Distill 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from lens.errors import BadInput
from lens.featurevis.draws import normal
from lens.featurevis.parameterization.exact import in_full_precision

# Mean and deviation of atan(a) and its square for standard normal a: what goes on to the next
# layer has mean 0 and variance 1 again.
_ATAN_STD = 0.6706
_SQUARE_MEAN, _SQUARE_STD = 0.4497, 0.3961


@dataclass(frozen=True)
class Cppn:
    """x = sigmoid(net_z(place)), one network an image, whose weights are z.

    Every layer is followed by atan and its square, both brought to mean 0 and variance 1.

    Parameters
    ----------
    layers
        Hidden layers.
    width
        Units in each.
    spread
        Standard deviation of what comes out at the start, before the sigmoid.
    """

    layers: int = 6
    width: int = 24
    spread: float = 0.1

    lr: ClassVar[float] = 0.01
    averaging: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        for name in ("layers", "width"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= 1):
                raise BadInput(f"{name} is a whole number, at least 1, not {value!r}.")

    def start(
        self, size: tuple[int, int], generators: Sequence[Generator]
    ) -> Float[Tensor, "images weights"]:
        """Weights that keep the variance from layer to layer, and biases of 0."""
        shapes = self._shapes()
        parts = []
        for number, (fan_in, fan_out) in enumerate(shapes):
            deviation = fan_in**-0.5 * (self.spread if number == len(shapes) - 1 else 1)
            drawn = deviation * normal((fan_in * fan_out,), generators)
            parts += [drawn, torch.zeros(len(drawn), fan_out)]
        return torch.cat(parts, 1)

    @in_full_precision
    def pixels(
        self, z: Float[Tensor, "images weights"], size: tuple[int, int]
    ) -> Float[Tensor, "images 3 h w"]:
        """Images in [0, 1]; the network is asked at the centres of the pixels."""
        shapes = self._shapes()
        pieces = iter(z.split([n for i, o in shapes for n in (i * o, o)], dim=1))
        values = _places(size).to(z).expand(len(z), -1, -1)
        for number, (fan_in, fan_out) in enumerate(shapes):
            weight, bias = next(pieces).unflatten(1, (fan_in, fan_out)), next(pieces)
            values = torch.baddbmm(bias[:, None], values, weight)
            if number < len(shapes) - 1:
                bent = values.atan()
                square = (bent**2 - _SQUARE_MEAN) / _SQUARE_STD
                values = torch.cat([bent / _ATAN_STD, square], 2)
        return torch.sigmoid(values).mT.unflatten(2, size)

    def optimizer(self, z: Tensor, lr: float) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam([z], lr=lr)

    def recipe(self) -> dict[str, Any]:
        """JSON-able description."""
        return {"name": "cppn", **asdict(self)}

    def _shapes(self) -> list[tuple[int, int]]:
        hidden = [(2 * self.width, self.width)] * (self.layers - 1)
        return [(2, self.width), *hidden, (2 * self.width, 3)]


def _places(size: tuple[int, int]) -> Float[Tensor, "pixels 2"]:
    """Centres of the pixels, x and y, with variance 1 over the longer side of the image."""
    height, width = size
    reach = 3**0.5 / max(size)
    y = (2 * torch.arange(height, dtype=torch.float64) + 1 - height) * reach
    x = (2 * torch.arange(width, dtype=torch.float64) + 1 - width) * reach
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1).flatten(0, 1)
