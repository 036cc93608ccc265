"""Pictures for the pages: parts that outlive the process, thumbnails, examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import torch
from PIL import Image

from lens.capture.hooks import forward_to
from lens.microscope.crew import drawn_by
from lens.microscope.folder import Folder
from lens.microscope.outline import outline
from lens.microscope.parts import SIDE, Job, tile
from lens.microscope.plan import Engine
from lens.neurons.responses import Responses, batches, pictures
from lens.sites import unit_maps
from lens.widgets.atlas import webp

#: Of thumbnails so many make one file: COLUMNS a row.
TILES, COLUMNS = 64, 8
# Stimuli that go through the model at once, and those that a kill loses at most.
AT_ONCE, PART = 64, 512


def draw(
    folder: Folder,
    job: Job,
    workers: int | None,
    engine: Engine,
    progress: Callable[[int], Any],
) -> None:
    """Draw all parts of a site that an earlier run did not, and keep each as it is done."""
    todo = []
    for drawing in job.drawings:
        for part in job.parts(drawing):
            if folder.keeps(part.name(job.number)):
                progress(len(part.units))
            else:
                todo.append(part)
    # Closed whatever happens here: a full disk too ends those who draw.
    with closing(drawn_by(job, todo, workers, engine)) as steps:
        for part, made in steps:
            for name, data in made.files.items():
                folder.write(name, data)
            folder.keep(part.name(job.number), **made.arrays)
            progress(len(part.units))


def kept_parts(folder: Folder, job: Job, kind: int) -> list[dict[str, np.ndarray]]:
    """Return what was kept of one kind of picture, part by part."""
    drawing = next(drawing for drawing in job.drawings if drawing.kind == kind)
    found = [folder.kept(part.name(job.number)) for part in job.parts(drawing)]
    return [kept for kept in found if kept is not None]


def write_thumbnails(folder: Folder, job: Job, units: Sequence[int]) -> None:
    """Pack the plain visualizations into files of 64, in the order of the units."""
    sheet = np.full((len(units), SIDE, SIDE, 3), 128, np.uint8)
    place = {unit: i for i, unit in enumerate(units)}
    for kept in kept_parts(folder, job, 0):
        for i, unit in enumerate(kept["units"].tolist()):
            sheet[place[unit]] = kept["tiles"][i]
    for first in range(0, len(units), TILES):
        full = np.full((TILES, SIDE, SIDE, 3), 128, np.uint8)
        part = sheet[first : first + TILES]
        full[: len(part)] = part
        rows = full.reshape(COLUMNS, COLUMNS, SIDE, SIDE, 3).swapaxes(1, 2)
        side = COLUMNS * SIDE
        packed = webp(rows.reshape(side, side, 3), quality=76)
        folder.write(f"{job.number}/thumb/{first // TILES}.webp", packed)


def write_examples(
    folder: Folder,
    number: int,
    measured: Responses,
    wanted: Mapping[int, Sequence[int]],
    progress: Callable[[int], Any],
) -> dict[int, list[str]]:
    """Write each stimulus that is shown anywhere once, and outline where its units are excited.

    Parameters
    ----------
    wanted
        The rows of each unit's examples.

    Returns
    -------
    dict
        For each unit a path for each of its rows, empty where there is none.
    """
    found = {unit: [""] * len(rows) for unit, rows in wanted.items()}
    askers: dict[int, list[tuple[int, int]]] = {}
    for unit, rows in wanted.items():
        for place, row in enumerate(rows):
            askers.setdefault(int(row), []).append((unit, place))
    every = sorted(askers)
    for start in range(0, len(every), PART):
        part = f"{number}-examples-{start}"
        kept = folder.kept(part)
        if kept is None:
            paths = []
            for first in range(start, min(start + PART, len(every)), AT_ONCE):
                rows = every[first : min(first + AT_ONCE, start + PART)]
                paths += _example(folder, measured, rows, askers)
                progress(len(rows))
            kept = {"paths": np.asarray(paths, dtype=str)}
            folder.keep(part, **kept)
        asked = [asker for row in every[start : start + PART] for asker in askers[row]]
        for (unit, place), path in zip(asked, kept["paths"].tolist(), strict=True):
            found[unit][place] = path
    return found


@torch.no_grad()
def _example(
    folder: Folder,
    measured: Responses,
    rows: Sequence[int],
    askers: Mapping[int, Sequence[tuple[int, int]]],
) -> list[str]:
    """Write a batch of stimuli; give the outlines in the order of the rows and of who asks."""
    site, few = measured.site, _Few(measured.stimuli, rows)
    for i, row in enumerate(rows):
        if not folder.has(f"img/{row}.webp"):
            folder.write(f"img/{row}.webp", webp(tile(few.images[i]), quality=78))
    if site.grid is None:
        return [""] * sum(len(askers[row]) for row in rows)
    (batch,) = batches(few, site.model, np.arange(len(rows)), AT_ONCE)
    maps = unit_maps(site, forward_to([site], batch)[site.name]).float().cpu().numpy()
    return [outline(maps[i, unit]) for i, row in enumerate(rows) for unit, _ in askers[row]]


class _Few:
    """Some of the stimuli, drawn once for the page and for the model."""

    def __init__(self, stimuli: Any, rows: Sequence[int]) -> None:
        if hasattr(stimuli, "pixels"):
            self.images = list(stimuli.pixels(rows))
            self.pixels = lambda indices: np.stack([self.images[i] for i in indices])
        else:  # these may differ in size
            self.images = [pictures(stimuli, [row])[0] for row in rows]

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.images[index])
