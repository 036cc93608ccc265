"""Gram matrices over positions: what goes with what in a site, wherever it is (texture)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lens.errors import BadInput
from lens.featurevis.objectives.formula import Objective, Term
from lens.featurevis.objectives.looking import of_pictures
from lens.featurevis.objectives.measures import Scene, measures, site_of
from lens.featurevis.picture import Picture
from lens.sites import Site, by_position


def diversity(site: Site) -> Objective:
    """How unlike the other copies for the same unit: minus the mean of <G_i, G_j> over j != i.

    G are Gram matrices of the site's activations over positions, of norm one. An only copy gets 0.
    """
    return Term("diversity", site.pre_activation)


def style(sites: Site | Sequence[Site], image: Any) -> Objective:
    """In the style of an image: minus ||G - G_0||^2 / ||G_0||^2, the mean over sites.

    G is the Gram matrix of a site's activations, the mean over positions of a a^T (Gatys, Ecker,
    Bethge, CVPR 2016, equations 3 to 5, made relative so that all sites have the same standing).

    Raises
    ------
    BadInput
        For no sites.
    BadImage
        Where the image can't be read.
    """
    listed = [sites] if isinstance(sites, Site) else list(sites)
    if not listed:
        raise BadInput("style needs at least one site, such as model.site('image.layer2').")
    picture = Picture.of(image)
    return Term("style", listed[0], picture, label=repr(picture), also=tuple(listed[1:]))


@measures("diversity")
def _diversity(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    site = site_of(terms)
    features = by_position(site, scene.activations[site]).float()
    values = features.new_zeros(len(features))
    for copy_of in scene.copy_of.unique():
        rows = (scene.copy_of == copy_of).nonzero()[:, 0]
        if len(rows) > 1:
            values = values.index_put((rows,), -_mean_likeness(features[rows]))
    return values


@measures("style")
def _style(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    away = []
    for site in (site_of(terms), *terms[0].also):
        ours = _gram(by_position(site, scene.activations[site]).float())
        theirs = _gram(of_pictures([term.data for term in terms], site, scene))
        size = theirs.square().sum((1, 2)).clamp(min=1e-12)
        away.append((ours - theirs).square().sum((1, 2)) / size)
    return -torch.stack(away).mean(0)


def _gram(features: Float[Tensor, "rows places units"]) -> Float[Tensor, "rows units units"]:
    return features.transpose(1, 2) @ features / features.shape[1]


def _mean_likeness(features: Float[Tensor, "images places units"]) -> Float[Tensor, " images"]:
    # <A'A, B'B> = ||A B'||^2: places x places instead of units x units.
    cross = torch.einsum("ipu,jqu->ijpq", features, features).square().sum((2, 3))
    size = cross.diagonal().sqrt().clamp(min=1e-12)
    likeness = cross / (size[:, None] * size[None, :])
    others = 1 - torch.eye(len(features), device=features.device)
    return (likeness * others).sum(1) / (len(features) - 1)
