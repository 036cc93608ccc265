"""Parts: batches of units that are drawn together, the same ones whoever draws them.

A part is made from a `Job` alone, in this process, another one or another machine; what it comes to
is bytes, which whoever builds the site writes.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from lens.capture.hooks import forward_to
from lens.errors import BadInput
from lens.featurevis import visualize
from lens.featurevis.faceted.run import looks_like
from lens.featurevis.judged.reference import Reference
from lens.featurevis.loop.positions import stretched
from lens.featurevis.objectives.looking import normalized
from lens.featurevis.objectives.measures import activation_at
from lens.featurevis.visualization import Visualization
from lens.microscope.featured import AGAIN, Guided
from lens.microscope.judging import measures
from lens.microscope.plan import Drawer
from lens.sites import Site, Unit
from lens.widgets.atlas import webp

#: Pixels a side of examples and thumbnails.
SIDE = 96


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
    measured
        What else was measured of it, by name.
    """

    value: float
    start: float
    objective: str
    width: int
    height: int
    measured: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Drawing:
    """One kind of picture.

    Attributes
    ----------
    kind
        Its number: 0 is the plain visualization.
    name
        What pages call it; the plain visualization has none.
    drawer
        How it is made.
    units
        Whose pictures are made.
    """

    kind: int
    name: str
    drawer: Drawer
    units: list[int]


@dataclass(frozen=True)
class Part:
    """Some units that are drawn together, by their places among a drawing's units."""

    kind: int
    start: int
    units: tuple[int, ...]

    def name(self, number: int) -> str:
        """Say what a folder keeps it as."""
        return f"{number}-{self.kind}-{self.start}"


@dataclass(frozen=True, eq=False)
class Job:
    """All that it takes to draw any part of a site.

    Attributes
    ----------
    number, site
        Which site, and its place in the web site.
    drawings
        What is drawn.
    batch_size
        Pictures made at once.
    judge
        What real stimuli do to the units, to judge the plain visualizations by; None for no
        judgement.
    """

    number: int
    site: Site
    drawings: list[Drawing]
    batch_size: int
    judge: Reference | None = None

    def parts(self, drawing: Drawing) -> Iterator[Part]:
        """Cut a drawing's units into batches."""
        for start in range(0, len(drawing.units), self.batch_size):
            units = drawing.units[start : start + self.batch_size]
            yield Part(drawing.kind, start, tuple(units))


@dataclass(frozen=True, eq=False)
class Made:
    """What a part came to: files of the web site, and what the build keeps."""

    files: dict[str, bytes]
    arrays: dict[str, np.ndarray]


def make(job: Job, part: Part) -> Made:
    """Draw a part."""
    drawing = next(drawing for drawing in job.drawings if drawing.kind == part.kind)
    made = _draw(job.site, part.units, drawing.drawer, job.batch_size)
    if made is None:
        return Made({}, {"units": np.zeros(0, int), "recipe": np.asarray("{}")})
    numbers = [_index(unit) for unit in made.units]
    # Of several copies of a unit, the first one is shown.
    rows = [numbers.index(unit) for unit in dict.fromkeys(numbers)]
    numbers, images = [numbers[row] for row in rows], made.images[rows]
    names, measured = _measured(job, drawing, made, rows)
    values, starts = made.values[rows], made.start_values[rows]
    if isinstance(drawing.drawer, Guided):
        # A facet's objective counts what is above zero: measured as the others are, it compares.
        values = _answers(job.site, images, numbers, drawing.drawer.settings["at"])
        starts = np.full(len(rows), np.nan)
    arrays = {
        "units": np.asarray(numbers, dtype=int),
        "tiles": np.stack([tile(image) for image in images]),
        "values": values,
        "starts": starts,
        "formulas": np.asarray(made.recipe["formulas"], dtype=str),
        "size": np.asarray(images.shape[1:3]),
        "recipe": np.asarray(_recipe(made)),
        "names": np.asarray(names, dtype=str),
        "measured": measured,
    }
    if job.judge is not None and job.judge.features is not None and drawing.name in ("", AGAIN):
        arrays["embedded"] = job.site.model.embed([Image.fromarray(image) for image in images])
    files = {
        picture_name(job.number, unit, part.kind): webp(image, quality=88)
        for unit, image in zip(numbers, images, strict=True)
    }
    return Made(files, arrays)


