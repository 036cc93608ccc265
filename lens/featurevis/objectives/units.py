"""Single units: channels, neurons, residual directions, tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lens.featurevis.objectives.formula import Objective, Place, Term, placed
from lens.featurevis.objectives.measures import Scene, activation, measures
from lens.sites import Site, Unit


def unit(unit: Unit, at: Place = "mean") -> Objective:
    """A unit's own value: a channel, a residual direction, an MLP neuron or an embedding dimension.

    Taken before the site's last ReLU where it has one (``site.pre_activation``), since a ReLU that
    is zero everywhere has no slope to climb.

    Parameters
    ----------
    unit
        From ``site.unit(i)``.
    at
        ``"mean"`` or ``"max"`` over positions, ``"cls"`` (token sites), ``"centre"`` or
        ``(row, column)`` (feature maps: one neuron of the channel), or a token's number.
    """
    return Term("unit", unit.site.pre_activation, int(unit.index), placed(at), str(unit.index))


def channel(site: Site, index: int) -> Objective:
    """A channel's mean over all places: ``unit(site.unit(index))``, in lucid's words."""
    return unit(site.unit(index))


def neuron(site: Site, index: int, position: tuple[int, int] | None = None) -> Objective:
    """A channel at one place, the middle by default: one neuron of a feature map.

    Parameters
    ----------
    site
        Where the channel is.
    index
        The channel's number.
    position
        Row and column in the site's own grid.
    """
    return unit(site.unit(index), at="centre" if position is None else position)


def token(site: Site, index: int, position: int | None = None) -> Objective:
    """A unit at one token: the class token, or the one with a number, class token included.

    Parameters
    ----------
    site
        A site whose tensor has tokens.
    index
        The unit's number.
    position
        The token's number; the class token by default.
    """
    return unit(site.unit(index), at="cls" if position is None else int(position))


@measures("unit")
def _unit(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    values = activation(terms, scene)
    own = torch.tensor([term.data for term in terms], device=values.device)
    return values.gather(1, own[:, None])[:, 0]
