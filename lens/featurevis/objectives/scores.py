"""Any other module's opinion of an image: a discriminator, an aesthetic score."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from lens.errors import BadInput
from lens.featurevis.formula import Objective, Term
from lens.featurevis.measures import Scene, measures


def score(module: nn.Module, name: str = "") -> Objective:
    """What a module says of the images as they are, without their random transforms.

    Parameters
    ----------
    module
        From images in [0, 1], (images, 3, h, w), to one number an image; a discriminator that
        takes other colours or sizes goes into a module that changes them first. It runs in eval
        mode, its weights get no gradients, and it is left as it was.
    name
        What to call it in the formula; its class by default.

    Raises
    ------
    BadInput
        Where it is no module.
    """
    if not isinstance(module, nn.Module):
        raise BadInput(f"score takes a torch.nn.Module, not {type(module).__name__}.")
    return Term("score", data=module, label=name or type(module).__name__)


@measures("score")
def _score(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    given = terms[0].data(scene.pixels)
    if not isinstance(given, Tensor) or given.numel() != len(scene.pixels):
        shape = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise BadInput(
            f"{terms[0]!r} has to give one number an image: {len(scene.pixels)}, not {shape}."
        )
    return given.reshape(-1).float()
