"""From whatever the user has to points: arrays, activations, stores, pictures, texts, units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from lens.capture.activations import Activations
from lens.errors import BadInput
from lens.projection.points import Points, columns_of, joined
from lens.sites import Site, Unit
from lens.store import Store

if TYPE_CHECKING:
    from lens.model import Model

__all__ = ["Gathered", "embedded", "gather"]

# Pictures that say where a unit stands.
TOP = 9


@dataclass(frozen=True, eq=False)
class Gathered:
    """Points, and what is known beside them.

    Attributes
    ----------
    points : Points
    model : Model or None
        What embeds more texts and pictures into the same space.
    activations : dict
        Values of units ("image.layer4/17"), one for each row of the pictures.
    source : Activations or Store or None
        Where more of these are.
    """

    points: Points
    model: Model | None
    activations: dict[str, Float[np.ndarray, " rows"]] = field(default_factory=dict)
    source: Any = None


def gather(
    data: Any,
    *,
    labels: Any,
    images: Any,
    texts: Sequence[str] | None,
    units: Sequence[Unit] | Unit | None,
    model: Model | None,
    site: str | Site | None,
    pool: Any,
    batch_size: int,
    progress: bool,
) -> Gathered:
    """Turn what `lens.project` is given into points; its docstring says what that can be."""
    wanted = [units] if isinstance(units, Unit) else list(units or [])
    for unit in wanted:
        if not isinstance(unit, Unit):
            raise BadInput(f"units are units of a site, such as site.units(), not {unit!r}.")
    model = wanted[0].model if model is None and wanted else model
    if data is None and images is not None:
        data, images = images, None
    only_units = data is None and bool(wanted)
    if only_units:
        from lens.data import glyphs

        data = glyphs().stimuli(per_cell=4)
    if data is None and texts is None:
        raise BadInput("There is nothing to project: give vectors, activations, pictures or texts.")
    if isinstance(data, (list, tuple)) and data and all(isinstance(one, str) for one in data):
        data, texts = None, [*data, *(texts or [])]  # a str is a text, as for model.embed
        labels_of_texts, labels = labels, None
    else:
        labels_of_texts = labels if data is None else None

    parts: list[Points] = []
    activations: dict[str, np.ndarray] = {}
    source = None
    if isinstance(data, Activations | Store):
        source = data
        own, model = _captured(data, site, pool, images, labels, model)
        parts.append(own)
    elif _is_vectors(data):
        parts.append(_vectors(data, images, texts, labels))
    elif data is not None:
        seen = [unit.site.pre_activation for unit in wanted]
        own, captured = _looked_at(data, model, site, pool, seen, labels, batch_size, progress)
        if wanted:
            activations = {_id(unit): _of_unit(captured, unit) for unit in wanted}
            parts.extend([] if only_units else [own])
            parts.append(_units(wanted, own, activations))
            activations = {} if only_units else activations
        else:
            parts.append(own)
    if wanted and not activations and not only_units:
        raise BadInput(
            "Units are placed by the pictures they answer to; give pictures and a model."
        )
    if texts is not None and not (_is_vectors(data) and _count(data) == len(texts) and not model):
        parts.append(_texts(texts, labels_of_texts, model, batch_size))
    return Gathered(joined(parts).finite(), model, activations, source)


def embedded(
    model: Model, pictures: Any, batch_size: int = 64, progress: bool = False
) -> Float[np.ndarray, "n dim"]:
    """Embed pictures in the joint space, rows of length 1; none of them may be unreadable."""
    from lens.capture.run import capture

    found: Any = capture(
        model,
        pictures,
        "image.embedding",
        batch_size=batch_size,
        progress=progress,
        strict=True,
    )
    return _unit_rows(found["image.embedding"])


def _captured(
    data: Any, site: Any, pool: Any, pictures: Any, labels: Any, model: Model | None
) -> tuple[Points, Model | None]:
    """The values of one site, read a block at a time where they are on disk."""
    name = data._name(site)
    where = data.sites[name]
    vectors = np.asarray(data.values_of(name, pool), np.float32)
    ids = [str(one) for one in data.inputs]
    valid = getattr(data, "valid", np.ones(len(vectors), bool))
    skipped = list(data.skipped)
    table = getattr(pictures, "table", None)
    if pictures is not None and len(pictures) not in (len(vectors), len(vectors) + len(skipped)):
        raise BadInput(f"There are {len(pictures):,} images and {len(vectors):,} activations.")
    if pictures is not None and len(pictures) != len(vectors):
        raise BadInput(
            f"{len(skipped)} inputs were skipped when the activations were captured; give the "
            f"images without them."
        )
    kind = where.tower if where.tower in ("image", "text") else "point"
    n = len(vectors)
    whole = Points(
        vectors,
        ids,
        np.full(n, kind),
        columns_of(labels, n, table, "rows of activations"),
        pictures,
        np.arange(n) if pictures is not None else np.full(n, -1),
        skipped,
    )
    if model is None and name.endswith(".embedding"):
        model = getattr(where, "model", None)
    return (whole if valid.all() else whole.only(valid, ())), model


def _vectors(data: Any, pictures: Any, texts: Any, labels: Any) -> Points:
    vectors = np.asarray(data.detach().cpu() if isinstance(data, Tensor) else data)
    if vectors.size == 0 and vectors.ndim < 2:
        vectors = vectors.reshape(0, 1)
    if vectors.ndim != 2:
        size = " x ".join(map(str, vectors.shape))
        raise BadInput(f"Vectors come as (points, numbers), not as an array of {size}.")
    n = len(vectors)
    if pictures is not None and len(pictures) != n:
        raise BadInput(f"There are {len(pictures):,} images and {n:,} vectors.")
    if not np.issubdtype(vectors.dtype, np.number) and vectors.dtype != bool:
        raise BadInput(f"Vectors are numbers, not {vectors.dtype}.")
    if np.iscomplexobj(vectors):
        raise BadInput("Vectors are real numbers; take .real and .imag apart.")
    if n and vectors.shape[1] == 0:
        raise BadInput(f"The {n:,} vectors have no numbers: the array has the shape ({n}, 0).")
    named = pictures is None and texts is not None and len(texts) == n
    kind = "image" if pictures is not None else "text" if named else "point"
    if named:
        ids = [str(text) for text in texts]
    else:
        index = getattr(data, "index", None)  # a table's own names
        ids = [str(i) for i in (index if index is not None and not callable(index) else range(n))]
    return Points(
        vectors.astype(np.float32),
        ids,
        np.full(n, kind),
        columns_of(labels, n, getattr(pictures, "table", None), "vectors"),
        pictures,
        np.arange(n) if pictures is not None else np.full(n, -1),
        [],
    )


def _looked_at(
    data: Any,
    model: Model | None,
    site: Any,
    pool: Any,
    seen: Sequence[Site],
    labels: Any,
    batch_size: int,
    progress: bool,
) -> tuple[Points, Any]:
    """Pictures, embedded: or as one site of the model sees them."""
    from lens.capture.inputs import batch_ndim_of, each_item, files_below, is_many
    from lens.capture.run import capture

    if model is None:
        raise BadInput(
            f"Pictures ({type(data).__name__}) are embedded by a model: lens.project(..., "
            f"model=lens.load())."
        )
    if "image" not in model.towers:
        raise BadInput(f"{model.name} has no image tower; it has: {', '.join(model.towers)}.")
    items: Any = data
    ndim = batch_ndim_of(model)
    if is_many(data, ndim) and not hasattr(data, "shape"):
        items = files_below(_folder(data))
    elif isinstance(data, (list, tuple)):
        items = [item for _, item in each_item(data, ndim)]
    if not len(items):
        return _vectors(np.zeros((0, 1)), None, None, None), {}
    name = "image.embedding" if site is None else model.site(_named(site)).name
    if site is None and not model.has_site(name):
        raise BadInput(f"{model.name} gives no single vector for a picture; name a site: site=...")
    wanted = list({where.name: where for where in [model.site(name), *seen]}.values())
    captured: Any = capture(
        model, items, wanted, reduce=pool or "mean", batch_size=batch_size, progress=progress
    )
    vectors = captured[name]
    vectors = _unit_rows(vectors) if site is None else vectors
    skipped = {label for label, _ in captured.skipped}
    rows = np.arange(len(items))
    if skipped:
        given = [_label(item, i) for i, item in enumerate(items)]
        rows = np.array([i for i in rows if given[i] not in skipped], int)
    columns = columns_of(labels, len(items), getattr(data, "table", None), "pictures")
    own = Points(
        vectors,
        list(captured.inputs),
        np.full(len(vectors), "image"),
        columns.iloc[rows].reset_index(drop=True),
        items,
        rows,
        list(captured.skipped),
    )
    return own, captured


def _texts(texts: Sequence[str], labels: Any, model: Model | None, batch_size: int) -> Points:
    texts = [texts] if isinstance(texts, str) else list(texts)
    if model is None:
        raise BadInput("Texts are embedded by a model: lens.project(..., model=lens.load()).")
    n = len(texts)
    vectors = model.embed(texts, batch_size) if n else np.zeros((0, 1), np.float32)
    return Points(
        vectors,
        texts,
        np.full(n, "text"),
        columns_of(labels, n, None, "texts"),
        None,
        np.full(n, -1),
        [],
    )


def _units(wanted: Sequence[Unit], seen: Points, activations: dict[str, np.ndarray]) -> Points:
    """Place units among the pictures that excite them most: at the mean of their embeddings."""
    import pandas as pd

    ids = [_id(unit) for unit in wanted]
    top = [np.argsort(-activations[name], kind="stable")[:TOP] for name in ids]
    vectors = np.stack([seen.vectors[rows].mean(axis=0) for rows in top])
    n = len(ids)
    columns = pd.DataFrame({"site": [unit.site.name for unit in wanted]})
    return Points(vectors, ids, np.full(n, "unit"), columns, None, np.full(n, -1), [])


def _of_unit(captured: Any, unit: Unit) -> Float[np.ndarray, " rows"]:
    return np.asarray(captured[unit.site.pre_activation.name][:, unit.index], np.float32)


def _id(unit: Unit) -> str:
    return f"{unit.site.name}/{unit.index}"


def _is_vectors(data: Any) -> bool:
    """Tell (n, dim) numbers from pictures."""
    if hasattr(data, "columns") and hasattr(data, "to_numpy"):
        return True
    if isinstance(data, np.ndarray | Tensor):
        return data.ndim <= 2 or 0 in data.shape
    if isinstance(data, (list, tuple)):
        return not data or all(
            isinstance(row, (list, tuple)) or getattr(row, "ndim", 0) == 1 for row in data
        )
    return False


def _count(data: Any) -> int:
    return len(data) if hasattr(data, "__len__") else -1


def _named(site: str | Site) -> str:
    return site if isinstance(site, str) else site.name


def _label(item: Any, number: int) -> str:
    from lens.capture.inputs import label_of

    return label_of(item[0] if isinstance(item, tuple) else item, number)


def _folder(data: Any) -> Any:
    from pathlib import Path

    return Path(data).expanduser()


def _unit_rows(vectors: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
    vectors = np.asarray(vectors, np.float32)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
