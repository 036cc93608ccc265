"""Heads of attention: what a head writes, and how sharply it looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lens.errors import BadInput, UnitOutOfRange
from lens.featurevis.objectives.formula import Objective, Place, Term, placed, vector
from lens.featurevis.objectives.measures import Scene, at_place, measures, pooled, site_of
from lens.sites import Site


def head(site: Site, index: int, direction: Any = None, at: Place = "mean") -> Objective:
    """What one head of attention gives, before the layer's output projection.

    Parameters
    ----------
    site
        ``"image.blocks.3.attention.heads"``, or its ``.q``, ``.k`` and ``.v``.
    index
        The head's number.
    direction
        One number for each of the head's features: the dot product with it. By default the length
        (L2 norm) of the head's vector.
    at
        Which tokens: ``"mean"`` or ``"max"`` over the picture's, ``"cls"``, a place or a number.

    Raises
    ------
    BadInput
        Where the site is no heads' output, or the direction doesn't fit.
    UnitOutOfRange
        Where there is no such head.
    """
    if site.layout != "BNTD":
        raise BadInput(
            f"{site.name} has no heads' outputs; 'image.blocks.0.attention.heads' has, "
            "and focus() takes an attention pattern."
        )
    own = site.head(index)
    if direction is None:
        return Term("head", site, int(index), placed(at), str(int(index)))
    along = vector(site, direction, len(own))
    whole = torch.zeros(site.n_units)
    whole[own[0].index : own[-1].index + 1] = torch.from_numpy(along.copy())
    label = f"{int(index)}, <{along.size} numbers>"
    return Term("direction", site, vector(site, whole), placed(at), label)


def focus(site: Site, index: int) -> Objective:
    """How sharply a head looks: minus the entropy of its attention, the mean over queries.

    0 where every query looks at one key, -log(keys) where all look everywhere.

    Parameters
    ----------
    site
        ``"image.blocks.3.attention.pattern"``.
    index
        The head's number.

    Raises
    ------
    BadInput
        Where the site is no attention pattern.
    UnitOutOfRange
        Where there is no such head.
    """
    if site.layout != "BNQK":
        raise BadInput(
            f"{site.name} is no attention pattern; 'image.blocks.0.attention.pattern' is one."
        )
    if not 0 <= int(index) < site.n_heads:
        raise UnitOutOfRange(f"{site.name} has the heads 0 to {site.n_heads - 1}, not {index}.")
    return Term("focus", site, int(index), label=str(int(index)))


@measures("head")
def _head(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    site, at = site_of(terms), terms[0].option("at", "mean")
    values = at_place(site, scene.activations[site], at, scene.size).float()
    by_head = values.unflatten(2, (site.n_heads, -1))
    rows = torch.arange(len(terms), device=values.device)
    own = torch.tensor([term.data for term in terms], device=values.device)
    return pooled(by_head[rows, :, own].norm(dim=2), at)


@measures("focus")
def _focus(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    pattern = scene.activations[site_of(terms)].float()
    rows = torch.arange(len(terms), device=pattern.device)
    own = torch.tensor([term.data for term in terms], device=pattern.device)
    return torch.xlogy(pattern[rows, own], pattern[rows, own].clamp(min=1e-30)).sum(-1).mean(1)
