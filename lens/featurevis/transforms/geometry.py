"""Small random moves that an image has to withstand, drawn for every image by itself.

A move (``jitter``, ``scale``, ``rotate``) is an immutable value that draws one 3 x 3 matrix an
image, each from that image's own generator. ``moves(...)`` multiplies any number of them into one
matrix an image and resamples once, so that four moves cost as much as one and blur no more than
one. What comes into view from outside the image is mid-grey, lucid's padding, or its mirror image.

References
----------
Olah, Mordvintsev, Schubert, "Feature Visualization", Distill 2017 (transformation robustness).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from lens.errors import BadInput
from lens.featurevis.draws import uniform

GREY = 0.5
Padding = Literal["grey", "reflect"]
_DRAWS = {"jitter": 2, "scale": 1, "rotate": 1}


@dataclass(frozen=True)
class Move:
    """One kind of random move: ``kind`` and its bounds ``low`` and ``high`` (uniform between)."""

    kind: str
    low: float
    high: float

    def draw(
        self, generators: Sequence[Generator], rows: int | None = None
    ) -> Float[Tensor, "rows 3 3"]:
        """Matrices from an output place to the place in the image, in pixels about the centre."""
        drawn = uniform((_DRAWS[self.kind],), generators, rows)
        return _MATRIX[self.kind](self.low + (self.high - self.low) * drawn)

    def __repr__(self) -> str:
        return f"{self.kind}({self.low:g}..{self.high:g})"


def jitter(pixels: float) -> Move:
    """Shift by up to half of ``pixels`` each way, in both axes (lucid's ``jitter(pixels)``)."""
    return Move("jitter", -pixels / 2, pixels / 2)


def scale(low: float, high: float) -> Move:
    """Magnify by a factor between ``low`` and ``high``."""
    if not 0 < low <= high:
        raise BadInput(f"scale needs 0 < low <= high, not {low} and {high}.")
    return Move("scale", low, high)


def rotate(degrees: float) -> Move:
    """Turn about the centre by up to ``degrees`` either way."""
    return Move("rotate", -degrees, degrees)


@dataclass(frozen=True)
class Moves:
    """A sequence of moves, done in one resampling; no moves at all is the identity."""

    steps: tuple[Move, ...] = ()
    padding: Padding = "grey"

    # Every image is shown once; crops show several views of each, one after the other.
    views: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.padding not in get_args(Padding):
            raise BadInput(f"padding is 'grey' or 'reflect', not {self.padding!r}.")

    def __call__(
        self,
        images: Float[Tensor, "images 3 h w"],
        generators: Sequence[Generator],
        progress: float = 0.0,
    ) -> Float[Tensor, "images 3 h w"]:
        """Move every image by a draw of its own; the size stays, and so does what is done.

        ``progress`` is the share of the run that is over, for transforms that change with it.
        """
        if not self.steps:
            return images
        drawn = [move.draw(generators, len(images)) for move in self.steps]
        return _resample(images, reduce(torch.matmul, drawn).to(images.device), self.padding)

    def recipe(self) -> list[dict[str, Any]]:
        """JSON-able description; see ``from_recipe``."""
        steps = [{"kind": m.kind, "low": m.low, "high": m.high} for m in self.steps]
        if self.padding == "grey":
            return steps
        return [{"kind": "moves", "steps": steps, "padding": self.padding}]


def moves(*steps: Move, padding: Padding = "grey") -> Moves:
    """Do these moves in this order, in one resampling.

    Parameters
    ----------
    steps
        What ``jitter``, ``scale`` and ``rotate`` returned.
    padding
        What comes into view from outside the image: ``"grey"``, or its mirror image
        (``"reflect"``).
    """
    return Moves(tuple(steps), padding)


def standard(size: tuple[int, int]) -> Moves:
    """lucid's recipe - jitter, scale 0.9-1.1, rotation of 10 degrees, jitter -, sized to the image.

    lucid jitters by 8 and 4 pixels at 128; here by 1/16 and 1/32 of the longer side.
    """
    longer = max(size)
    return moves(jitter(longer / 16), scale(0.9, 1.1), rotate(10), jitter(longer / 32))


def from_steps(steps: Sequence[dict[str, Any]], padding: Padding = "grey") -> Moves:
    """Build moves from the steps of a recipe.

    Raises
    ------
    BadInput
        Where the recipe names a move that does not exist here.
    """
    unknown = [step.get("kind") for step in steps if step.get("kind") not in _DRAWS]
    if unknown:
        raise BadInput(f"no move is called {unknown[0]!r}; there are {', '.join(_DRAWS)}.")
    return Moves(tuple(Move(**step) for step in steps), padding)


def _resample(
    images: Float[Tensor, "images 3 h w"],
    matrices: Float[Tensor, "images 3 3"],
    padding: Padding = "grey",
) -> Float[Tensor, "images 3 h w"]:
    height, width = images.shape[-2:]
    # affine_grid counts both axes from -1 to 1, our matrices count pixels: convert both ways.
    half = matrices.new_tensor([width / 2, height / 2, 1.0])
    theta = (matrices * half[None, None, :] / half[None, :, None])[:, :2]
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    mode = "zeros" if padding == "grey" else "reflection"
    # Zero has to mean grey.
    return F.grid_sample(images - GREY, grid, padding_mode=mode, align_corners=False) + GREY


def _shift_matrix(shift: Float[Tensor, "images 2"]) -> Float[Tensor, "images 3 3"]:
    matrix = torch.eye(3).repeat(len(shift), 1, 1)
    matrix[:, :2, 2] = -shift
    return matrix


def _scale_matrix(factor: Float[Tensor, "images 1"]) -> Float[Tensor, "images 3 3"]:
    matrix = torch.eye(3).repeat(len(factor), 1, 1)
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1 / factor[:, 0]
    return matrix


def _rotation_matrix(degrees: Float[Tensor, "images 1"]) -> Float[Tensor, "images 3 3"]:
    angle = degrees[:, 0] * (math.pi / 180)
    matrix = torch.eye(3).repeat(len(angle), 1, 1)
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
    matrix[:, 0, 1] = -angle.sin()
    matrix[:, 1, 0] = angle.sin()
    return matrix


_MATRIX: dict[str, Callable[[Tensor], Tensor]] = {
    "jitter": _shift_matrix,
    "scale": _scale_matrix,
    "rotate": _rotation_matrix,
}
