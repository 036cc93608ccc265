"""The image itself, whatever the model makes of it."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from lens.featurevis.objectives.formula import Objective, Term
from lens.featurevis.objectives.measures import Scene, measures


def total_variation() -> Objective:
    """Mean absolute difference between neighbouring pixels. Subtract it for smoother images."""
    return Term("total_variation")


def l1(grey: float = 0.5) -> Objective:
    """Mean absolute distance of the pixels from ``grey``. Subtract it for emptier images."""
    return Term("l1", data=float(grey), label="" if grey == 0.5 else f"{grey:g}")


@measures("total_variation")
def _total_variation(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    x = scene.pixels
    down, right = x[:, :, 1:] - x[:, :, :-1], x[:, :, :, 1:] - x[:, :, :, :-1]
    return down.abs().mean((1, 2, 3)) + right.abs().mean((1, 2, 3))


@measures("l1")
def _l1(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    grey = scene.pixels.new_tensor([term.data for term in terms])
    return (scene.pixels - grey[:, None, None, None]).abs().mean((1, 2, 3))
