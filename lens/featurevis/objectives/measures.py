"""Objectives put into numbers: what they look at, and one measure for every kind of term.

Terms of the same form arrive together, one an image, and are measured in one go; a measure returns
one float32 number an image, with the graph that leads back to the pixels.

A new kind of objective is a function that makes a ``Term`` and one that measures it:

>>> def brightness() -> Objective:
...     return Term("brightness")
>>> @measures("brightness")
... def _brightness(terms, scene):
...     return scene.pixels.mean((1, 2, 3))
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lens.errors import BadInput
from lens.featurevis.objectives.formula import Combined, Objective, Place, Term
from lens.sites import Site, by_position, rectangle


@dataclass(frozen=True, eq=False)
class Scene:
    """What objectives look at: the images, what the model made of them, and whose copies they are.

    Attributes
    ----------
    pixels
        The images themselves, for terms about an image as such.
    activations
        What the sites computed, in their own layouts.
    copy_of
        ``copy_of[i] == copy_of[j]`` says that images i and j are two copies for the same unit.
    seen
        What the model was shown: ``pixels`` under their transforms.
    number
        Which image each row shows; one that is shown in several views has several rows.
    roots
        All of ``pixels`` and ``seen`` with the graph that ``activations`` hang on, for gradients;
        ``take`` leaves them whole.
    number_of_roots
        Which image each row of ``roots`` shows.
    memory
        What measures remember from step to step; a run starts with an empty one.
    whole
        All of what the sites computed, as later layers were computed from it; ``activations``
        where nothing was taken out of the scene.
    rows
        Which rows of ``whole`` these are; all of them where it is None.
    """

    pixels: Float[Tensor, "rows 3 h w"]
    activations: Mapping[Site, Tensor]
    copy_of: Int[Tensor, " rows"]
    seen: Float[Tensor, "rows 3 h w"] | None = None
    number: Int[Tensor, " rows"] | None = None
    roots: tuple[Tensor, ...] = ()
    number_of_roots: Int[Tensor, " all"] | None = None
    memory: dict[Any, Any] = field(default_factory=dict)
    whole: Mapping[Site, Tensor] | None = None
    rows: Int[Tensor, " rows"] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what the model was shown."""
        shown = self.pixels if self.seen is None else self.seen
        return (shown.shape[-2], shown.shape[-1])

    def take(self, rows: Int[Tensor, " some"]) -> Scene:
        """The same scene with some of the rows only."""
        return replace(
            self,
            pixels=self.pixels[rows],
            copy_of=self.copy_of[rows],
            seen=None if self.seen is None else self.seen[rows],
            number=None if self.number is None else self.number[rows],
            activations={
                site: tensor.index_select(site.batch_axis, rows)
                for site, tensor in self.activations.items()
            },
            whole=self.activations if self.whole is None else self.whole,
            rows=rows if self.rows is None else self.rows[rows],
        )

    def slopes(
        self, values: Float[Tensor, " rows"], sites: Sequence[Site]
    ) -> list[Float[Tensor, "*axes"] | None]:
        """Gradient of the values' sum at each site; None where they don't depend on it.

        Some of the rows have no slope of their own, since later layers were computed from all of
        them: it is taken at the whole, and the rows out of it.
        """
        whole = self.activations if self.whole is None else self.whole
        found = torch.autograd.grad(
            values.sum(), [whole[site] for site in sites], retain_graph=True, allow_unused=True
        )
        if self.rows is None:
            return list(found)
        return [
            slope if slope is None else slope.index_select(site.batch_axis, self.rows)
            for site, slope in zip(sites, found, strict=True)
        ]


Measure = Callable[[Sequence[Term], Scene], Tensor]

#: The registry of kinds: from a kind's name to what measures terms of it.
MEASURES: dict[str, Measure] = {}


def measures(kind: str) -> Callable[[Measure], Measure]:
    """Register what measures terms of a kind."""

    def register(function: Measure) -> Measure:
        MEASURES[kind] = function
        return function

    return register


def measure(objectives: Sequence[Objective], scene: Scene) -> Float[Tensor, " rows"]:
    """Objective i on row i of the scene, for all i; equal forms are measured together."""
    if not objectives:
        return scene.pixels.new_zeros(0)
    rows_of: dict[tuple[Any, ...], list[int]] = {}
    for row, objective in enumerate(objectives):
        rows_of.setdefault(objective.form, []).append(row)
    if len(rows_of) == 1:
        return measure_alike(objectives, scene)
    order = torch.tensor([row for rows in rows_of.values() for row in rows])
    parts = [
        measure_alike(
            [objectives[row] for row in rows],
            scene.take(torch.tensor(rows, device=scene.pixels.device)),
        )
        for rows in rows_of.values()
    ]
    return torch.cat(parts)[torch.argsort(order).to(scene.pixels.device)]


