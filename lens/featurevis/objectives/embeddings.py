"""The joint space of a CLIP: like a text or a picture, or rather this text than the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lens.errors import BadInput
from lens.featurevis.objectives.formula import Objective, Term
from lens.featurevis.objectives.measures import Scene, activation, measures, stacked
from lens.model import Model


def similarity(model: Model, target: Any) -> Objective:
    """Cosine between the image's embedding and that of ``target``, a text or an image."""
    site = model.site("image.embedding")
    vector = np.asarray(model.embed([target])[0], dtype=np.float32)
    label = json.dumps(target, ensure_ascii=False) if isinstance(target, str) else "<image>"
    return Term("similarity", site, vector, label=label)


def logit(
    model: Model, texts: Sequence[str], index: int = 0, *, scale: float | None = None
) -> Objective:
    """A prompt's log-odds among prompts: log(p / (1 - p)), p the softmax of scaled cosines.

    Unlike p itself, it has a slope where the model is sure.

    Parameters
    ----------
    model
        With an image and a text tower.
    texts
        At least two prompts.
    index
        Which of them is wanted.
    scale
        What cosines are multiplied with; the model's own ``logit_scale`` by default, and 100
        where it has none.

    Raises
    ------
    BadInput
        For fewer than two prompts, or a number that none of them has.
    """
    prompts = list(texts)
    if isinstance(texts, str) or len(prompts) < 2:
        raise BadInput("logit compares prompts: give at least two, in a list.")
    if not 0 <= index < len(prompts):
        raise BadInput(f"there are the prompts 0 to {len(prompts) - 1}, not {index}.")
    own = prompts.pop(index)
    vectors = np.asarray(model.embed([own, *prompts]), dtype=np.float32)
    options = (("among", len(vectors)), ("scale", _scale(model) if scale is None else float(scale)))
    label = json.dumps(own, ensure_ascii=False)
    return Term("logit", model.site("image.embedding"), vectors, options, label)


@measures("similarity")
def _similarity(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    values = activation(terms, scene)
    return torch.cosine_similarity(values, stacked(terms, values), dim=1)


@measures("logit")
def _logit(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    values = F.normalize(activation(terms, scene), dim=1)
    scaled = terms[0].option("scale") * torch.einsum("nd,ntd->nt", values, stacked(terms, values))
    return scaled[:, 0] - scaled[:, 1:].logsumexp(1)  # the wanted prompt stands first


def _scale(model: Model) -> float:
    learned = getattr(model.module, "logit_scale", None)
    return round(float(learned.detach().exp()), 4) if isinstance(learned, Tensor) else 100.0
