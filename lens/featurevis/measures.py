"""Objectives put into numbers: what they look at, and one measure for every kind of term.

Terms of the same form arrive together, one an image, and are measured in one go; a measure returns
one float32 number an image, with the graph that leads back to the pixels.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lens.errors import BadInput
from lens.featurevis.facet_objective import guided
from lens.featurevis.objectives import Combined, Objective, Place, Term
from lens.sites import Site, by_position, unit_maps, unit_values


@dataclass(frozen=True, eq=False)
class Scene:
    """What objectives look at: the images, what the model made of them, and whose copies they are.

    ``copy_of[i] == copy_of[j]`` says that images i and j are two copies for the same unit.
    """

    pixels: Float[Tensor, "images 3 h w"]
    activations: Mapping[Site, Tensor]
    copy_of: Int[Tensor, " images"]

    def take(self, rows: Int[Tensor, " some"]) -> Scene:
        """The same scene with some of the images only."""
        return replace(
            self,
            pixels=self.pixels[rows],
            copy_of=self.copy_of[rows],
            activations={
                site: tensor.index_select(site.batch_axis, rows)
                for site, tensor in self.activations.items()
            },
        )


def measure(objectives: Sequence[Objective], scene: Scene) -> Float[Tensor, " images"]:
    """Objective i on image i of the scene, for all i; equal forms are measured together."""
    if not objectives:
        return scene.pixels.new_zeros(0)
    rows_of: dict[tuple[Any, ...], list[int]] = {}
    for row, objective in enumerate(objectives):
        rows_of.setdefault(objective.form, []).append(row)
    if len(rows_of) == 1:
        return _measure_alike(objectives, scene)
    order = torch.tensor([row for rows in rows_of.values() for row in rows])
    parts = [
        _measure_alike(
            [objectives[row] for row in rows],
            scene.take(torch.tensor(rows, device=scene.pixels.device)),
        )
        for rows in rows_of.values()
    ]
    return torch.cat(parts)[torch.argsort(order).to(scene.pixels.device)]


def _measure_alike(objectives: Sequence[Any], scene: Scene) -> Float[Tensor, " images"]:
    first = objectives[0]
    if isinstance(first, Combined):
        return _SIGNS[first.sign](
            _measure_alike([o.left for o in objectives], scene),
            _measure_alike([o.right for o in objectives], scene),
        )
    return MEASURES[first.kind](objectives, scene)


def activation_at(
    site: Site, tensor: Float[Tensor, "*axes"], at: Place
) -> Float[Tensor, "images units"]:
    """The site's activation at one place of every image, as float32.

    Raises
    ------
    BadInput
        Where the site has no such place; the sentence says which it has.
    """
    if at in ("mean", "max") or (at == "cls" and (site.layout == "BD" or site.n_prefix)):
        return unit_values(site, tensor, pool=at).float()  # type: ignore[arg-type]
    if site.grid is not None and (at == "centre" or isinstance(at, tuple)):
        maps = unit_maps(site, tensor)
        height, width = maps.shape[2:]
        row, column = (height // 2, width // 2) if at == "centre" else at  # type: ignore[misc]
        if not (0 <= row < height and 0 <= column < width):
            raise BadInput(f"{site.name} has {height} x {width} places here, none at {at}.")
        return maps[:, :, row, column].float()
    if site.layout in ("BTD", "TBD") and isinstance(at, int):
        placed = by_position(site, tensor)
        if not 0 <= at < placed.shape[1]:
            raise BadInput(f"{site.name} has the tokens 0 to {placed.shape[1] - 1}, not {at}.")
        return placed[:, at].float()
    raise BadInput(f"at={at!r} is no place in {site.name}; it can be {_places(site)}.")


def _places(site: Site) -> str:
    places = ["'mean'", "'max'"]
    places += ["'cls'"] if site.n_prefix else []
    places += ["'centre'", "(row, column)"] if site.grid else []
    places += ["a token's number"] if site.layout in ("BTD", "TBD") else []
    return ", ".join(places[:-1]) + " or " + places[-1]


def _activation(terms: Sequence[Term], scene: Scene) -> Float[Tensor, "images units"]:
    site = terms[0].site
    assert site is not None
    return activation_at(site, scene.activations[site], dict(terms[0].options).get("at", "mean"))


def _stacked(terms: Sequence[Term], like: Tensor) -> Float[Tensor, "images units"]:
    return torch.from_numpy(np.stack([term.data for term in terms])).to(like.device)


def _unit(terms: Sequence[Term], scene: Scene) -> Tensor:
    values = _activation(terms, scene)
    own = torch.tensor([term.data for term in terms], device=values.device)
    return values.gather(1, own[:, None])[:, 0]


def _direction(terms: Sequence[Term], scene: Scene) -> Tensor:
    values = _activation(terms, scene)
    return (values * _stacked(terms, values)).sum(1)


def _cosine_direction(terms: Sequence[Term], scene: Scene) -> Tensor:
    values = _activation(terms, scene)
    vectors = _stacked(terms, values)
    dot = (values * vectors).sum(1)
    cosine = torch.cosine_similarity(values, vectors, dim=1)
    return dot * cosine.clamp(min=0.1) ** dict(terms[0].options)["power"]


def _similarity(terms: Sequence[Term], scene: Scene) -> Tensor:
    values = _activation(terms, scene)
    return torch.cosine_similarity(values, _stacked(terms, values), dim=1)


def _diversity(terms: Sequence[Term], scene: Scene) -> Tensor:
    site = terms[0].site
    assert site is not None
    features = by_position(site, scene.activations[site]).float()
    values = features.new_zeros(len(features))
    for copy_of in scene.copy_of.unique():
        rows = (scene.copy_of == copy_of).nonzero()[:, 0]
        if len(rows) > 1:
            values = values.index_put((rows,), -_mean_likeness(features[rows]))
    return values


def _mean_likeness(features: Float[Tensor, "images places units"]) -> Float[Tensor, " images"]:
    # <A'A, B'B> = ||A B'||^2: places x places instead of units x units.
    cross = torch.einsum("ipu,jqu->ijpq", features, features).square().sum((2, 3))
    size = cross.diagonal().sqrt().clamp(min=1e-12)
    likeness = cross / (size[:, None] * size[None, :])
    others = 1 - torch.eye(len(features), device=features.device)
    return (likeness * others).sum(1) / (len(features) - 1)


def _total_variation(terms: Sequence[Term], scene: Scene) -> Tensor:
    x = scene.pixels
    down, right = x[:, :, 1:] - x[:, :, :-1], x[:, :, :, 1:] - x[:, :, :, :-1]
    return down.abs().mean((1, 2, 3)) + right.abs().mean((1, 2, 3))


def _l1(terms: Sequence[Term], scene: Scene) -> Tensor:
    grey = scene.pixels.new_tensor([term.data for term in terms])
    return (scene.pixels - grey[:, None, None, None]).abs().mean((1, 2, 3))


def _number(terms: Sequence[Term], scene: Scene) -> Tensor:
    return scene.pixels.new_tensor([term.data for term in terms])


_SIGNS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}
MEASURES: dict[str, Callable[[Sequence[Term], Scene], Tensor]] = {
    "unit": _unit,
    "direction": _direction,
    "cosine_direction": _cosine_direction,
    "similarity": _similarity,
    "diversity": _diversity,
    "total_variation": _total_variation,
    "l1": _l1,
    "facet": guided,
    "number": _number,
}
