"""A drawing: strokes along Bezier curves, with widths, colours and opacities, on white paper.

References
----------
Frans, Soros, Witkowski, "CLIPDraw: Exploring Text-to-Drawing Synthesis through Language-Image
Encoders", NeurIPS 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.utils.checkpoint import checkpoint

from lens.errors import BadInput
from lens.featurevis.draws import normal, uniform
from lens.featurevis.parameterization import bezier
from lens.featurevis.parameterization.exact import in_full_precision

# Colour, opacity and width come last among a stroke's numbers.
_EXTRAS = 5
# One step of the optimizer moves every number alike; a place moves by this share of the longer
# side where a colour's logit moves by one.
_REACH = 0.1
_PAPER = 1.0
_STRAIGHT_LINES = 10
# So many softnesses from its edge a stroke covers 1/3000 of a pixel, and counts no more.
_FADED = 8
_STROKES_AT_ONCE = 32


@dataclass(frozen=True)
class Strokes:
    """Strokes are laid on white one after another; z has a row of numbers for each of them.

    Nothing but shapes and flat colours can be drawn, so that what comes out is the gist of what a
    unit wants, in lines.

    Parameters
    ----------
    strokes
        How many.
    curves
        Cubic curves in each stroke, one going on where the last one ends.
    width
        Width of a stroke at the start, as a share of the longer side.
    opacity
        Opacity of a stroke at the start.
    softness
        How far an edge fades, in pixels: a stroke feels only what is about this near.
    """

    strokes: int = 64
    curves: int = 2
    width: float = 0.02
    opacity: float = 0.7
    softness: float = 0.7

    lr: ClassVar[float] = 0.1
    averaging: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        for name in ("strokes", "curves"):
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= 1):
                raise BadInput(f"{name} is a whole number, at least 1, not {value!r}.")
        if not (0 < self.opacity < 1 and self.width > 0 and self.softness > 0):
            raise BadInput(
                "opacity lies between 0 and 1, width and softness above 0, not "
                f"{self.opacity}, {self.width} and {self.softness}."
            )

    def start(
        self, size: tuple[int, int], generators: Sequence[Generator]
    ) -> Float[Tensor, "images strokes numbers"]:
        """Strokes anywhere, curled up small, in any colour.

        The numbers of a stroke: x and y of each control point, in tenths of the longer side from
        the upper left corner; logits of red, green, blue and opacity; logarithm of the width over
        its width at the start.
        """
        height, width = size
        points = 3 * self.curves + 1
        first = uniform((self.strokes, 1, 2), generators) * torch.tensor([width, height])
        steps = 0.05 * normal((self.strokes, points - 1, 2), generators)
        places = torch.cat([first / max(size), steps], 2).cumsum(2) / _REACH
        extras = torch.zeros(len(places), self.strokes, _EXTRAS)
        extras[..., :3] = normal((self.strokes, 3), generators)
        extras[..., 3] = math.log(self.opacity / (1 - self.opacity))
        return torch.cat([places.flatten(2), extras], 2)

    @in_full_precision
    def pixels(
        self, z: Float[Tensor, "images strokes numbers"], size: tuple[int, int]
    ) -> Float[Tensor, "images 3 h w"]:
        """Images in [0, 1].

        A few strokes are drawn at a time, and drawn again on the way back, so that memory doesn't
        grow with their number.
        """
        return torch.stack([self._drawn(one, size) for one in z]).unflatten(2, size)

    def _drawn(
        self, strokes: Float[Tensor, "strokes numbers"], size: tuple[int, int]
    ) -> Float[Tensor, "3 places"]:
        canvas = strokes.new_full((3, math.prod(size)), _PAPER)
        for some in strokes.split(_STROKES_AT_ONCE):
            if torch.is_grad_enabled():
                canvas = checkpoint(self._lay, canvas, some, size, use_reentrant=False)
            else:
                canvas = self._lay(canvas, some, size)
        return canvas

    def _lay(
        self,
        canvas: Float[Tensor, "3 places"],
        strokes: Float[Tensor, "strokes numbers"],
        size: tuple[int, int],
    ) -> Float[Tensor, "3 places"]:
        longer = max(size)
        places, extras = strokes[:, :-_EXTRAS], strokes[:, -_EXTRAS:]
        control = places.unflatten(1, (-1, 2)) * (_REACH * longer)
        line = bezier.sampled(control, _STRAIGHT_LINES)
        width = extras[:, 4:].exp() * (self.width * longer)
        stroke, place = bezier.within_reach(line, width / 2 + _FADED * self.softness, size)
        distance = bezier.distances(line, stroke, bezier.centres(size).to(strokes)[place])
        covered = bezier.coverage(distance, width[stroke, 0], self.softness)
        covered = covered * extras[:, 3].sigmoid()[stroke]
        opacity = strokes.new_zeros(len(strokes), canvas.shape[1])
        opacity = opacity.index_put((stroke, place), covered)
        return bezier.over(canvas, opacity, extras[:, :3].sigmoid())

    def optimizer(self, z: Tensor, lr: float) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam([z], lr=lr)

    def recipe(self) -> dict[str, Any]:
        """JSON-able description."""
        return {"name": "strokes", **asdict(self)}
