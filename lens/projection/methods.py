"""Ways of laying vectors out on a plane, each a function that gives a fitted map."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from lens.errors import BadInput, MissingOption, suggestion

__all__ = ["METHODS", "Fitted", "fit", "pca"]

Rows = Float[np.ndarray, "n dim"]
#: Fewer points than this have no neighbourhoods to speak of; any method then is PCA.
FEW = 5


@dataclass(frozen=True, eq=False)
class Fitted:
    """A map, and how to put more points onto it.

    Attributes
    ----------
    method : str
        What really made it.
    placed : ndarray
        (n, 2) float32.
    transform : callable
        From (m, dim) to (m, 2), in the same frame.
    settings : dict
        What it was made with.
    """

    method: str
    placed: Float[np.ndarray, "n 2"]
    transform: Callable[[Rows], Float[np.ndarray, "m 2"]]
    settings: Mapping[str, Any]


def fit(method: str, rows: Rows, *, neighbours: int, seed: int, **settings: Any) -> Fitted:
    """Lay rows out by a method's name.

    Parameters
    ----------
    method
        "umap", "pca" or "tsne".
    rows
        (n, dim), n > 0: as the metric wants them, so that Euclidean distances are right.
    neighbours
        Of each point that UMAP connects it with; t-SNE's perplexity where that is not given.
    seed
        Of all that is random.
    settings
        The method's own, over what is chosen here.

    Raises
    ------
    BadInput
        For an unknown method or setting.
    MissingOption
        If the method's library is not installed.
    """
    make = METHODS[check_method(method)]
    if len(rows) < FEW:
        make, settings = pca, {}
    return make(rows, neighbours=neighbours, seed=seed, **settings)


def check_method(method: str) -> str:
    """Give a method's name as it is known, or the nearest ones in an error."""
    known = str(method).lower().replace("-", "")
    if known not in METHODS:
        raise BadInput(
            f"There is no projection {method!r}: it is {', '.join(METHODS)}."
            f"{suggestion(known, METHODS)}"
        )
    return known


def pca(rows: Rows, *, neighbours: int = 0, seed: int = 0, **settings: Any) -> Fitted:
    """Project onto the two directions of largest variance; closed form, nothing random.

    A direction's sign is the one that makes its largest coordinate positive.
    """
    _check(settings, ())
    exact = rows.astype(np.float64)
    mean = exact.mean(axis=0)
    centred = exact - mean
    if rows.shape[0] > rows.shape[1]:  # the same directions, from a (dim, dim) matrix
        variance, directions = np.linalg.eigh(centred.T @ centred)
        variance, axes = variance[::-1], directions.T[::-1]
    else:
        _, values, axes = np.linalg.svd(centred, full_matrices=False)
        variance = values**2
    axes = axes[:2] * np.sign(np.take_along_axis(axes[:2], np.abs(axes[:2]).argmax(1)[:, None], 1))
    if len(axes) < 2:  # one dimension, or one point
        axes = np.concatenate([axes, np.zeros((2 - len(axes), rows.shape[1]))])
    total = float(np.maximum(variance, 0).sum())
    shares = [float(max(v, 0) / total) if total else 0.0 for v in variance[:2]]

    def transform(more: Rows) -> Float[np.ndarray, "m 2"]:
        return ((more.astype(np.float64) - mean) @ axes.T).astype(np.float32)

    return Fitted("pca", transform(rows), transform, {"explained": shares})


def umap(rows: Rows, *, neighbours: int, seed: int, **settings: Any) -> Fitted:
    """UMAP (McInnes, Healy & Melville 2018) by umap-learn, on one thread, begun from PCA.

    Beginning from PCA keeps the large distances meaningful and makes the map the same every time
    (Kobak & Linderman 2021).
    """
    from umap import UMAP

    _check(settings, inspect.signature(UMAP.__init__).parameters)
    chosen: dict[str, Any] = {
        "n_neighbors": min(neighbours, len(rows) - 1),
        "min_dist": 0.1,
        "metric": "euclidean",
        "init": _begin(rows, 10.0),
        "random_state": seed,
        "n_jobs": 1,
        **settings,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on one thread because of the seed, which is meant
        model = UMAP(**chosen).fit(rows)
    told = {name: value for name, value in chosen.items() if name not in ("init", "n_jobs")}

    def transform(more: Rows) -> Float[np.ndarray, "m 2"]:
        # Its own transform draws from the state that fitting left; begin from the seed each time.
        model.transform_seed = seed
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(model.transform(more), np.float32)

    return Fitted("umap", np.asarray(model.embedding_, np.float32), transform, told)


def tsne(rows: Rows, *, neighbours: int, seed: int, **settings: Any) -> Fitted:
    """t-SNE (van der Maaten & Hinton 2008) by openTSNE, on one thread, begun from PCA."""
    try:
        from openTSNE import TSNE
    except ImportError as error:
        raise MissingOption(
            "method='tsne' needs openTSNE: pip install 'lens-workbench[tsne]'; method='umap' and "
            "method='pca' need nothing more."
        ) from error
    _check(settings, inspect.signature(TSNE.__init__).parameters)
    chosen: dict[str, Any] = {
        "perplexity": min(2.0 * neighbours, (len(rows) - 1) / 3),
        "metric": "euclidean",
        "initialization": _begin(rows, 1e-4),
        "random_state": seed,
        "n_jobs": 1,
        **settings,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = TSNE(**chosen).fit(rows)
    told = {name: v for name, v in chosen.items() if name not in ("initialization", "n_jobs")}

    def transform(more: Rows) -> Float[np.ndarray, "m 2"]:
        few = min(chosen["perplexity"], 5)
        return np.asarray(model.transform(more, perplexity=few), np.float32)

    return Fitted("tsne", np.asarray(model, np.float32), transform, told)


METHODS: dict[str, Callable[..., Fitted]] = {"umap": umap, "pca": pca, "tsne": tsne}


def _begin(rows: Rows, size: float) -> Any:
    """Where a method that improves step by step begins: PCA, its first axis of a given spread.

    Points that all coincide give no beginning: "random".
    """
    placed = pca(rows).placed
    spread = placed[:, 0].std() if size < 1 else np.abs(placed).max()
    return (placed * (size / spread)).astype(np.float32) if spread > 0 else "random"


def _check(settings: Mapping[str, Any], known: Any) -> None:
    names = [name for name in known if name not in ("self", "kwargs")]
    for name in settings:
        if name not in names:
            raise BadInput(f"This projection has no setting {name!r}.{suggestion(name, names)}")
