"""Against a given image: more of what a site sees in it (caricature), or the same (inversion)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from lens.errors import BadInput
from lens.featurevis.objectives.formula import Objective, Term
from lens.featurevis.objectives.looking import of_pictures
from lens.featurevis.objectives.measures import Scene, measures, site_of
from lens.featurevis.picture import Picture
from lens.sites import Site, by_position

Comparison = Literal["dot", "cosine"]


def caricature(
    site: Site, image: Any, *, power: float = 1.0, compare: Comparison = "dot"
) -> Objective:
    """More of what a site sees in an image: its activations' likeness to the image's, everywhere.

    With a and b the activations over all positions, "dot" is dot(a, b) / positions *
    max(0.1, cos(a, b)) ** power, "cosine" the cosine alone (Olah et al., "The Building Blocks of
    Interpretability", Distill 2018; lucid's ``dot_compare``).

    Parameters
    ----------
    site
        Where to look.
    image
        A PIL image, a path, an array or a tensor in [0, 1]; scaled to the images' size.
    power
        Of the cosine; 0 is the plain dot product.
    compare
        "dot" or "cosine".

    Raises
    ------
    BadInput
        For another way to compare.
    BadImage
        Where the image can't be read.
    """
    if compare not in get_args(Comparison):
        raise BadInput(f"compare is 'dot' or 'cosine', not {compare!r}.")
    picture = Picture.of(image)
    options = (("compare", compare), ("power", float(power)))
    return Term("caricature", site, picture, options, repr(picture))


def inversion(site: Site, image: Any) -> Objective:
    """The same to a site as an image: minus ||a - b||^2 / ||b||^2 over all positions.

    From Mahendran and Vedaldi, "Understanding Deep Image Representations by Inverting Them",
    CVPR 2015, section 2. 0 is the best there is.

    Raises
    ------
    BadImage
        Where the image can't be read.
    """
    picture = Picture.of(image)
    return Term("inversion", site, picture, label=repr(picture))


@measures("caricature")
def _caricature(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    ours, theirs = _both(terms, scene)
    cosine = torch.cosine_similarity(ours.flatten(1), theirs.flatten(1), dim=1)
    if terms[0].option("compare") == "cosine":
        return cosine
    dot = (ours * theirs).sum((1, 2)) / ours.shape[1]
    return dot * cosine.clamp(min=0.1) ** terms[0].option("power")


@measures("inversion")
def _inversion(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    ours, theirs = _both(terms, scene)
    away = (ours - theirs).square().sum((1, 2))
    return -away / theirs.square().sum((1, 2)).clamp(min=1e-12)


def _both(terms: Sequence[Term], scene: Scene) -> tuple[Tensor, Tensor]:
    site = site_of(terms)
    ours = by_position(site, scene.activations[site]).float()
    return ours, of_pictures([term.data for term in terms], site, scene)
