"""Cutouts: several parts of every image at every step, large and small, straight and turned.

References
----------
Crowson et al., "VQGAN-CLIP: Open Domain Image Generation and Editing with Natural Language
Guidance", ECCV 2022 (an image is scored by many random cutouts of it in one batch).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from lens.errors import BadInput
from lens.featurevis.draws import uniform


@dataclass(frozen=True)
class Cutouts:
    """``views`` parts of each image, each enlarged to the image's size; the first is all of it.

    Attributes
    ----------
    views
        Parts of an image in one forward pass.
    least
        Side of the smallest part as a share of the image's; sides are uniform from there to 1, and
        so are the places, as far as the part is inside.
    degrees
        A part is turned about its middle by up to this much either way. What is outside of the
        image then goes on as its edge is.
    """

    views: int = 16
    least: float = 0.6
    degrees: float = 9.0

    def __post_init__(self) -> None:
        if isinstance(self.views, bool) or not (isinstance(self.views, int) and self.views >= 1):
            raise BadInput(f"cutouts is a whole number, at least 1, not {self.views!r}.")
        if not (0 < self.least <= 1 and 0 <= self.degrees <= 180):
            raise BadInput(
                "cutouts have a share above 0 and up to 1 and turn by 0 to 180 degrees, not "
                f"{self.least} and {self.degrees}."
            )

    def __call__(
        self,
        images: Float[Tensor, "images 3 h w"],
        generators: Sequence[Generator],
        progress: float = 0.0,
    ) -> Float[Tensor, "views 3 h w"]:
        """Views of the first image, then of the second and so on."""
        rows = len(images) * self.views
        drawn = uniform((4,), generators, rows).unflatten(0, (-1, self.views)).clone()
        drawn[:, 0] = drawn.new_tensor([1.0, 0.5, 0.5, 0.5])
        side, right, down, turn = drawn.flatten(0, 1).to(images).T
        side = self.least + (1 - self.least) * side
        angle = math.radians(self.degrees) * (2 * turn - 1)
        height, width = images.shape[2:]
        cos, sin = side * angle.cos(), side * angle.sin()
        # grid_sample counts both axes from -1 to 1, whatever their lengths.
        across = torch.stack([cos, -sin * height / width, (1 - side) * (2 * right - 1)], 1)
        along = torch.stack([sin * width / height, cos, (1 - side) * (2 * down - 1)], 1)
        theta = torch.stack([across, along], 1)
        grid = F.affine_grid(theta, [rows, *images.shape[1:]], align_corners=False)
        shown = images.repeat_interleave(self.views, 0)
        return F.grid_sample(shown, grid, padding_mode="border", align_corners=False)

    def recipe(self) -> list[dict[str, Any]]:
        """JSON-able description; see ``from_recipe``."""
        return [{"kind": "cutouts", **asdict(self)}]


def cutouts(views: int = 16, least: float = 0.6, degrees: float = 9.0) -> Cutouts:
    """Show ``views`` parts of every image, of ``least`` to all of its side, a little turned."""
    return Cutouts(views, least, degrees)
