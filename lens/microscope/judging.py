"""How good the visualizations are, as `lens.featurevis.judged` measures it, for the pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lens.capture.run import capture
from lens.featurevis.judged.agreement import diversity
from lens.featurevis.judged.quality import default_other, quality
from lens.featurevis.judged.reference import Reference
from lens.featurevis.visualization import Visualization
from lens.microscope.folder import Folder
from lens.microscope.markup import number as written
from lens.microscope.markup import share
from lens.neurons.responses import Responses, pictures

if TYPE_CHECKING:
    from lens.microscope.parts import Drawn

#: Draws of each held-out change; how many stimuli count as a unit's best.
DRAWS, TOP = 2, 10
#: Stimuli that pictures are compared with: two of each cell, and more where there are few cells.
PER_CELL, AT_LEAST = 2, 1000
_AT_ONCE = 64

MEASURES = ("percentile", "ratio", "selectivity", "agreement", "transfer")


def judge_of(
    folder: Folder, number: int, measured: Responses, settings: Mapping[str, Any], notes: list[str]
) -> Reference | None:
    """Put together what visualizations of a site are judged by; None where there is nothing.

    Parameters
    ----------
    measured
        What the units answer to the stimuli: no second pass is made.
    settings
        How the visualizations are made.
    notes
        Gets a sentence for all that can't be measured.
    """
    at = settings.get("at", measured.pool)
    if at != measured.pool:
        notes.append(
            f"The quality of the visualizations is not measured: they are made for at={at!r}, and "
            f"the stimuli were measured by the {measured.pool}."
        )
        return None
    size, own = settings.get("size"), tuple(measured.site.model.image_size)
    if measured.site.n_prefix and size is not None and np.ravel(size).tolist() not in (
        [own[0]], [*own],
    ):  # fmt: skip
        notes.append(
            f"The quality of the visualizations is not measured: {measured.site.model.name} looks "
            f"at pictures of {own[0]} x {own[1]}, and they are made larger or smaller."
        )
        return None
    rows = _some(measured)
    if len(rows) <= TOP:
        notes.append(
            f"The quality of the visualizations is not measured: {len(rows)} stimuli are too few "
            f"to compare with."
        )
        return None
    values = measured.values[rows]
    values = np.where(np.isfinite(values).all(axis=0), values, np.float32(0))
    features = None if measured.embeddings is None else measured.embeddings[rows]
    other = default_other(measured.site.model) if features is not None else None
    if features is None:
        notes.append(
            "Of the visualizations' quality, agreement, transfer and diversity are not measured: "
            "the stimuli's embeddings are not known."
        )
    elif other is None:
        notes.append(
            f"No second model looked at the visualizations: there is no other embedded one for "
            f"{measured.site.model.name}."
        )
    seen = None if other is None else _seen(folder, number, other, measured.stimuli, rows)
    return Reference(measured.site, measured.pool, values, features, other, seen)


def measures(made: Visualization, judge: Reference, rows: list[int]) -> tuple[list[str], Any]:
    """Judge images: names of what was measured, and a row of numbers for each image asked for."""
    table = quality(made, judge, draws=DRAWS, top=TOP, progress=False).images
    names = [name for name in MEASURES if name in table]
    return names, table[names].to_numpy(dtype=np.float64)[rows]


def apart(
    one: np.ndarray, other: np.ndarray, unit: int, judge: Reference
) -> tuple[float, float] | None:
    """Tell how unlike two pictures of a unit are, and its best stimuli among themselves."""
    if judge.features is None:
        return None
    best = judge.top(unit, TOP)
    found = diversity(np.stack([one, other]), judge.features, np.array([0, 1]), [best, best])
    return float(found["diversity"].iloc[0]), float(found["examples_diversity"].iloc[0])


def _some(measured: Responses) -> np.ndarray:
    """Choose stimuli of every cell alike, in their order."""
    cells = measured.table.groupby(["concept", "rendering"], sort=False, dropna=False)
    each = max(PER_CELL, -(-AT_LEAST // max(1, cells.ngroups)))
    return np.flatnonzero(cells.cumcount().to_numpy() < each)


def _drawn(stimuli: Any, rows: np.ndarray) -> Iterator[np.ndarray]:
    """Give some stimuli, many at once where they are drawn together; else they differ in size."""
    step = _AT_ONCE if hasattr(stimuli, "pixels") else 1
    for start in range(0, len(rows), step):
        yield from pictures(stimuli, rows[start : start + step])


def _seen(folder: Folder, number: int, other: Any, stimuli: Any, rows: np.ndarray) -> np.ndarray:
    """Embed stimuli with the second model, once whatever ends this process."""
    name = f"{number}-other"
    kept = folder.kept(name)
    if kept is None:
        shown = _drawn(stimuli, rows)
        seen = capture(other, shown, ["image.embedding"], progress=False)["image.embedding"]
        found = np.asarray(seen[:], dtype=np.float32)
        length = np.linalg.norm(found, axis=1, keepdims=True)
        kept = {"embeddings": found / np.maximum(length, 1e-12)}
        folder.keep(name, **kept)
    return kept["embeddings"]


def quality_rows(
    drawn: Mapping[int, Drawn], judge: Reference, pairs: Mapping[int, tuple[float, float]]
) -> dict[int, list[tuple[str, str, str]]]:
    """Say for each unit how good its picture is: (name, value, meaning)."""
    other = judge.other.name if judge.other is not None else ""
    meanings = {
        "percentile": f"among {len(judge):,} stimuli, under changes that it was not made for",
        "ratio": f"0 is the mean stimulus, 1 the mean of the {TOP} best",
        "selectivity": "percent of the other units that it excites less",
        "agreement": "AUROC: the unit\u2019s best stimuli are the most like it; 0.5 is chance",
        "transfer": f"the same to another model, {other}",
    }
    found = {}
    for unit, one in drawn.items():
        rows = [(name, written(one.measured[name]), meanings[name]) for name in one.measured]
        if unit in pairs:
            own, best = pairs[unit]
            meaning = (
                f"cosine distance to the one from other noise; its best stimuli: {share(best)}"
            )
            rows.append(("diversity", share(own), meaning))
        found[unit] = rows
    return found


def said_of(judge: Reference) -> str:
    """Say how quality was measured."""
    beside = f", transfer to {judge.other.name}" if judge.other is not None else ""
    return f"{DRAWS} draws of each held-out change, {len(judge):,} stimuli{beside}"
