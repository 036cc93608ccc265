"""A model to work with in a thread, beside the notebook's own."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from lens.model import Model


def twin(model: Model) -> Model:
    """Give a model of its own modules on the same weights.

    A visualization hooks modules and sets their mode and gradients. In a thread, it must not meet
    what the notebook does to the same model meanwhile.
    """
    weights: dict[int, Any] = {id(buffer): buffer for buffer in model.module.buffers()}
    for weight in model.module.parameters():
        weights[id(weight)] = nn.Parameter(weight.detach(), requires_grad=False)
    return Model(
        copy.deepcopy(model.module, weights),
        model._family,
        name=model.name,
        preprocess=model._preprocess,
        tokenizer=model.tokenizer,
    )
