"""A Projection as what the map's script takes: positions and colours as bytes, and small JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt16

from lens.projection.colouring import DARK, LIGHT, NONE, RAMP_DARK, RAMP_LIGHT

if TYPE_CHECKING:
    from lens.projection import Projection
    from lens.projection.colouring import Colouring

#: What is drawn with, on light paper and on dark.
PALETTE = {
    "light": {"categories": LIGHT, "none": NONE[0], "ramp": RAMP_LIGHT},
    "dark": {"categories": DARK, "none": NONE[1], "ramp": RAMP_DARK},
}
FULL = 65_535  # of a uint16
NUMBERS = 254  # steps of a number's colour; 255 is none
NAMED = 2_000  # categories that are sent by name; a list of more is no legend


def placed(proj: Projection) -> UInt16[np.ndarray, "n 2"]:
    """Give positions in steps of 1/65,535 of the longer side, the shorter side in the middle."""
    points = proj.coordinates.astype(np.float64)
    if not len(points):
        return np.zeros((0, 2), np.uint16)
    low, high = points.min(axis=0), points.max(axis=0)
    side = float((high - low).max()) or 1.0
    scaled = (points - (low + high) / 2) / side + 0.5
    return np.round(np.clip(scaled, 0, 1) * FULL).astype(np.uint16)


def about(proj: Projection) -> dict[str, Any]:
    """Say what the map is, and how good."""
    kinds, counts = np.unique(proj.points.kinds, return_counts=True)
    good = proj.quality
    return {
        "n": len(proj),
        "method": {"umap": "UMAP", "pca": "PCA", "tsne": "t-SNE"}[proj.method],
        "kinds": [[str(kind), int(count)] for kind, count in zip(kinds, counts, strict=True)],
        "notes": list(proj.notes),
        "pictures": bool((proj.points.rows >= 0).any()),
        "quality": None
        if good is None
        else {
            "k": good.k,
            "trustworthiness": _plain(good.trustworthiness),
            "continuity": _plain(good.continuity),
            "kept": _plain(good.preserved.mean()),
            "counted": good.counted,
        },
    }


def coloured(by: Colouring) -> dict[str, Any]:
    """Give a colouring: a byte a point, two where there are many categories."""
    if by.is_number:
        scaled = by.scaled()
        known = np.isfinite(scaled)
        codes = np.where(known, np.round(np.where(known, scaled, 0) * NUMBERS), 255)
        low, high = by.span
        return {
            "name": by.name,
            "names": [],
            "counts": [],
            "codes": codes.astype(np.uint8).tobytes(),
            "bytes": 1,
            "low": _plain(low),
            "high": _plain(high),
        }
    wide = len(by.names) > 255
    none = 65_535 if wide else 255
    counts = np.bincount(by.codes[by.codes >= 0], minlength=len(by.names))
    codes = np.where((by.codes < 0) | (by.codes >= min(none, NAMED)), none, by.codes)
    return {
        "name": by.name,
        "names": by.names[:NAMED],
        "counts": counts[:NAMED].tolist(),
        "codes": codes.astype("<u2" if wide else "u1").tobytes(),
        "bytes": 2 if wide else 1,
        "low": None,
        "high": None,
    }


def clustered(proj: Projection, positions: UInt16[np.ndarray, "n 2"]) -> list[dict[str, Any]]:
    """Give the clusters' names and where they stand, the largest first."""
    numbers, found = proj.cluster_numbers, []
    for row in proj.clusters.to_dict("records"):
        x, y = np.median(positions[numbers == row["cluster"]], axis=0)
        told = str(row["words"] or row["name"])
        found.append(
            {"name": str(row["name"]), "words": told, "n": int(row["n"]), "x": int(x), "y": int(y)}
        )
    return found


def given(proj: Projection) -> dict[str, Any]:
    """Give the labels given by hand, and whether one can be taken back or given again."""
    labels = proj.labels
    return {
        "labels": [[name, len(labels.points(name))] for name in labels.names],
        "undo": bool(labels.given),
        "redo": labels.can_redo,
    }


def moved(proj: Projection) -> bytes:
    """Give, a byte a point, the share of its neighbours that the map kept; 255 is all of them."""
    kept = np.nan_to_num(proj.preserved, nan=1.0)
    return np.round(255 * np.clip(kept, 0, 1)).astype(np.uint8).tobytes()


def numbers(values: Any) -> list[Any]:
    """Give numpy's numbers as JSON takes them."""
    return [_plain(value) for value in np.asarray(values).tolist()]


def plain(found: Mapping[str, Any]) -> dict[str, Any]:
    """Give a mapping's arrays as lists."""
    return {name: numbers(value) if hasattr(value, "tolist") else value
            for name, value in found.items()}  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value
