"""A map as a file: interactive, as a figure, as a table, or as arrays."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lens.errors import BadInput
from lens.projection.labelling import write_table

if TYPE_CHECKING:
    from lens.projection.projection import Projection

__all__ = ["save"]

FIGURES = (".svg", ".pdf", ".png")
TABLES = (".csv", ".parquet")


def save(proj: Projection, path: Path, colour: Any = None) -> Path:
    """Write a map as the file's ending says; `Projection.save` tells how."""
    kind = path.suffix.lower()
    if kind in (".html", ".htm"):
        return proj.view().save(path)
    if kind in TABLES:
        return write_table(proj.table, path)
    if kind == ".npz":
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, **arrays(proj))
        return path
    if kind not in FIGURES:
        kinds = ", ".join([".html", *FIGURES, *TABLES, ".npz"])
        raise BadInput(f"A map is saved as {kinds}, not as {path.name!r}.")
    # By name: a report figure stands above what it shows.
    drawn = import_module("lens.figures").embedding_map(proj, colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(drawn.save(path))


def arrays(proj: Projection) -> dict[str, Any]:
    """Give what numpy keeps of a map."""
    return {
        "coordinates": proj.coordinates,
        "vectors": proj.points.vectors,
        "ids": np.asarray(proj.points.ids, dtype=np.str_),
        "kinds": np.asarray(proj.points.kinds, dtype=np.str_),
        "cluster": proj.cluster_numbers,
        "preserved": proj.preserved,
    }
