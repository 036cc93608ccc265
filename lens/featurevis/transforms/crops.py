"""Several random crops of every image at every step, from large ones to small ones: MACO's.

References
----------
Fel et al., "Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained
Optimization", NeurIPS 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from lens.errors import BadInput
from lens.featurevis.draws import normal


@dataclass(frozen=True)
class Crops:
    """``views`` crops of each image, each enlarged to the image's size.

    Attributes
    ----------
    views
        Crops of an image in one forward pass.
    start, end
        Side of a crop as a share of the image's, in the first step and in the last one; it falls
        evenly in between.
    spread
        Standard deviation of a crop's centre about the image's, as a share of its size. A crop
        that would reach over the edge is moved inside.
    """

    views: int = 8
    start: float = 0.5
    end: float = 0.05
    spread: float = 0.15

    def __post_init__(self) -> None:
        if not (isinstance(self.views, int) and self.views >= 1):
            raise BadInput(f"views is a whole number, at least 1, not {self.views!r}.")
        if not (0 < self.start <= 1 and 0 < self.end <= 1 and self.spread >= 0):
            raise BadInput(
                "crops have a size above 0 and up to 1 and a spread of at least 0, not "
                f"{self.start}, {self.end} and {self.spread}."
            )

    def __call__(
        self,
        images: Float[Tensor, "images 3 h w"],
        generators: Sequence[Generator],
        progress: float = 0.0,
    ) -> Float[Tensor, "views 3 h w"]:
        """Views of the first image, then of the second and so on; ``progress`` from 0 to 1."""
        side = self.start + (self.end - self.start) * progress
        rows = len(images) * self.views
        centres = 0.5 + self.spread * normal((2,), generators, rows)
        # grid_sample counts both axes from -1 to 1.
        middle = (2 * centres - 1).clamp(side - 1, 1 - side).to(images)
        theta = images.new_zeros(rows, 2, 3)
        theta[:, 0, 0] = theta[:, 1, 1] = side
        theta[:, :, 2] = middle
        grid = F.affine_grid(theta, [rows, *images.shape[1:]], align_corners=False)
        shown = images.repeat_interleave(self.views, 0)
        return F.grid_sample(shown, grid, padding_mode="border", align_corners=False)

    def recipe(self) -> list[dict[str, Any]]:
        """JSON-able description; see ``from_recipe``."""
        return [{"kind": "crops", **asdict(self)}]


def crops(views: int = 8, start: float = 0.5, end: float = 0.05, spread: float = 0.15) -> Crops:
    """Show ``views`` random crops of every image, their size falling from ``start`` to ``end``."""
    return Crops(views, start, end, spread)
