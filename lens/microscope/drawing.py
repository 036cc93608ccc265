"""Pictures for the pages: visualizations in batches that outlive the process, and examples."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
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
# Stimuli that go through the model or are drawn at once.
AT_ONCE = 64


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
            images = [_tile(image) for image in made.images] if made else []
            numbers = [_index(unit) for unit in made.units] if made else []
            for unit, image in zip(numbers, made.images if made else [], strict=True):
                folder.write(picture_name(number, unit, kind), webp(image, quality=88))
            folder.keep(
                part,
                units=np.asarray(numbers, dtype=int),
                tiles=np.asarray(images, dtype=np.uint8).reshape(-1, SIDE, SIDE, 3),
                values=made.values if made else np.zeros(0),
                starts=made.start_values if made else np.zeros(0),
                formulas=np.asarray(made.recipe["formulas"] if made else [], dtype=str),
                size=np.asarray(made.images.shape[1:3] if made else (SIDE, SIDE)),
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
    folder: Folder, stimuli: Any, rows: Iterable[int], progress: Callable[[int], Any]
) -> None:
    """Write each stimulus that is shown anywhere once, whoever shows it."""
    missing = [row for row in sorted(set(rows)) if not folder.has(f"img/{row}.webp")]
    # Stimuli without `pixels` may differ in size, and come one by one.
    together = AT_ONCE if hasattr(stimuli, "pixels") else 1
    for start in range(0, len(missing), together):
        some = missing[start : start + together]
        for row, image in zip(some, pictures(stimuli, some), strict=True):
            folder.write(f"img/{row}.webp", webp(_tile(image), quality=78))
        progress(len(some))


@torch.no_grad()
def outlines(
    measured: Responses, wanted: Mapping[int, Sequence[int]], progress: Callable[[int], Any]
) -> dict[int, list[str]]:
    """Outline, on each unit's own examples, where it is excited; a stimulus is looked at once.

    Parameters
    ----------
    wanted
        The rows of each unit's examples.

    Returns
    -------
    dict
        For each unit a path for each of its rows, empty where there is none.
    """
    site = measured.site
    found = {unit: [""] * len(rows) for unit, rows in wanted.items()}
    askers: dict[int, list[tuple[int, int]]] = {}
    for unit, rows in wanted.items():
        for place, row in enumerate(rows):
            askers.setdefault(int(row), []).append((unit, place))
    if site.grid is None:
        return found
    rows = np.asarray(sorted(askers), dtype=int)
    start = 0
    for batch in batches(measured.stimuli, site.model, rows, AT_ONCE):
        maps = unit_maps(site, forward_to([site], batch)[site.name]).float().cpu().numpy()
        for i, row in enumerate(rows[start : start + len(batch)].tolist()):
            for unit, place in askers[row]:
                found[unit][place] = outline(maps[i, unit])
        start += len(batch)
        progress(len(batch))
    return found


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


def _recipe(made: Visualization | None) -> str:

    if made is None:
        return "{}"
    shown = ("steps", "size", "lr", "seed", "parameterization", "transforms", "precision")
    return json.dumps({name: made.recipe[name] for name in shown if name in made.recipe})


def _parsed(text: str) -> dict[str, Any]:

    return json.loads(text)
