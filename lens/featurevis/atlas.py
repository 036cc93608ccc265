"""An activation atlas: what a layer tells apart, as one map of many small pictures.

Activations of a data set, one or a few places of each image, are laid out in the plane so that
alike ones are near each other; the plane is cut into cells, and of each cell's mean activation a
picture is made.

References
----------
Carter, Armstrong, Schubert, Johnson, Olah, "Activation Atlas", Distill 2019 (one random place of
each image, UMAP, a grid of means, whitened directions under a cosine objective).
McInnes, Healy, Melville, "UMAP", 2018.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from lens.capture.run import capture
from lens.errors import BadInput, MissingOption
from lens.featurevis import captioned
from lens.featurevis.objectives import Place, cosine_direction
from lens.featurevis.render import visualize
from lens.featurevis.visualization import Visualization
from lens.sites import Site, by_position

Layout = Literal["umap", "pca"]


@dataclass(frozen=True, eq=False, repr=False)
class Atlas:
    """A map of what a site's activations are like.

    Attributes
    ----------
    site
        Where they were taken.
    positions
        Of every sampled activation in the plane, both coordinates in [0, 1], the second downwards.
    source
        The number of the image and of the place in it (row by row) of every sampled activation.
    cell_of
        Row and column of the cell that each lies in.
    counts
        Activations in each cell, (grid, grid).
    cells
        Row and column of the cells that were pictured, in the order of ``pictures``.
    means
        The mean activation of each pictured cell.
    pictures
        One image a pictured cell.
    layout
        How the plane was made.
    """

    site: Site
    positions: Float[np.ndarray, "samples 2"]
    source: Int[np.ndarray, "samples 2"]
    cell_of: Int[np.ndarray, "samples 2"]
    counts: Int[np.ndarray, "grid grid"]
    cells: Int[np.ndarray, "cells 2"]
    means: Float[np.ndarray, "cells units"]
    pictures: Visualization
    layout: Layout

    def __len__(self) -> int:
        return len(self.cells)

    def members(self, row: int, column: int) -> Int[np.ndarray, "members 2"]:
        """Image and place of the activations in one cell."""
        return self.source[(self.cell_of == (row, column)).all(1)]

    def sheet(self, tile: int = 64) -> Image.Image:
        """The map: each cell's picture in its place, the larger the more activations it holds."""
        grid = len(self.counts)
        page = Image.new("RGB", (grid * tile, grid * tile), "white")
        most = max(int(self.counts.max()), 1)
        for (row, column), picture in zip(self.cells, self.pictures, strict=True):
            # The area follows the count; a third of the width can still be seen.
            share = max(1 / 3, float(self.counts[row, column] / most) ** 0.25)
            side = max(1, round(share * (tile - 2)))
            corner = (tile - side) // 2
            small = picture.resize((side, side), Image.Resampling.LANCZOS)
            page.paste(small, (int(column) * tile + corner, int(row) * tile + corner))
        return page

    def _repr_png_(self) -> bytes:
        return captioned.png(self.sheet())

    def _repr_html_(self) -> str:
        return captioned.figure(self.sheet(), repr(self))

    def __repr__(self) -> str:
        grid = len(self.counts)
        return (
            f"Atlas of {self.site.name} of {self.site.model.name}: {len(self.positions)} "
            f"activations by {self.layout}, {len(self)} of {grid} x {grid} cells pictured"
        )


def activation_atlas(
    site: Site,
    images: Any,
    *,
    per_image: int = 1,
    grid: int = 8,
    least: int = 3,
    layout: Layout = "umap",
    whiten: bool = True,
    power: float = 2.0,
    at: Place = "mean",
    steps: int = 128,
    size: int | None = None,
    seed: int = 0,
    progress: bool = True,
    **options: Any,
) -> Atlas:
    """Make an activation atlas of an image site.

    Parameters
    ----------
    site
        A site with places, such as ``model.site("image.layer3")``; one without has one place.
    images
        Whatever ``lens.capture`` takes: pictures, stimuli, a folder.
    per_image
        Random places sampled from each image, without repetition.
    grid
        Cells a side.
    least
        A cell with fewer activations is not pictured.
    layout
        ``"umap"`` (needs umap-learn) or ``"pca"``, which takes no time.
    whiten
        Multiply each mean by the inverse of the activations' second moments, so that pictures show
        what sets a cell apart and not what all cells have.
    power
        Of the cosine in the objective, see ``objectives.cosine_direction``.
    at
        Where in its map a picture is to show the direction.
    steps, size
        Of the pictures, see ``visualize``.
    seed
        Decides places, layout and pictures.
    progress
        Whether to show progress bars.
    **options
        Further ones of ``visualize``.

    Returns
    -------
    Atlas
        Pictures, positions, counts.

    Raises
    ------
    BadInput
        For too few images, a site that sees none, or numbers that can't be.
    MissingOption
        Where UMAP is asked for and not installed.
    """
    _check(site, per_image=per_image, grid=grid, least=least)
    if layout not in ("umap", "pca"):
        raise BadInput(f"layout is 'umap' or 'pca', not {layout!r}.")
    values, source = _sampled(site, images, per_image, seed, progress)
    if len(values) < 4:
        raise BadInput(f"{len(values)} activations are too few for an atlas: show more images.")
    plane = _umap(values, seed) if layout == "umap" else _pca(values)
    positions = _framed(plane)
    cell_of = np.minimum((positions * grid).astype(int), grid - 1)[:, ::-1]
    counts = np.zeros((grid, grid), int)
    np.add.at(counts, tuple(cell_of.T), 1)
    cells = np.argwhere(counts >= least)
    if not len(cells):
        raise BadInput(
            f"no cell holds {least} of the {len(values)} activations: "
            "show more images, or use a smaller grid or least=1."
        )
    means = np.stack([values[(cell_of == cell).all(1)].mean(0) for cell in cells])
    directions = means @ _unmixing(values) if whiten else means
    # Only the direction matters; all of one length climb alike.
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True).clip(1e-12)
    pictures = visualize(
        [cosine_direction(site, direction, power, at) for direction in directions],
        steps=steps,
        size=size,
        seed=seed,
        progress=progress,
        **options,
    )
    if len(pictures) < len(cells):  # interrupted: the map shows the cells that are finished
        cells, means = cells[: len(pictures)], means[: len(pictures)]
    return Atlas(site, positions, source, cell_of, counts, cells, means, pictures, layout)


