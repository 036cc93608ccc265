"""What a picture is compared with: the input that stands for 'nothing is there'."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lens.errors import BadInput, suggestion
from lens.model import Model

__all__ = ["BASELINES", "baseline_like"]

#: The baselines that have a name.
BASELINES = ("mean", "black", "white", "blur")


def baseline_like(
    model: Model, picture: Float[Tensor, "1 channels height width"], which: Any = None
) -> Float[Tensor, "1 channels height width"]:
    """Make the baseline for a picture, normalised as the picture is.

    Parameters
    ----------
    model : Model
        Whose normalisation it is.
    picture : Tensor
        What is explained.
    which : str, picture or None
        "mean" (the default): the colour that the model was normalised with, zero everywhere;
        "black"; "white", for drawings on white, whose ground then explains nothing; "blur": the
        picture itself without its detail; or any other picture.

    Raises
    ------
    BadInput
        If there is no such baseline, or it has another size.
    """
    which = "mean" if which is None else which
    if isinstance(which, str):
        if which not in BASELINES:
            raise BadInput(
                f"There is no baseline {which!r}.{suggestion(which, BASELINES)} "
                f"It is one of {', '.join(BASELINES)}, or a picture."
            )
        if which == "mean":
            return torch.zeros_like(picture)
        if which == "blur":
            return _blurred(picture)
        return model.normalize(torch.full_like(picture, float(which == "white")))
    given = model.placed(model.picture(which, "The baseline").unsqueeze(0))
    if given.shape != picture.shape:
        raise BadInput(
            f"The baseline has the shape {tuple(given.shape[1:])}; the picture has "
            f"{tuple(picture.shape[1:])}."
        )
    return given


def _blurred(picture: Tensor) -> Tensor:
    from torchvision.transforms.functional import gaussian_blur

    side = min(picture.shape[-2:])
    sigma = max(side / 12, 0.5)
    reach = min(int(3 * sigma), side - 1)
    return gaussian_blur(picture, [2 * reach + 1] * 2, [sigma] * 2)
