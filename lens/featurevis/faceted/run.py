"""Every facet of some units, asked for and answered: ``facets`` and ``facets_again``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lens.capture.hooks import forward_to
from lens.errors import BadInput
from lens.featurevis.faceted import probes as probing
from lens.featurevis.faceted.probes import Probe
from lens.featurevis.faceted.sheet import Facets
from lens.featurevis.objectives.facets import UNGUIDED, FacetPlace, facet, packed, weights_of
from lens.featurevis.objectives.formula import Objective, Term
from lens.featurevis.render import rerun, visualize
from lens.featurevis.visualization import Visualization, read_recipe
from lens.model import Model
from lens.opening import load
from lens.precision import Precision
from lens.sites import Site, Unit

_BATCH = 32


def facets(
    units: Unit | Site | Objective | Sequence[Unit | Objective],
    *,
    stimuli: Any = None,
    site: Site | str | Sequence[Site | str] | None = None,
    facets: Mapping[str, Sequence[str]] | str | None = None,
    probes: Sequence[Probe] | None = None,
    strengths: Sequence[float] = (0.3, 1.0),
    steps: int = 256,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    lr: float | None = None,
    at: FacetPlace | None = None,
    batch_size: int | None = None,
    precision: Precision = "auto",
    progress: bool = True,
) -> Facets:
    """Show what units want to see by way of every facet: as a picture, a drawing, a written word.

    A linear probe learns from labelled stimuli to tell the facets apart early in the model; its
    weights then guide feature visualization: see `lens.featurevis.objectives.facets` (Goh et al.
    2021). Every facet of every unit is made, from the same noise, beside an unguided image, and
    every one is shown: a facet that a unit does not have is seen by the activation that it fails
    to reach.

    Parameters
    ----------
    units
        A unit, a site (all its units), a direction (``objectives.direction``), or a list of units
        and directions, of one model.
    stimuli
        Labelled stimuli to train the probe on: anything with ``len``, ``[i]`` giving a picture and
        a ``.table``, or a pair (pictures, labels); the embedded glyphs if not given.
    site
        Where to guide from, one early site or several; by default the second of four stages or
        a block at a third of the way up.
    facets
        A column of the table, or renderings sorted into facets,
        ``{"word": ["word"], "picture": ["flat", "icon"]}``; by default picture, drawing and word.
    probes
        Probes that are trained already, ``result.probes`` say, in place of the three above.
    strengths
        How much the facet has to say; an image is made for each. On glyph-rn 0.3 keeps most of
        the activation and 5 leaves little but the facet.
    steps, size, seed, lr, batch_size, precision, progress
        As in `lens.visualize`.
    at
        What counts as excited: the ``"mean"`` over places, their ``"max"``, or the ``"cls"``
        token; by default the class token where there is one, else the mean.

    Returns
    -------
    Facets
        Images, the activation that each reached, and what the probes say that it looks like.

    Raises
    ------
    BadInput
        For stimuli without labels, one facet only, a site that does not come before the units,
        or what `lens.visualize` refuses.
    """
    targets = _listed(units)
    own = [_site_of(target) for target in targets]
    model = own[0].model
    if any(each.model is not model for each in own):
        raise BadInput("one call shows facets of units of one model: call it once for each.")
    weights = _strengths(strengths)
    if probes is None:
        guides = _guides(model, own[0], site)
        _check_order(guides, own)
        probes = [probing.train(each, stimuli, facets, seed=seed) for each in guides]
    else:
        _check_order([probe.site for probe in probes], own)
    names = probes[0].facets if probes else ()
    aims: list[Unit | Objective] = []
    for target, of in zip(targets, own, strict=True):
        place = at or ("cls" if of.n_prefix else "mean")
        aims.append(facet(target, probes, UNGUIDED, at=place))
        aims += [facet(target, probes, name, w, at=place) for name in names for w in weights]
    made = visualize(
        aims,
        steps=steps,
        size=size,
        seed=seed,
        lr=lr,
        batch_size=batch_size,
        precision=precision,
        progress=progress,
    )
    return _judged(made, list(probes))


def facets_again(
    recipe: dict[str, Any] | str | Path | Facets,
    model: Model | None = None,
    *,
    progress: bool = True,
) -> Facets:
    """Make facets again from their recipe, which holds the probes: no stimuli are needed.

    Parameters
    ----------
    recipe
        ``Facets.recipe``, the facets themselves, or a PNG that they were saved as.
    model
        The model; opened by its name if not given.
    progress
        Whether to show a progress bar.

    Raises
    ------
    BadInput
        Where the recipe isn't one of facets, or was written for a model with other weights.
    """
    if isinstance(recipe, Facets):
        recipe = recipe.recipe
    if not isinstance(recipe, dict):
        recipe = read_recipe(recipe)
    if not {"model", "facets"} <= set(recipe):
        raise BadInput("this is no recipe of facets: it doesn't say which there are.")
    model = model or load(recipe["model"])
    made = rerun({k: v for k, v in recipe.items() if k != "facets"}, model, progress=progress)
    probes = []
    for each in recipe["facets"]:
        weights = np.stack([weights_of(text) for text in each["weights"]])
        names, n = tuple(each["facets"]), tuple(each["n"])
        probes.append(Probe(model.site(each["site"]), names, weights, each["accuracy"], n))
    return _judged(made, probes)


def _judged(made: Visualization, probes: list[Probe]) -> Facets:
    """Ask the probes what the images look like."""
    recipe = {
        **made.recipe,
        "facets": [
            {
                "site": probe.site.name,
                "facets": list(probe.facets),
                "weights": [packed(weights) for weights in probe.weights],
                "accuracy": probe.accuracy,
                "n": list(probe.n),
            }
            for probe in probes
        ],
    }
    looks = looks_like(made.images, probes)
    return Facets(replace(made, recipe=recipe), looks, tuple(probes))


@torch.no_grad()
def looks_like(images: np.ndarray, probes: Sequence[Probe]) -> np.ndarray:
    """What probes make of images, on average over the probes.

    Parameters
    ----------
    images
        Eight-bit RGB, (images, h, w, 3).
    probes
        Of one model and of the same facets.

    Returns
    -------
    ndarray
        (images, facets), rows that add up to one.
    """
    model = probes[0].site.model
    sites = list(dict.fromkeys(probe.site for probe in probes))
    found = []
    for start in range(0, len(images), _BATCH):
        pixels = torch.from_numpy(images[start : start + _BATCH]).movedim(-1, 1).float() / 255
        if len(model.mean) == 1:
            pixels = pixels.mean(1, keepdim=True)
        seen = forward_to(sites, model.normalize(pixels))
        said = [probe.probabilities(seen[probe.site.name]).cpu() for probe in probes]
        found.append(torch.stack(said).mean(0).numpy())
    return np.concatenate(found)


def _listed(units: Any) -> list[Any]:
    if isinstance(units, Site):
        units = units.units()
    listed = [units] if isinstance(units, (Unit, Objective)) else units
    if isinstance(listed, str) or not isinstance(listed, Sequence) or not listed:
        raise BadInput(
            "facets takes a unit, a site, a direction or a list of them; "
            "model.site('image.layer4').unit(17) is a unit."
        )
    return list(listed)


def _site_of(target: Any) -> Site:
    directed = isinstance(target, Term) and target.kind in ("unit", "direction")
    site = target.site if isinstance(target, Unit) or directed else None
    if site is None:
        raise BadInput(f"facets are shown of units and directions, not of {target!r}.")
    if site.tower != "image":
        raise BadInput(
            f"{site.name} is in the {site.tower} tower and sees no image; the words that excite it "
            "are found by lens.featurevis.texts."
        )
    return site.pre_activation


def _guides(model: Model, target: Site, site: Any) -> list[Site]:
    if site is None:
        return [probing.early_site(target)]
    given = [site] if isinstance(site, (str, Site)) else list(site)
    if not given:
        raise BadInput("there is no site to guide from: the list is empty.")
    return [model.site(each) if isinstance(each, str) else each for each in given]


def _check_order(guides: Sequence[Site], targets: Sequence[Site]) -> None:
    for target in dict.fromkeys(targets):
        for guide in guides:
            if guide.tower != "image" or guide.model is not target.model:
                raise BadInput(f"{guide} can't guide units of {target.model.name} {target.name}.")
            if not probing.is_before(guide, target):
                raise BadInput(
                    f"{target.name} does not depend on {guide.name}: guide from a site before it, "
                    "such as the first stages or blocks."
                )


def _strengths(strengths: Any) -> list[float]:
    given = [strengths] if isinstance(strengths, (int, float)) else list(strengths)
    if not given or not all(isinstance(w, (int, float)) and 0 < w < float("inf") for w in given):
        raise BadInput(f"strengths are numbers above 0, such as (0.3, 1.0), not {strengths!r}.")
    if len(set(given)) < len(given):
        raise BadInput(f"every strength once is enough: {strengths!r}.")
    return [float(w) for w in given]
