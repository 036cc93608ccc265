"""The objective that climbs a unit by way of one facet (Goh et al. 2021).

V = mean relu(a . d) says how excited the target is. Of the features of an early layer l, those that
would excite it more are relu(dV/da_l); the facet's probe says which of them belong to the facet.
So what is made large is

    V + (5 / L) sum_l w sum a_l * relu(stopgrad(dV/da_l)) * F_l - 10 mean((x - 0.5)^2)

with F_l the probe's weights resized to the layer, and w how much the facet has to say.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lens.errors import BadInput
from lens.featurevis.faceted.probes import Probe, maps
from lens.featurevis.objectives.formula import Objective, Term
from lens.featurevis.objectives.measures import Scene, measures
from lens.sites import Unit, by_position

UNGUIDED = "unguided"
GUIDE, GREYNESS = 5.0, 10.0

FacetPlace = Literal["mean", "max", "cls"]


def facet(
    target: Unit | Term,
    probes: Sequence[Probe],
    name: str,
    strength: float = 1.0,
    at: FacetPlace = "mean",
) -> Objective:
    """Excite a unit or a direction by way of one facet.

    While it is climbed, its value is the formula above; the value of a finished image is V alone,
    how much it excites the target: the guide shows the way and is no merit of its own. Where all
    of a ReLU is silent, V is the mean before the ReLU, which has a slope to climb.

    Parameters
    ----------
    target
        From ``site.unit(i)`` or ``objectives.direction(...)``.
    probes
        One for each layer to guide from, of the same facets; see
        ``lens.featurevis.faceted.probes.train``. Their weights are scaled to a root mean square of
        one, so that ``strength`` means the same for every probe.
    name
        Which facet; ``"unguided"`` for none.
    strength
        w, mostly 0.1 to 5.
    at
        V over places: their ``"mean"`` or ``"max"``, or the ``"cls"`` token alone.

    Raises
    ------
    BadInput
        For a target that is no unit or direction, probes of other facets or models, a facet that
        they don't know, or a place that the target does not have.
    """
    if isinstance(target, Unit):
        site, towards = target.site.pre_activation, int(target.index)
        label = str(target.index)
    elif isinstance(target, Term) and target.kind in ("unit", "direction") and target.site:
        site, label = target.site, target.label
        data = target.data
        towards = data.tolist() if isinstance(data, np.ndarray) else int(data)
    else:
        raise BadInput(f"facets are shown of a unit or a direction, not of {target!r}.")
    if at not in ("mean", "max", "cls") or (at == "cls" and not site.n_prefix):
        places = "'mean', 'max' or 'cls'" if site.n_prefix else "'mean' or 'max'"
        raise BadInput(f"at={at!r} is no place in {site.name}; it can be {places}.")
    _check(probes, site.model, name)
    k = probes[0].facets.index(name) if name != UNGUIDED else 0
    return Term(
        "facet",
        site,
        {
            "towards": towards,
            "of": (target.site or site).name,
            "facet": name,
            "strength": 0.0 if name == UNGUIDED else float(strength),
            "probes": [packed(probe.weights[k]) for probe in probes],
        },
        (("at", at),),
        f"{label}, {name}" + ("" if name == UNGUIDED else f", strength={strength:g}"),
        tuple(probe.site for probe in probes),
    )


@measures("facet")
def guided(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " images"]:
    """Measure the objective of each term on its image.

    Raises
    ------
    BadInput
        Where the target does not depend on a layer that it is guided from.
    """
    reached = excitement(terms, scene)
    if not reached.requires_grad:  # a finished image: nothing is to be guided any more
        return reached
    layers = terms[0].also
    guide = torch.zeros_like(reached)
    for number, (layer, slope) in enumerate(
        zip(layers, scene.slopes(reached, layers), strict=True)
    ):
        if slope is None:
            raise BadInput(
                f"{terms[0].site} can't be guided from {layer.name}: it does not come before."
            )
        seen = maps(layer, scene.activations[layer]).float()
        wanted = maps(layer, slope).float().relu()
        speaks = torch.stack([_unpacked(term.data["probes"][number]) for term in terms])
        speaks = F.interpolate(
            speaks.to(seen.device), size=seen.shape[2:], mode="bilinear", align_corners=False
        )
        guide = guide + (seen * wanted * speaks).sum((1, 2, 3))
    strength = reached.new_tensor([term.data["strength"] for term in terms])
    grey = (scene.pixels - 0.5).square().mean((1, 2, 3))
    return reached + GUIDE / len(layers) * strength * guide - GREYNESS * grey


def excitement(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " images"]:
    """V: the target's activation after a ReLU, over places; before it where all are silent."""
    site = terms[0].site
    assert site is not None
    placed = by_position(site, scene.activations[site]).float()
    towards = torch.zeros(len(terms), placed.shape[2], device=placed.device)
    for row, term in zip(towards, terms, strict=True):
        if isinstance(term.data["towards"], int):
            row[term.data["towards"]] = 1
        else:
            row.copy_(torch.tensor(term.data["towards"]))
    values = torch.einsum("bpu,bu->bp", placed, towards)
    at = dict(terms[0].options)["at"]
    if at == "cls":
        values = values[:, :1]
    else:
        values = values[:, site.n_prefix :]
        values = values.amax(1, keepdim=True) if at == "max" else values
    silent = (values <= 0).all(1)
    return torch.where(silent, values.mean(1), values.relu().mean(1))


def packed(weights: Float[np.ndarray, "units rows columns"]) -> str:
    """A probe's weights for one facet as text, in half precision: they travel in the recipe."""
    largest = float(np.abs(weights).max()) or 1.0
    shape = "x".join(map(str, weights.shape))
    halves = (weights / largest).astype("<f2").tobytes()
    return f"{shape}:{largest!r}:{base64.b64encode(halves).decode()}"


def weights_of(text: str) -> Float[np.ndarray, "units rows columns"]:
    """The weights that `packed` wrote."""
    shape, largest, halves = text.split(":")
    numbers = np.frombuffer(base64.b64decode(halves), dtype="<f2").astype(np.float32)
    return (numbers * float(largest)).reshape([int(n) for n in shape.split("x")])


@lru_cache(maxsize=64)
def _unpacked(text: str) -> Float[Tensor, "units rows columns"]:
    weights = weights_of(text)
    return torch.from_numpy(weights / max(float(np.sqrt((weights**2).mean())), 1e-12))


def _check(probes: Sequence[Probe], model: object, name: str) -> None:
    if not probes:
        raise BadInput("facets are shown with the help of a probe; there is none.")
    first = probes[0]
    for probe in probes:
        if probe.facets != first.facets:
            raise BadInput(f"the probes know other facets: {first.facets} and {probe.facets}.")
        if probe.site.model is not model:
            raise BadInput(f"{probe!r} is of another model than the units.")
    if name != UNGUIDED and name not in first.facets:
        raise BadInput(f"the probes know no facet {name!r}; they know {', '.join(first.facets)}.")
