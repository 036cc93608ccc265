"""Any other module's opinion of an image: a discriminator, an aesthetic score."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lens.errors import BadInput
from lens.featurevis.objectives.formula import Objective, Term
from lens.featurevis.objectives.measures import Scene, measures


def score(module: nn.Module, name: str = "", *, logit: bool = False) -> Objective:
    """What a module says of the images as they are, without their random transforms.

    Parameters
    ----------
    module
        From images in [0, 1], (images, 3, h, w), to one number an image; a discriminator that
        takes other colours or sizes goes into a module that changes them first. It runs in eval
        mode, its weights get no gradients, and it is left as it was.
    name
        What to call it in the formula; its class by default.
    logit
        Whether the number is a logit, as a discriminator's is; what is climbed is then
        log(sigmoid(number)), which stops to grow where the module is sure.

    Raises
    ------
    BadInput
        Where it is no module.
    """
    if not isinstance(module, nn.Module):
        raise BadInput(f"score takes a torch.nn.Module, not {type(module).__name__}.")
    options = (("logit", True),) if logit else ()
    return Term("score", data=module, options=options, label=name or type(module).__name__)


@measures("score")
def _score(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    first, image = _once(scene)
    given = terms[0].data(scene.pixels[first])
    if not isinstance(given, Tensor) or given.numel() != len(first):
        shape = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise BadInput(f"{terms[0]!r} has to give one number an image: {len(first)}, not {shape}.")
    values = given.reshape(-1).float()
    return (F.logsigmoid(values) if terms[0].option("logit") else values)[image]


def _once(scene: Scene) -> tuple[Int[Tensor, " images"], Int[Tensor, " rows"]]:
    """A row for each image, and which image each row shows: views show the same pixels."""
    rows = torch.arange(len(scene.pixels), device=scene.pixels.device)
    if scene.number is None:
        return rows, rows
    every, image = scene.number.unique(return_inverse=True)
    first = rows.new_full((len(every),), len(rows)).scatter_reduce_(0, image, rows, "amin")
    return first, image
