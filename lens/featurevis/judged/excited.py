"""What images do to units under held-out changes, and to the other units of the site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from lens.capture.hooks import forward_to
from lens.featurevis.judged import held_out
from lens.featurevis.judged.reference import Reference
from lens.featurevis.objectives.measures import activation_at
from lens.precision import autocast

if TYPE_CHECKING:
    from lens.featurevis.visualization import Visualization

_AT_ONCE = 32


@dataclass(frozen=True)
class Excited:
    """What images do to their own units, and how that stands among the site's other units."""

    plain: Float[np.ndarray, " images"]
    held_out: Float[np.ndarray, " images"]
    kinds: dict[str, Float[np.ndarray, " images"]]
    selectivity: Float[np.ndarray, " images"]
    rank: Int[np.ndarray, " images"]


def excited(
    vis: Visualization,
    known: Reference,
    numbers: Int[np.ndarray, " images"],
    copies: Int[np.ndarray, " images"],
    seed: int,
    draws: int,
    bf16: bool,
    progress: bool,
) -> Excited:
    """Show every image as it is and under each kind of change, ``draws`` times."""
    plain = np.empty(len(vis), dtype=np.float32)
    selectivity, rank = np.empty(len(vis)), np.empty(len(vis), dtype=int)
    kinds = {kind: np.empty(len(vis), dtype=np.float32) for kind in held_out.CHANGES}
    middle, deviation = known.values.mean(0), known.values.std(0)
    deviation[known.values.max(0) == known.values.min(0)] = 0  # rounding leaves a little
    for start in tqdm(range(0, len(vis), _AT_ONCE), desc="quality", disable=not progress):
        part = slice(start, start + _AT_ONCE)
        images = torch.from_numpy(vis.images[part]).permute(0, 3, 1, 2).float() / 255
        own = numbers[part]
        row = np.arange(len(own))
        generators = [
            held_out.generator(seed, int(unit), int(copy))
            for unit, copy in zip(own, copies[part], strict=True)
        ]
        plain[part] = _seen(known, images, bf16)[row, own]
        everything = np.zeros((len(own), known.site.n_units))
        for kind, values in kinds.items():
            seen = [
                _seen(known, held_out.changed(kind, images, generators), bf16)
                for _ in range(1 if kind == "mirrored" else draws)  # there is one mirror image
            ]
            mean = np.mean(seen, axis=0)
            values[part] = mean[row, own]
            everything += mean / len(kinds)
        selectivity[part], rank[part] = _standing(everything, own, middle, deviation)
    together = np.mean(list(kinds.values()), axis=0)
    return Excited(plain, together, kinds, selectivity, rank)


@torch.no_grad()
def _seen(
    known: Reference, images: Float[Tensor, "n 3 h w"], bf16: bool
) -> Float[np.ndarray, "n units"]:
    site = known.site
    model = site.model
    coloured = images if len(model.mean) == 3 else images.mean(1, keepdim=True)
    shown = model.normalize(coloured).contiguous(memory_format=torch.channels_last)
    with autocast(model.device, bf16):
        tensor = forward_to(site, shown)[site.name]
    return activation_at(site, tensor, known.at).cpu().numpy()


def _standing(
    values: Float[np.ndarray, "images units"],
    own: Int[np.ndarray, " images"],
    middle: Float[np.ndarray, " units"],
    deviation: Float[np.ndarray, " units"],
) -> tuple[Float[np.ndarray, " images"], Int[np.ndarray, " images"]]:
    """Percent of the other units that are excited less, in own deviations, and the own rank.

    Units that answer to all stimuli alike have no scale of their own: as others they are left out;
    an image for one of them has no standing (NaN, and the last rank).
    """
    alive = deviation > 0
    z = (values - middle) / np.where(alive, deviation, np.inf)
    mine = z[np.arange(len(own)), own]
    others = np.tile(alive, (len(own), 1))
    others[np.arange(len(own)), own] = False
    more = ((z > mine[:, None]) & others).sum(1)
    less = ((z < mine[:, None]) & others).sum(1)
    beside = others.sum(1)
    share = 100 * (less + beside - more) / 2 / np.maximum(beside, 1)  # an equal counts half
    known = alive[own]
    return np.where(known & (beside > 0), share, np.nan), np.where(known, more + 1, len(alive))
