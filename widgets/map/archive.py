"""What a saved map answers by itself: names, neighbours, words to search for, pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lens.projection.nearness import nearest
from lens.widgets.atlas import atlas
from lens.widgets.map.linking import Links, spread
from lens.widgets.map.traits import moved

if TYPE_CHECKING:
    from lens.projection import Projection

# A tile is small, and a page of tiles one that every browser can draw.
TILE, COLUMNS, PAGE = 48, 64, 64 * 64
NEIGHBOURS, UP_TO = 6, 20_000
HITS, WORDS = 40, 600


def archive(proj: Projection, pictures: int) -> dict[str, Any]:
    """Give everything that a page without a kernel can be asked."""
    found: dict[str, Any] = {
        "ids": list(proj.points.ids),
        "names": list(proj.points.names),
        "kinds": [str(kind) for kind in proj.points.kinds.tolist()],
        "moved": moved(proj),
        "labels": [[one.label, one.points.astype("<u4").tobytes()] for one in proj.labels.given],
        **_neighbours(proj),
        **_words(proj),
        **_pictures(proj, pictures),
        "units": _units(proj),
        "grouped": _grouped(proj),
    }
    if found["names"] == found["ids"]:
        found["names"] = []
    if len(set(found["kinds"])) == 1:
        found["kinds"] = found["kinds"][:1]
    return found


def _neighbours(proj: Projection) -> dict[str, Any]:
    n = len(proj)
    k = min(NEIGHBOURS, n - 1)
    if k < 1 or n > UP_TO:
        return {"k": 0, "near": b""}
    return {"k": k, "near": nearest(proj.space.rows, k).astype("<u4").tobytes()}


def _words(proj: Projection) -> dict[str, Any]:
    """The best points for each word of the vocabulary, and for those of the clusters first."""
    words, texts = proj.vocabulary()
    if texts is None or not len(proj):
        return {"words": [], "hits": b"", "each": 0}
    words, texts = words[:WORDS], texts[:WORDS]
    each = min(HITS, len(proj))
    hits = np.stack([np.argsort(-proj.over(text), kind="stable")[:each] for text in texts])
    return {"words": words, "hits": hits.astype("<u4").tobytes(), "each": each}


def _units(proj: Projection) -> dict[str, int]:
    """The points that are units, by what other views call them."""
    links = Links(proj)
    return {links.of(int(i)): int(i) for i in np.flatnonzero(proj.points.kinds == "unit")}


def _grouped(proj: Projection) -> bytes:
    """Each point's cluster by its row in the table of clusters, two bytes; 65,535 is none."""
    numbers = proj.clusters["cluster"].to_numpy(np.int64)
    rows = np.full(numbers.max(initial=-1) + 2, 65_535, "<u2")
    rows[numbers] = np.arange(len(numbers))
    return rows[proj.cluster_numbers].tobytes()  # the last one stands for -1


def _pictures(proj: Projection, most: int) -> dict[str, Any]:
    """As many pictures as fit, spread evenly over the points that have one."""
    chosen, images = spread(np.flatnonzero(proj.points.rows >= 0), most), []
    links, marks = Links(proj), bytearray()
    there: list[int] = []
    for point in chosen:
        picture = proj.points.picture(int(point))
        if picture is not None:
            there.append(int(point))
            marks += bytes.fromhex(links.of_picture(picture))
            images.append(np.asarray(picture.convert("RGB").resize((TILE, TILE))))
    sheets = [
        atlas(images[start : start + PAGE], tile=TILE, columns=COLUMNS)["image"]
        for start in range(0, len(images), PAGE)
    ]
    return {
        "sheets": sheets,
        "tile": TILE,
        "columns": COLUMNS,
        "page": PAGE,
        "tiles": np.asarray(there, "<u4").tobytes(),
        "marks": bytes(marks),
    }
