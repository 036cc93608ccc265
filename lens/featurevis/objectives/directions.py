"""Directions in a site's units: any vector, and the latents of a sparse autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lens.errors import BadInput, UnitOutOfRange
from lens.featurevis.objectives.formula import Objective, Place, Term, detached, placed, vector
from lens.featurevis.objectives.measures import (
    Scene,
    activation,
    at_place,
    measures,
    pooled,
    site_of,
    stacked,
)
from lens.sites import Site


def direction(site: Site, vector: Any, at: Place = "mean") -> Objective:
    """Dot product of the site's activation with ``vector`` (one number a unit).

    Raises
    ------
    BadInput
        Where the vector's length isn't the site's number of units, or it isn't finite.
    """
    data = _checked(site, vector)
    return Term("direction", site.pre_activation, data, placed(at), f"<{data.size} numbers>")


def cosine_direction(site: Site, vector: Any, power: float = 1.0, at: Place = "mean") -> Objective:
    """dot(a, v) * max(0.1, cos(a, v)) ** power: along ``vector``, and along little else.

    Computed image by image (Carter et al., "Activation Atlas", Distill 2019).
    """
    data = _checked(site, vector)
    options = (*placed(at), ("power", float(power)))
    return Term("cosine_direction", site.pre_activation, data, options, f"<{data.size} numbers>")


def latents(
    site: Site,
    matrix: Any,
    index: int,
    *,
    bias: Any = None,
    relu: bool = False,
    at: Place = "mean",
) -> Objective:
    """One latent of a sparse autoencoder on this site: a . w_i + b_i, at every position.

    Taken at the site itself, not before its ReLU: that is what autoencoders are trained on.

    Parameters
    ----------
    site
        With D units.
    matrix
        The encoder: (D, K) as autoencoders have it, a latent a column; or (K, D) as
        ``torch.nn.Linear`` has it, a latent a row. A square one is read as (D, K).
    index
        The latent's number, in 0 .. K - 1.
    bias
        (K,), what the encoder adds; none by default. One that subtracts a bias c of the decoder
        first has ``bias - c @ matrix``.
    relu
        Whether to look after the ReLU: sparse, and without a slope where the latent is silent.
    at
        As for ``unit``.

    Raises
    ------
    BadInput
        Where the matrix has no axis of D, or the bias not one number a latent.
    UnitOutOfRange
        Where there is no such latent.
    """
    weights = np.asarray(detached(matrix), dtype=np.float32)
    wide = site.n_units
    if weights.ndim != 2 or wide not in weights.shape:
        raise BadInput(
            f"an encoder of {site.name} is {wide} x K or K x {wide} numbers, "
            f"not an array of shape {weights.shape}."
        )
    rows = weights.T if weights.shape[0] == wide else weights
    number = int(index)
    if not 0 <= number < len(rows):
        raise UnitOutOfRange(f"the encoder has the latents 0 to {len(rows) - 1}, not {index}.")
    offsets = np.zeros(len(rows)) if bias is None else np.asarray(detached(bias))
    if offsets.shape != (len(rows),):
        raise BadInput(f"the bias needs {len(rows)} numbers, one a latent, not {offsets.shape}.")
    data = vector(site, np.append(rows[number], offsets[number]), wide + 1)
    options = (*placed(at), *((("relu", True),) if relu else ()))
    return Term("latents", site, data, options, f"{number} of {len(rows)}")


@measures("direction")
def _direction(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    values = activation(terms, scene)
    return (values * stacked(terms, values)).sum(1)


@measures("cosine_direction")
def _cosine_direction(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    values = activation(terms, scene)
    vectors = stacked(terms, values)
    dot = (values * vectors).sum(1)
    cosine = torch.cosine_similarity(values, vectors, dim=1)
    return dot * cosine.clamp(min=0.1) ** terms[0].option("power")


@measures("latents")
def _latents(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    site, at = site_of(terms), terms[0].option("at", "mean")
    values = at_place(site, scene.activations[site], at, scene.size).float()
    vectors = stacked(terms, values)
    latent = torch.einsum("npd,nd->np", values, vectors[:, :-1]) + vectors[:, -1:]
    return pooled(latent.relu() if terms[0].option("relu") else latent, at)


_checked = vector
