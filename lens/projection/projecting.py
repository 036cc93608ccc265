"""`lens.project`: vectors in, a map out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from lens.errors import BadInput
from lens.projection.gathering import gather
from lens.projection.methods import FEW, check_method, fit
from lens.projection.points import in_space
from lens.projection.projection import Projection
from lens.projection.quality import measured

if TYPE_CHECKING:
    from lens.model import Model
    from lens.sites import Site, Unit

__all__ = ["project"]

# What takes long, and why.
SAID = {
    "umap": "loading UMAP, a minute the first time on a machine",
    "tsne": "t-SNE",
    "pca": "PCA",
}


def project(
    data: Any = None,
    method: str = "umap",
    *,
    labels: Any = None,
    seed: int = 0,
    images: Any = None,
    texts: Sequence[str] | None = None,
    model: Model | None = None,
    units: Sequence[Unit] | Unit | None = None,
    site: str | Site | None = None,
    pool: str | None = None,
    metric: str = "cosine",
    neighbours: int = 15,
    vocabulary: Sequence[str] | None = None,
    batch_size: int = 64,
    progress: bool = True,
    **settings: Any,
) -> Projection:
    """Lay many vectors out as a map, and measure how far it can be trusted.

    Parameters
    ----------
    data
        Vectors (n, dim) as an array, tensor or table; what `lens.capture` returned, in memory or as
        a store; or pictures, files, a folder, a data set or stimuli for `model` to embed.
    method : {"umap", "pca", "tsne"}
        UMAP and PCA come with the package, t-SNE with its extra ``tsne``. The same seed makes the
        same map.
    labels
        What points can be coloured by: one value a point, several such by name (a dict or
        DataFrame), or the name of a column of the stimuli's table. That table is taken by itself.
    seed : int
        Of all that is random.
    images
        The pictures that vectors or activations are of, in their order.
    texts : sequence of str, optional
        More points: texts, embedded by `model`. With vectors and no model, what each vector is of.
    model : Model, optional
        Embeds pictures and texts, and answers searches by text.
    units : Unit or sequence of Unit, optional
        More points: each unit at the mean embedding of the nine pictures that excite it most (of
        the map's own pictures; of the glyphs where there are none).
    site : str or Site, optional
        Which site of the activations; with pictures, the site to look at instead of the embedding.
    pool : str, optional
        How a site's places become one value: "mean", "max", "cls" or "eot".
    metric : {"cosine", "euclidean"}
        How nearness is measured. Pictures, texts and units on one map are each centred first.
    neighbours : int
        Of each point: that UMAP keeps together, and that the quality is measured by.
    vocabulary : sequence of str, optional
        Words that clusters are named by; the points' labels and the glyphs' concepts by default.
    batch_size : int
        Inputs a forward pass.
    progress : bool
        Whether to show what is being done.
    settings
        The method's own settings, such as ``min_dist=0.3``.

    Returns
    -------
    Projection
        Shows itself as an embedding map in a notebook; ``.save("map.html")`` writes it.

    Raises
    ------
    BadInput
        For an unknown method or setting, labels or pictures that are not as many as the points, or
        nothing to project.
    MissingOption
        If the method's library is not installed.

    Examples
    --------
    >>> model = lens.load()
    >>> proj = lens.project(lens.data.glyphs().stimuli(per_cell=4), model=model)
    >>> proj.search("dog")
    >>> proj = lens.project(acts, site="image.layer4", method="pca")
    """
    chosen = check_method(method)
    if neighbours < 2:
        raise BadInput(f"neighbours is at least 2, not {neighbours}.")
    if int(seed) != seed or seed < 0:
        raise BadInput(f"seed is a whole number from 0 on, not {seed!r}.")
    gathered = gather(
        data,
        labels=labels,
        images=images,
        texts=texts,
        units=units,
        model=model,
        site=site,
        pool=pool,
        batch_size=batch_size,
        progress=progress,
    )
    points = gathered.points
    space = in_space(points, metric)
    with tqdm(total=2, desc=SAID[chosen], disable=not progress, leave=False) as bar:
        if len(points):
            fitted = fit(chosen, space.rows, neighbours=neighbours, seed=int(seed), **settings)
        else:
            from lens.projection.methods import Fitted

            fitted = Fitted("pca", space.rows[:, :2], lambda more: more[:, :2], {})
        bar.update()
        bar.set_description("measuring the map")
        quality = measured(space.rows, fitted.placed, neighbours, int(seed))
        bar.update()
    notes = _notes(len(points), chosen, fitted.method, neighbours, points.left_out)
    return Projection(gathered, fitted, space, quality, int(seed), vocabulary, notes)


def _notes(
    n: int, wanted: str, method: str, neighbours: int, left_out: Sequence[tuple[str, str]]
) -> list[str]:
    """Say in sentences what is unlike what was asked for."""
    said = []
    if n == 0:
        said.append("There are no points to show.")
    elif n == 1:
        said.append("There is one point; a map begins with two.")
    elif n < FEW and wanted != method:
        said.append(f"{n} points are too few for {wanted.upper()}: this is PCA.")
    elif n <= neighbours and wanted != "pca":
        said.append(f"There are {n} points, so each has {n - 1} neighbours, not {neighbours}.")
    if left_out:
        name, why = left_out[0]
        more = f", and {len(left_out) - 1:,} more" if len(left_out) > 1 else ""
        said.append(f"Left out: {name} ({why}){more}; .points.left_out has all.")
    return said
