"""A site as a whole: as much as possible of anything, or as little."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from lens.featurevis.objectives.formula import Objective, Term
from lens.featurevis.objectives.measures import Scene, measures, site_of
from lens.sites import Site, by_position


def layer(site: Site) -> Objective:
    """Mean square of all of a site's activations (DeepDream; Mordvintsev, Olah, Tyka 2015)."""
    return Term("layer", site)


def activation_l1(site: Site) -> Objective:
    """Mean absolute activation of a site. Subtract it for images that excite little else."""
    return Term("activation_l1", site)


@measures("layer")
def _layer(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    site = site_of(terms)
    return by_position(site, scene.activations[site]).float().square().mean((1, 2))


@measures("activation_l1")
def _activation_l1(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    site = site_of(terms)
    return by_position(site, scene.activations[site]).float().abs().mean((1, 2))
