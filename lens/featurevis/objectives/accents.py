"""Feature accentuation: an objective climbed from a given image, without leaving it far behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lens.errors import BadInput
from lens.featurevis.objectives.formula import Objective, Term
from lens.featurevis.objectives.looking import of_pictures
from lens.featurevis.objectives.measures import Scene, measure_alike, measures, site_of
from lens.featurevis.picture import Picture
from lens.sites import Site, by_position


def accentuation(objective: Objective, site: Site, image: Any, strength: float = 1.0) -> Objective:
    """``objective`` - strength * lambda * ||a(x) - a(x0)||, to be started from the image x0.

    a are the activations of ``site`` over all positions. lambda = ||grad objective||_1 /
    ||grad distance||_1, with respect to what the model is shown, is taken for every image at the
    first step at which the distance has a slope, and fixed. From Hamblin, Fel, Saha, Konkle,
    Alvarez, "Feature Accentuation", 2024.

    Parameters
    ----------
    objective
        What to have more of.
    site
        What has to stay.
    image
        x0; ``lens.visualize(..., start=image)`` starts from it.
    strength
        How much staying counts.

    Raises
    ------
    BadInput
        Where the strength is negative.
    BadImage
        Where the image can't be read.
    """
    if not strength >= 0:
        raise BadInput(f"strength is a number, at least 0, not {strength!r}.")
    picture = Picture.of(image)
    options = (("strength", float(strength)),)
    return Term("accentuation", site, picture, options, repr(picture), parts=(objective,))


@measures("accentuation")
def _accentuation(terms: Sequence[Term], scene: Scene) -> Float[Tensor, " rows"]:
    aim = measure_alike([term.parts[0] for term in terms], scene)
    site = site_of(terms)
    ours = by_position(site, scene.activations[site]).float()
    theirs = of_pictures([term.data for term in terms], site, scene)
    far = torch.linalg.vector_norm(ours - theirs, dim=(1, 2))
    return aim - terms[0].option("strength") * _balance(terms[0], aim, far, scene) * far


def _balance(
    term: Term, aim: Float[Tensor, " rows"], far: Float[Tensor, " rows"], scene: Scene
) -> Float[Tensor, " rows"]:
    """Lambda of each row; 0 as long as it isn't known, which is at x0 itself."""
    if scene.number is None or scene.number_of_roots is None:
        raise BadInput("accentuation can only be measured on what look() showed to a model.")
    images = int(scene.number_of_roots.max()) + 1
    known = scene.memory.setdefault(("lambda", id(term)), far.new_zeros(images))
    own = known[scene.number]
    if torch.is_grad_enabled() and far.requires_grad and bool((own == 0).any()):
        up, away = (_slope(values, scene, images) for values in (aim, far))
        found = torch.where(away > 0, up / away.clamp(min=1e-30), 0)
        known.copy_(torch.where(known == 0, found, known))
    return known[scene.number]


def _slope(values: Tensor, scene: Scene, images: int) -> Float[Tensor, " images"]:
    """L1 norm of the gradient by image, over all of its views."""
    total = values.new_zeros(images)
    if not values.requires_grad or scene.number_of_roots is None:
        return total
    for root in dict.fromkeys(scene.roots):
        if root.requires_grad:
            (slope,) = torch.autograd.grad(values.sum(), root, retain_graph=True, allow_unused=True)
            if slope is not None:
                total.index_add_(0, scene.number_of_roots, slope.abs().flatten(1).sum(1))
    return total
