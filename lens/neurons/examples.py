"""Dataset examples: the stimuli that excite a unit most, and where in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from lens.capture.hooks import forward_to
from lens.neurons.responses import Responses, batches, pictures
from lens.sites import unit_maps

SIZE = 96


@dataclass(frozen=True, eq=False)
class Example:
    """One stimulus, as a unit sees it.

    Attributes
    ----------
    image
        (96, 96, 3) uint8.
    heat
        (height, width) float32 in [0, 1]: the unit's own map of this stimulus, where 0 is no
        excitement and 1 its largest; (1, 1) zero at a site without places.
    concept, rendering
        What the stimulus shows.
    value
        The unit's value.
    row
        Which of the stimuli it is; -1 where that is not known.
    """

    image: UInt8[np.ndarray, "96 96 3"]
    heat: Float[np.ndarray, "height width"]
    concept: str
    rendering: str
    value: float
    row: int = -1


def top_examples(
    measured: Responses, unit: int, count: int = 12, per_cell: int = 2
) -> list[Example]:
    """Give the stimuli with the largest values, best first.

    Parameters
    ----------
    measured
        The responses of the unit's site.
    unit
        Its number.
    count
        How many at most.
    per_cell
        At most so many of the same concept in the same rendering: else the twelve best may be
        one picture twelve times.
    """
    return show(measured, unit, top_rows(measured, unit, count, per_cell))


def top_rows(
    measured: Responses,
    unit: int,
    count: int,
    per_cell: int = 2,
    within: np.ndarray | None = None,
) -> np.ndarray:
    """Give the rows of the stimuli with the largest values, best first.

    Parameters
    ----------
    within
        True for the rows to choose from; all of them if not given.
    """
    table = measured.table
    order = np.argsort(-measured.values[:, unit], kind="stable")
    if within is not None:
        order = order[within[order]]
    cell = table["concept"].astype(str) + "\0" + table["rendering"].astype(str)
    place_in_cell = cell.iloc[order].groupby(cell.iloc[order]).cumcount().to_numpy()
    return order[place_in_cell < per_cell][:count]


def show(measured: Responses, unit: int, rows: np.ndarray) -> list[Example]:
    """Turn rows into examples; only these stimuli go through the model again, for their maps."""
    if not len(rows):
        return []
    images, heats = pictures(measured.stimuli, rows), heat(measured, unit, rows)
    table = measured.table.iloc[rows]
    return [
        Example(
            image=_sized(image),
            heat=spots,
            concept=str(concept),
            rendering=str(rendering),
            value=float(measured.values[row, unit]),
            row=int(row),
        )
        for row, image, spots, concept, rendering in zip(
            rows, images, heats, table["concept"], table["rendering"], strict=True
        )
    ]


@torch.no_grad()
def heat(measured: Responses, unit: int, rows: np.ndarray) -> list[Float[np.ndarray, "h w"]]:
    """Map, for each row, where the unit is excited.

    Negative values are no excitement; where a unit is negative everywhere, its least negative place
    is still shown.
    """
    site = measured.site
    if site.grid is None:
        return [np.zeros((1, 1), dtype=np.float32) for _ in rows]
    maps = [
        unit_maps(site, forward_to([site], batch)[site.name])[:, unit].float().cpu().numpy()
        for batch in batches(measured.stimuli, site.model, np.asarray(rows), 16)
    ]
    return [_scaled(spots) for spots in np.concatenate(maps)]


def _scaled(spots: np.ndarray) -> np.ndarray:
    low = 0.0 if spots.max() > 0 else spots.min()
    spread = spots.max() - low
    if spread <= 0:
        return np.zeros(spots.shape, dtype=np.float32)
    return np.clip((spots - low) / spread, 0, 1).astype(np.float32)


def _sized(image: np.ndarray) -> np.ndarray:
    if image.shape == (SIZE, SIZE, 3):
        return image
    return np.asarray(Image.fromarray(image).resize((SIZE, SIZE), Image.Resampling.LANCZOS))