def _check(site: Any, **numbers: Any) -> None:
    if not isinstance(site, Site):
        raise BadInput(
            f"an atlas is of a site, not of {type(site).__name__}; "
            "model.site('image.layer3') is one."
        )
    if site.tower != "image":
        raise BadInput(
            f"{site.name} is in the {site.tower} tower and sees no image; "
            "'image.layer3' would be a site for an atlas."
        )
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise BadInput(f"{name} is a whole number, at least 1, not {value!r}.")


def _sampled(
    site: Site, images: Any, per_image: int, seed: int, progress: bool
) -> tuple[Float[np.ndarray, "samples units"], Int[np.ndarray, "samples 2"]]:
    """Activations at random places, and which places these are."""
    random = np.random.default_rng(seed)
    chosen: list[np.ndarray] = []

    def some(site: Site, tensor: Tensor) -> Tensor:
        # Batch by batch, so that the maps of the whole data set are never held at once.
        placed = by_position(site, tensor)[:, site.n_prefix :]
        count = min(per_image, placed.shape[1])
        own = [np.sort(random.permutation(placed.shape[1])[:count]) for _ in placed]
        chosen.extend(own)
        where = torch.as_tensor(np.stack(own), device=placed.device)
        return placed.gather(1, where[:, :, None].expand(-1, -1, placed.shape[2]))

    found = capture(site.model, images, sites=[site], reduce=some, progress=progress)[site]
    places = np.stack(chosen)
    rows = np.repeat(np.arange(len(places)), places.shape[1])
    values = np.asarray(found, dtype=np.float32).reshape(len(rows), -1)
    return values, np.stack([rows, places.ravel()], 1)


def _umap(values: Float[np.ndarray, "samples units"], seed: int) -> Float[np.ndarray, "samples 2"]:
    try:
        # It compiles itself for half a minute on a machine's first import.
        from umap import UMAP
    except ImportError as problem:
        raise MissingOption(
            "layout='umap' needs umap-learn: pip install umap-learn, or use layout='pca'."
        ) from problem
    near = min(20, len(values) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed forbids threads
        plane = UMAP(
            n_neighbors=max(near, 2),
            min_dist=0.1,
            metric="cosine",
            init="pca",
            random_state=seed,
            n_jobs=1,
        ).fit_transform(values)
    return np.asarray(plane, dtype=np.float32)


def _pca(values: Float[np.ndarray, "samples units"]) -> Float[np.ndarray, "samples 2"]:
    centred = values.astype(np.float64) - values.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2][np.arange(2), np.abs(axes[:2]).argmax(1)])[:, None]
    return (centred @ axes.T).astype(np.float32)


def _framed(plane: Float[np.ndarray, "samples 2"]) -> Float[np.ndarray, "samples 2"]:
    """Into the unit square; a few outliers on each side go to its border."""
    low, high = np.percentile(plane, [1, 99], axis=0)
    return ((plane - low) / np.maximum(high - low, 1e-12)).clip(0, 1)


def _unmixing(values: Float[np.ndarray, "samples units"]) -> Float[np.ndarray, "units units"]:
    """The inverse of the uncentred second moments, kept from exploding where there is no data."""
    x = values.astype(np.float64)
    moments = x.T @ x / len(x)
    floor = 0.1 * np.trace(moments) / len(moments)
    return np.linalg.inv(moments + floor * np.eye(len(moments)))
