"""Linear probes that tell facets apart early in a model, before it knows what it sees.

A facet is a way in which things come: as a picture, a drawing, a written word. A probe learns to
tell the facets of labelled stimuli at one early site; its weights say which features, and where in
the image, speak for a facet, and so can guide an optimization towards it.

References
----------
Goh et al., "Multimodal Neurons in Artificial Neural Networks", Distill 2021, appendix on faceted
feature visualization.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from lens.capture.hooks import forward_to, record
from lens.errors import BadInput
from lens.featurevis.faceted.stimuli import pictures, sort_into_facets, split, with_table
from lens.sites import Site, by_position, unit_maps

# Images are compared on a coarse grid: a facet is a matter of texture and rough layout, a finer
# grid has more weights than there are stimuli, and the weights travel in the recipe.
GRID = 4
_BATCH = 64


@dataclass(frozen=True, eq=False, repr=False)
class Probe:
    """A linear map from a site's features to facets, without a bias.

    Attributes
    ----------
    site
        Where it looks.
    facets
        What it tells apart.
    weights
        (facets, units, rows, columns) float32, for features averaged on that grid.
    accuracy
        Mean over facets of the share of held-out stimuli that are told right; chance is
        ``1 / len(facets)``.
    n
        Stimuli that it was trained on, and those that were held out.
    """

    site: Site
    facets: tuple[str, ...]
    weights: Float[np.ndarray, "facets units rows columns"]
    accuracy: float
    n: tuple[int, int]

    def probabilities(self, tensor: Float[Tensor, "*axes"]) -> Float[Tensor, "images facets"]:
        """What the probe makes of a tensor taken at its site: the softmax over facets."""
        weights = torch.from_numpy(self.weights).to(tensor.device)
        found = features(self.site, tensor, (self.weights.shape[2], self.weights.shape[3]))
        return (found.flatten(1) @ weights.flatten(1).T).softmax(1)

    def __repr__(self) -> str:
        chance = 1 / len(self.facets)
        return (
            f"Probe of {' / '.join(self.facets)} at {self.site.name}: {self.accuracy:.1%} of "
            f"{self.n[1]} held-out stimuli right (chance {chance:.1%}), trained on {self.n[0]}"
        )


def train(
    site: Site,
    stimuli: Any = None,
    facets: Mapping[str, Sequence[str]] | str | None = None,
    *,
    per_facet: int = 300,
    penalty: float = 1e-3,
    seed: int = 0,
) -> Probe:
    """Train a probe of facets at a site on labelled stimuli.

    Parameters
    ----------
    site
        Of the image tower, early in it.
    stimuli
        Anything with ``len``, ``[i]`` giving a picture, and a ``.table`` with a row for each; or a
        pair (pictures, labels). The embedded glyphs if not given. Held out are the rows whose
        ``split`` is "held-out", or, without such a column, a third of each facet.
    facets
        What to tell apart: a column of the table, or renderings sorted into facets,
        ``{"word": ["word"], "picture": ["flat", "icon"]}``. By default the column ``facet`` where
        there is one, else ``rendering`` sorted into picture, drawing and word.
    per_facet
        Stimuli of each facet to train on at most, drawn at random; half as many are held out.
    penalty
        Weight of half the squared norm of the probe's weights, for features of norm about one.
    seed
        Chooses the stimuli.

    Raises
    ------
    BadInput
        For stimuli without labels, one facet only, fewer than three stimuli of a facet, or a site
        that sees no image.
    """
    if site.tower != "image":
        raise BadInput(f"{site.name} is in the {site.tower} tower; a probe of facets sees images.")
    stimuli = with_table(stimuli, seed)
    names, labels = sort_into_facets(stimuli.table, facets)
    if len(names) < 2:
        found = repr(names[0]) if names else "none"
        raise BadInput(f"a probe tells facets apart and needs two or more; there is {found}.")
    training, held_out = split(stimuli.table, names, labels, per_facet, seed)
    grid = _grid(site)
    seen = look(site, stimuli, training, grid).flatten(1)
    weights = fit(seen, torch.from_numpy(labels[training]), penalty=penalty).float()
    unseen = look(site, stimuli, held_out, grid).flatten(1)
    right = (unseen @ weights.T).argmax(1).numpy() == labels[held_out]
    accuracy = float(np.mean([right[labels[held_out] == k].mean() for k in range(len(names))]))
    shaped = weights.reshape(len(names), site.n_units, *grid).numpy()
    return Probe(site, names, shaped, accuracy, (len(training), len(held_out)))


def fit(
    features: Float[Tensor, "images features"], labels: Int[Tensor, " images"], penalty: float
) -> Float[Tensor, "facets features"]:
    """Multinomial logistic regression without a bias, every facet of equal weight, by L-BFGS.

    Minimises the mean over facets of the mean cross-entropy of the facet's images, plus
    ``penalty / 2`` times the squared norm of the weights, for features divided by the root of
    their mean squared norm; the weights that are returned take the features as they are.
    """
    with torch.inference_mode(False), torch.enable_grad():
        # Copies: what was made in inference mode can't be differentiated with.
        features, labels = features.clone(), labels.clone()
        scale = features.square().sum(1).mean().sqrt().clamp(min=1e-12)
        scaled = (features / scale).double()
        counts = torch.bincount(labels)
        share = 1.0 / (len(counts) * counts[labels]).double()
        weights = torch.zeros(len(counts), scaled.shape[1], dtype=torch.double, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [weights],
            max_iter=500,
            tolerance_grad=1e-8,
            tolerance_change=1e-13,
            history_size=20,
            line_search_fn="strong_wolfe",
        )

        def loss() -> Tensor:
            optimizer.zero_grad()
            missed = F.cross_entropy(scaled @ weights.T, labels, reduction="none")
            value = (share * missed).sum() + penalty / 2 * weights.square().sum()
            value.backward()
            return value

        optimizer.step(loss)  # type: ignore[arg-type]
        return weights.detach() / scale


def maps(site: Site, tensor: Float[Tensor, "*axes"]) -> Float[Tensor, "images units h w"]:
    """One map a unit; a site whose places make no grid has them in one column."""
    if site.grid is not None:
        return unit_maps(site, tensor)
    return by_position(site, tensor).transpose(1, 2).unsqueeze(-1)


def features(
    site: Site, tensor: Float[Tensor, "*axes"], grid: tuple[int, int]
) -> Float[Tensor, "images units rows columns"]:
    """A site's activations, averaged on a grid, in float32."""
    return F.adaptive_avg_pool2d(maps(site, tensor).float(), grid)