def drawn(kept: dict[str, np.ndarray]) -> tuple[dict[int, Drawn], dict[str, Any]]:
    """Read what was kept of a part: each unit's picture, none where it became NaN; the recipe."""
    found = {}
    for i, unit in enumerate(kept["units"].tolist()):
        height, width = (int(side) for side in kept["size"])
        measured = zip(kept["names"].tolist(), kept["measured"][i].tolist(), strict=True)
        found[unit] = Drawn(
            float(kept["values"][i]),
            float(kept["starts"][i]),
            str(kept["formulas"][i]),
            width,
            height,
            dict(measured),
        )
    return found, json.loads(str(kept["recipe"]))


def picture_name(number: int, unit: int, kind: int) -> str:
    """Say where a unit's picture lies: kind 0 is the plain visualization."""
    return f"{number}/vis/{unit}{f'-{kind}' if kind else ''}.webp"


def tile(image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "96 96 3"]:
    """Scale a picture to a square."""
    if image.shape[:2] == (SIDE, SIDE):
        return image
    return np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.LANCZOS))


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
                made = drawer(given)
                steps = drawer.settings.get("steps", 0) if isinstance(drawer, Guided) else 0
            else:
                # The same pooling as the responses', so that values can be compared with theirs.
                settings = {"at": "cls" if where.n_prefix else "mean", **drawer}
                settings |= {"batch_size": batch_size, "progress": False}
                made, steps = visualize(given, **settings), settings.get("steps", 0)
        except BadInput as problem:
            if "became NaN" in str(problem):
                return None
            raise
    if made.recipe["steps"] < steps:  # what ctrl-C left; the next run redoes it
        raise KeyboardInterrupt
    return made


def _measured(
    job: Job, drawing: Drawing, made: Visualization, rows: list[int]
) -> tuple[list[str], np.ndarray]:
    """Measure the pictures that are shown: their quality, or what a facet's look like."""
    if isinstance(drawing.drawer, Guided):
        probes = drawing.drawer.probes
        return list(probes[0].facets), looks_like(made.images[rows], probes).astype(np.float64)
    if drawing.kind == 0 and not drawing.name and job.judge is not None:
        return measures(made, job.judge, rows)
    return [], np.zeros((len(rows), 0))


@torch.no_grad()
def _answers(
    site: Site, images: UInt8[np.ndarray, "n h w 3"], units: list[int], at: Any
) -> np.ndarray:
    """Tell what each image's unit answers to it, in float32."""
    where = site.pre_activation
    shown = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    pixels = normalized(site.model, shown.to(site.model.device))
    with stretched(site.model, (images.shape[1], images.shape[2])):
        found = activation_at(where, forward_to(where, pixels)[where.name], at)
    return found[torch.arange(len(units)), torch.tensor(units)].cpu().numpy()


def _index(unit: Any) -> int:
    """Tell which unit an image was made for: an objective's own, where it is of one unit."""
    if isinstance(unit, Unit):
        return unit.index
    for term in unit.terms():
        if term.kind == "unit":
            return int(term.data)
        if term.kind == "facet" and isinstance(term.data["towards"], int):
            return int(term.data["towards"])
    raise BadInput(f"{unit!r} is of no unit; a facet's pictures are of the units it is given.")


def _recipe(made: Visualization) -> str:
    shown = ("steps", "size", "lr", "seed", "parameterization", "transforms", "precision")
    return json.dumps({name: made.recipe[name] for name in shown if name in made.recipe})