def measure_alike(objectives: Sequence[Any], scene: Scene) -> Float[Tensor, " rows"]:
    """Objective i on row i of the scene, where all have the same form."""
    first = objectives[0]
    if isinstance(first, Combined):
        return _SIGNS[first.sign](
            measure_alike([o.left for o in objectives], scene),
            measure_alike([o.right for o in objectives], scene),
        )
    return MEASURES[first.kind](objectives, scene)


_SIGNS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}


@measures("number")
def _number(terms: Sequence[Term], scene: Scene) -> Tensor:
    return scene.pixels.new_tensor([term.data for term in terms])


# --- What measures share ------------------------------------------------------------------------


def site_of(terms: Sequence[Term]) -> Site:
    """The site that all the terms look at."""
    site = terms[0].site
    assert site is not None
    return site


def activation(terms: Sequence[Term], scene: Scene) -> Float[Tensor, "rows units"]:
    """The activation of the terms' site at their place."""
    site = site_of(terms)
    at = terms[0].option("at", "mean")
    return activation_at(site, scene.activations[site], at, scene.size)


def stacked(terms: Sequence[Term], like: Tensor) -> Float[Tensor, "rows ..."]:
    """The terms' vectors (or matrices), one a row."""
    return torch.from_numpy(np.stack([term.data for term in terms])).to(like.device)


def activation_at(
    site: Site, tensor: Float[Tensor, "*axes"], at: Place, size: tuple[int, int] | None = None
) -> Float[Tensor, "images units"]:
    """The site's activation at one place of every image, as float32; see ``at_place``."""
    return pooled(at_place(site, tensor, at, size), at).float()


def pooled(
    values: Float[Tensor, "images positions *rest"], at: Place
) -> Float[Tensor, images * rest]:
    """What ``at`` makes of several positions: their maximum, or their mean."""
    return values.amax(1) if at == "max" else values.mean(1)


def at_place(
    site: Site, tensor: Float[Tensor, "*axes"], at: Place, size: tuple[int, int] | None = None
) -> Float[Tensor, "images positions units"]:
    """The positions of a site that a place means: one, or for 'mean' and 'max' all in the picture.

    Parameters
    ----------
    site
        Where the tensor was taken.
    tensor
        In the site's own layout.
    at
        The place.
    size
        Height and width of the images, where these aren't the model's own.

    Raises
    ------
    BadInput
        Where the site has no such place; the sentence says which it has.
    """
    positions = by_position(site, tensor)
    first = site.n_prefix
    if at in ("mean", "max"):
        return positions[:, first:]
    if at == "cls" and (site.layout == "BD" or first):
        return positions[:, :1]
    if site.grid is not None and (at == "centre" or isinstance(at, tuple)):
        height, width = _grid(site, tensor, positions.shape[1] - first, size)
        row, column = (height // 2, width // 2) if at == "centre" else at  # type: ignore[misc]
        if not (0 <= row < height and 0 <= column < width):
            raise BadInput(f"{site.name} has {height} x {width} places here, none at {at}.")
        here = first + row * width + column
        return positions[:, here : here + 1]
    if site.layout in ("BTD", "TBD", "BNTD") and isinstance(at, int):
        if not 0 <= at < positions.shape[1]:
            raise BadInput(f"{site.name} has the tokens 0 to {positions.shape[1] - 1}, not {at}.")
        return positions[:, at : at + 1]
    raise BadInput(f"at={at!r} is no place in {site.name}; it can be {_places(site)}.")


def _grid(site: Site, tensor: Tensor, count: int, size: tuple[int, int] | None) -> tuple[int, int]:
    if site.layout in ("BCHW", "BHWC"):  # a picture of another size has another grid
        first = site.layout.index("H")
        return (tensor.shape[first], tensor.shape[first + 1])
    grid = rectangle(count, size or site.model.image_size)
    assert grid is not None
    return grid


def _places(site: Site) -> str:
    places = ["'mean'", "'max'"]
    places += ["'cls'"] if site.n_prefix else []
    places += ["'centre'", "(row, column)"] if site.grid else []
    places += ["a token's number"] if site.layout in ("BTD", "TBD", "BNTD") else []
    return ", ".join(places[:-1]) + " or " + places[-1]