@torch.no_grad()
def look(
    site: Site, stimuli: Any, rows: Int[np.ndarray, " n"], grid: tuple[int, int]
) -> Float[Tensor, "n units rows columns"]:
    """Show some stimuli to the model as far as the site."""
    model, seen = site.model, []
    with record([site]) as taps:
        for start in range(0, len(rows), _BATCH):
            shown = pictures(stimuli, rows[start : start + _BATCH])
            batch = torch.stack([model.picture(picture) for picture in shown])
            taps.forward(batch.contiguous(memory_format=torch.channels_last))
            seen.append(features(site, taps[site.name], grid).cpu())
    return torch.cat(seen)


def early_site(target: Site) -> Site:
    """Where to guide from: a third of the way up, but before ``target``.

    The second of four stages, the third of six blocks, the fifth of twelve.

    Raises
    ------
    BadInput
        Where the model has no stage or block before the target.
    """
    model = target.model
    for kind in ("stage", "block"):
        sites = model.sites(
            lambda s: s.tower == "image" and s.kind == kind and s.grid is not None  # noqa: B023
        )
        wanted = sites[: len(sites) // 3 + 1]
        for site in reversed(wanted):
            if is_before(site, target):
                return site
    raise BadInput(
        f"{model.name} has no stage or block before {target.name} to guide from; name an earlier "
        "site, site=..., out of `model.sites`."
    )


def is_before(site: Site, target: Site) -> bool:
    """Whether the target is computed from the site: it has a gradient there."""
    if site == target:
        return False
    example = site.model.example("image", 2)
    with torch.inference_mode(False), torch.enable_grad():
        batch = example.detach().clone().requires_grad_(True)
        found = forward_to([site, target], batch, detach=False)
        slope = torch.autograd.grad(found[target.name].sum(), found[site.name], allow_unused=True)[
            0
        ]
    return slope is not None


def _grid(site: Site) -> tuple[int, int]:
    rows, columns = site.grid or (1, 1)
    return (min(rows, GRID), min(columns, GRID))
