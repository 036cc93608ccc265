"""Starting at one of several draws: whoever knows what is wanted has looked at them before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from lens.featurevis.parameterization import Parameterization


@dataclass(frozen=True)
class Chosen:
    """As ``own``, but every image starts at a later draw of its random numbers than the first.

    Parameters
    ----------
    own
        Where the images come from.
    draws
        Pairs: the seed of an image's random numbers, and which of the draws that follow from it
        to start at, counted from 0. An image that is not listed starts at its first.
    """

    own: Parameterization
    draws: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        pairs = tuple((int(seed), int(draw)) for seed, draw in self.draws)
        object.__setattr__(self, "draws", pairs)

    @property
    def lr(self) -> float:
        """That of ``own``."""
        return self.own.lr

    @property
    def averaging(self) -> float:
        """That of ``own``."""
        return self.own.averaging

    def start(
        self, size: tuple[int, int], generators: Sequence[torch.Generator]
    ) -> Float[Tensor, "images ..."]:
        """Draw as often as it takes."""
        chosen = dict(self.draws)
        times = [1 + chosen.get(own.initial_seed(), 0) for own in generators]
        drawn = [self.own.start(size, [g] * n) for g, n in zip(generators, times, strict=True)]
        return torch.stack([each[-1] for each in drawn])

    def pixels(
        self, z: Float[Tensor, "images ..."], size: tuple[int, int]
    ) -> Float[Tensor, "images 3 h w"]:
        """Images in [0, 1]."""
        return self.own.pixels(z, size)

    def optimizer(self, z: Tensor, lr: float) -> torch.optim.Optimizer:
        """That of ``own``."""
        return self.own.optimizer(z, lr)

    def recipe(self) -> dict[str, Any]:
        """JSON-able description."""
        draws = [list(pair) for pair in self.draws]
        return {"name": "chosen", "own": self.own.recipe(), "draws": draws}
