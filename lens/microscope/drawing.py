"""Pictures for the pages: visualizations in batches that outlive the process, and examples."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from lens.capture.hooks import forward_to
from lens.errors import BadInput
from lens.featurevis import visualize
from lens.featurevis.visualization import Visualization
from lens.microscope.folder import Folder
from lens.microscope.outline import outline
from lens.microscope.plan import Drawer
from lens.neurons.responses import Responses, batches, pictures
from lens.sites import Site, Unit, unit_maps
from lens.widgets.atlas import webp

#: Pixels a side of examples, and of thumbnails, of which so many make one file: COLUMNS a row.
SIDE = 96
TILES, COLUMNS = 64, 8
# Stimuli that go through the model at once, and those that a kill loses at most.
AT_ONCE, PART = 64, 512


@dataclass(frozen=True)
class Drawn:
    """One unit's picture.

    Attributes
    ----------
    value, start
        What the unit answers to it, and to the noise that it began as.
    objective
        The formula that was climbed.
    width, height
        In pixels.
    """

    value: float
    start: float
    objective: str
    width: int
    height: int


def draw_units(
    folder: Folder,
    number: int,
    site: Site,
    units: Sequence[int],
    kind: int,
    drawer: Drawer,
    batch_size: int,
    progress: Callable[[int], Any],
) -> tuple[dict[int, Drawn], dict[str, Any]]:
    """Draw units batch by batch; those that an earlier run drew are taken as they are.

    Returns
    -------
    dict
        What there is of each unit: none where the objective became NaN.
    dict
        The recipe of the first batch, without its units.
    """
    found: dict[int, Drawn] = {}
    recipe: dict[str, Any] = {}
    for start in range(0, len(units), batch_size):
        batch = units[start : start + batch_size]
        part = f"{number}-{kind}-{start}"
        kept = folder.kept(part)
        if kept is None:
            made = _draw(site, batch, drawer, batch_size)
            numbers = [_index(unit) for unit in made.units] if made else []
            # Of several copies of a unit, the first one is shown.
            rows = [numbers.index(unit) for unit in dict.fromkeys(numbers)]
            numbers = [numbers[row] for row in rows]
            images = made.images[rows] if made else np.zeros((0, SIDE, SIDE, 3), np.uint8)
            for unit, image in zip(numbers, images, strict=True):
                folder.write(picture_name(number, unit, kind), webp(image, quality=88))
            folder.keep(
                part,
                units=np.asarray(numbers, dtype=int),
                tiles=np.asarray([_tile(i) for i in images], np.uint8).reshape(-1, SIDE, SIDE, 3),
                values=made.values[rows] if made else np.zeros(0),
                starts=made.start_values[rows] if made else np.zeros(0),
                formulas=np.asarray(_formulas(made), dtype=str),
                size=np.asarray(images.shape[1:3]),
                recipe=np.asarray(_recipe(made)),
            )
            kept = folder.kept(part)
            assert kept is not None
        height, width = (int(side) for side in kept["size"])
        for i, unit in enumerate(kept["units"].tolist()):
            found[unit] = Drawn(
                float(kept["values"][i]),
                float(kept["starts"][i]),
                str(kept["formulas"][i]),
                width,
                height,
            )
        recipe = recipe or _parsed(str(kept["recipe"]))
        progress(len(batch))
    return found, recipe


def write_thumbnails(folder: Folder, number: int, units: Sequence[int], batch_size: int) -> None:
    """Pack the plain visualizations into files of 64, in the order of the units."""
    sheet = np.full((len(units), SIDE, SIDE, 3), 128, np.uint8)
    place = {unit: i for i, unit in enumerate(units)}
    for start in range(0, len(units), batch_size):
        kept = folder.kept(f"{number}-0-{start}")
        assert kept is not None
        for unit, tile in zip(kept["units"].tolist(), kept["tiles"], strict=True):
            sheet[place[unit]] = tile
    for first in range(0, len(units), TILES):
        full = np.full((TILES, SIDE, SIDE, 3), 128, np.uint8)
        part = sheet[first : first + TILES]
        full[: len(part)] = part
        rows = full.reshape(COLUMNS, COLUMNS, SIDE, SIDE, 3).swapaxes(1, 2)
        side = COLUMNS * SIDE
        packed = webp(rows.reshape(side, side, 3), quality=76)
        folder.write(f"{number}/thumb/{first // TILES}.webp", packed)


def picture_name(number: int, unit: int, kind: int) -> str:
    """Say where a unit's picture lies: kind 0 is the plain visualization, others are facets."""
    return f"{number}/vis/{unit}{f'-{kind}' if kind else ''}.webp"


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
            folder.write(f"img/{row}.webp", webp(_tile(few.images[i]), quality=78))
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


def _draw(
    site: Site, units: Sequence[int], drawer: Drawer, batch_size: int
) -> Visualization | None:
    """Draw one batch; None where every image of it became NaN."""
    where = site.pre_activation
    given = where.units(units)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="left out, the objective became NaN")
        warnings.filterwarnings("ignore", message="stopped early")
        try:
            if callable(drawer):
                return drawer(given)
            # The same pooling as the responses', so that values can be compared with theirs.
            settings = {"at": "cls" if where.n_prefix else "mean", **drawer}
            settings |= {"batch_size": batch_size, "progress": False}
            made = visualize(given, **settings)
        except BadInput as problem:
            if "became NaN" in str(problem):
                return None
            raise
    if made.recipe["steps"] < settings.get("steps", 0):  # what ctrl-C left; the next run redoes it
        raise KeyboardInterrupt
    return made


def _tile(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "96 96 3"]:
    if image.shape[:2] == (SIDE, SIDE):
        return image
    return np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def _index(unit: Any) -> int:
    """Tell which unit an image was made for: an objective's own, where it is of one unit."""
    if isinstance(unit, Unit):
        return unit.index
    numbers = [term.data for term in unit.terms() if term.kind == "unit"]
    if not numbers:
        raise BadInput(f"{unit!r} is of no unit; a facet's pictures are of the units it is given.")
    return int(numbers[0])


def _formulas(made: Visualization | None) -> list[str]:
    """Give each unit's objective; a recipe has one for each unit, however many copies there are."""
    return list(made.recipe["formulas"]) if made else []


def _recipe(made: Visualization | None) -> str:

    if made is None:
        return "{}"
    shown = ("steps", "size", "lr", "seed", "parameterization", "transforms", "precision")
    return json.dumps({name: made.recipe[name] for name in shown if name in made.recipe})


def _parsed(text: str) -> dict[str, Any]:

    return json.loads(text)
