"""The result: images with the values they reached and the recipe that makes them again."""

from __future__ import annotations

import base64
import html
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from lens.errors import BadImage, BadInput
from lens.featurevis.objectives import Objective
from lens.sites import Unit

if TYPE_CHECKING:
    from lens.featurevis.quality import Quality

RECIPE_KEY = "lens.recipe"
_SHOWN_IN_HTML = 64


@dataclass(frozen=True, eq=False, repr=False)
class Visualization:
    """What some units want to see.

    Attributes
    ----------
    images
        Eight-bit RGB, (images, h, w, 3); ``vis[i]`` is a PIL image.
    units
        What each image was made for: a Unit, or the Objective that was given.
    values
        The objective of each image as it stands in ``images``: no transforms, float32.
    start_values
        The same for the noise that the run started from.
    curve
        The objective step by step, under the random transforms, (images, steps).
    recipe
        JSON-able; ``lens.featurevis.rerun(recipe)`` makes the same pixels again.
    """

    images: UInt8[np.ndarray, "images h w 3"]
    units: list[Unit | Objective]
    values: Float[np.ndarray, " images"]
    start_values: Float[np.ndarray, " images"]
    curve: Float[np.ndarray, "images steps"]
    recipe: dict[str, Any]

    @property
    def silent(self) -> list[Unit | Objective]:
        """The units that the run did not excite: their final value isn't above their first."""
        excited = self.values > self.start_values
        return [unit for unit, up in zip(self.units, excited, strict=True) if not up]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.images[index])

    def __iter__(self) -> Iterator[Image.Image]:
        return (Image.fromarray(image) for image in self.images)

    def sheet(self, columns: int | None = None, captions: bool = True) -> Image.Image:
        """All images in a grid, each with its unit's number and its value below.

        Parameters
        ----------
        columns
            Images in a row; chosen for a landscape sheet by default.
        captions
            Whether to write below the images.
        """
        columns = columns or min(len(self), max(1, math.ceil(math.sqrt(1.6 * len(self)))))
        rows = math.ceil(len(self) / columns)
        height, width = self.images.shape[1:3]
        gap, line = 4, 14 if captions else 0
        step_x, step_y = width + gap, height + gap + line
        page = Image.new("RGB", (columns * step_x + gap, rows * step_y + gap), "white")
        pen, font = ImageDraw.Draw(page), ImageFont.load_default(10)
        for i, image in enumerate(self):
            x, y = gap + (i % columns) * step_x, gap + (i // columns) * step_y
            page.paste(image, (x, y))
            if captions:
                value = f"  {self.values[i]:.2f}"
                name = _fit(_short(self.units[i]), width - font.getlength(value), font)
                pen.text((x, y + height + 1), name + value, fill="black", font=font)
        return page

    def save(self, path: str | Path) -> Path:
        """Write a PNG with the recipe in its metadata: the image, or the sheet of several.

        Raises
        ------
        BadInput
            Where the name doesn't end in .png, or its folder doesn't exist.
        """
        path = Path(path)
        if path.suffix.lower() != ".png":
            raise BadInput(f"{path.name!r} should end in .png: a visualization is saved as a PNG.")
        if not path.parent.is_dir():
            raise BadInput(f"there is no folder {str(path.parent)!r} to save {path.name!r} in.")
        path.write_bytes(self._png(self[0] if len(self) == 1 else self.sheet()))
        return path

    def quality(self, stimuli: Any = None, **settings: Any) -> Quality:
        """Judge the images by what real pictures do; see ``lens.featurevis.quality``."""
        from lens.featurevis.quality import quality

        return quality(self, stimuli, **settings)

    def _png(self, image: Image.Image) -> bytes:
        metadata = PngInfo()
        metadata.add_text(RECIPE_KEY, json.dumps(self.recipe), zip=True)
        buffer = io.BytesIO()
        image.save(buffer, "PNG", pnginfo=metadata)
        return buffer.getvalue()

    def _repr_png_(self) -> bytes:
        return self._png(self.sheet())

    def _repr_html_(self) -> str:
        figures = []
        for unit, value, image in list(zip(self.units, self.values, self, strict=True))[
            :_SHOWN_IN_HTML
        ]:
            buffer = io.BytesIO()
            image.save(buffer, "PNG")
            source = base64.b64encode(buffer.getvalue()).decode()
            name = html.escape(repr(unit))
            figures.append(
                '<figure style="margin:0 8px 8px 0;display:inline-block;'
                f'max-width:{image.width}px">'
                f'<img src="data:image/png;base64,{source}" alt="{name}" title="{name}">'
                '<figcaption style="font-size:11px;overflow-wrap:anywhere">'
                f"{html.escape(_short(unit))}<br>value {value:.3g}</figcaption></figure>"
            )
        more = len(self) - _SHOWN_IN_HTML
        tail = f"<p>and {more} more: <code>.sheet()</code> shows all</p>" if more > 0 else ""
        return f"<div><p>{html.escape(repr(self))}</p>{''.join(figures)}{tail}</div>"

    def __repr__(self) -> str:
        count = f"{len(self)} image{'s' if len(self) != 1 else ''}"
        height, width = self.images.shape[1:3]
        low, high = float(self.values.min()), float(self.values.max())
        reached = f"value {low:.3g}" if len(self) == 1 else f"values {low:.3g} to {high:.3g}"
        silent = f", {len(self.silent)} silent" if self.silent else ""
        return (
            f"Visualization of {self.recipe['model']}: {count} of {width} x {height} after "
            f"{self.recipe['steps']} steps, {reached}{silent}"
        )


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The recipe in a PNG that ``Visualization.save`` wrote.

    Raises
    ------
    BadImage
        Where the file isn't there, is no PNG, or carries no recipe.
    """
    try:
        with Image.open(path) as image:
            image.load()
            text = image.info.get(RECIPE_KEY)
    except OSError as problem:
        raise BadImage(f"{str(path)!r} can't be read as an image: {problem}.") from problem
    if text is None:
        raise BadImage(f"{str(path)!r} carries no recipe: it wasn't saved by a Visualization.")
    return json.loads(text)


def _short(unit: Unit | Objective) -> str:
    return f"unit {unit.index}" if isinstance(unit, Unit) else repr(unit)


def _fit(text: str, width: float, font: Any) -> str:
    """Cut the text to the width, showing that something was cut."""
    fitting = text
    while len(fitting) > 1 and font.getlength(fitting) > width:
        fitting = fitting[:-2] + "…"
    return fitting
