"""The result: images with the values they reached and the recipe that makes them again."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from lens.featurevis import files
from lens.featurevis.files import read_recipe
from lens.featurevis.objectives.formula import Objective
from lens.sites import Unit

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from lens.featurevis.judged.quality import Quality

__all__ = ["Visualization", "read_recipe"]

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
        JSON-able; ``lens.featurevis.rerun(recipe)`` makes the same pixels again, also of a run
        that was stopped: it has the ``steps`` that were done and those that were ``planned``.
    importance
        How much each pixel mattered on the way: the gradient's absolute value, summed over the
        steps, in [0, 1], (images, h, w). The one percent of largest values are all 1.
    snapshots
        The images after some of the steps, as asked for: arrays such as ``images``, by step.
    """

    images: UInt8[np.ndarray, "images h w 3"]
    units: list[Unit | Objective]
    values: Float[np.ndarray, " images"]
    start_values: Float[np.ndarray, " images"]
    curve: Float[np.ndarray, "images steps"]
    recipe: dict[str, Any]
    importance: Float[np.ndarray, "images h w"]
    snapshots: dict[int, UInt8[np.ndarray, "images h w 3"]] = field(default_factory=dict)

    @property
    def silent(self) -> list[Unit | Objective]:
        """The units that the run did not excite.

        Their final value isn't above their first or, for neurons after their nonlinearity, not
        above zero.
        """
        return [unit for unit, up in zip(self.units, self._excited(), strict=True) if not up]

    def _excited(self) -> list[bool]:
        neurons = [isinstance(unit, Unit) and unit.site.kind == "neurons" for unit in self.units]
        return [
            bool(value > start and (value > 0 or not neuron))
            for value, start, neuron in zip(self.values, self.start_values, neurons, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.images[index])

    def __iter__(self) -> Iterator[Image.Image]:
        return (Image.fromarray(image) for image in self.images)

    def transparent(self, index: int) -> Image.Image:
        """One image with its importance as opacity, in RGBA: what did not matter is not shown."""
        alpha = np.round(self.importance[index] * 255).astype(np.uint8)
        return Image.fromarray(np.dstack([self.images[index], alpha]))

    def curves(self) -> Figure:
        """The objectives step by step, under the random transforms, as a plotly figure.

        It has a line an image and no colours of its own but the lines': it goes with any template,
        light or dark.
        """
        from plotly import graph_objects

        names = [_short(unit) for unit in self.units]
        steps = np.arange(1, self.curve.shape[1] + 1)
        figure = graph_objects.Figure(
            [
                graph_objects.Scatter(
                    x=steps,
                    y=row,
                    mode="lines" if len(steps) > 1 else "markers",
                    name=html.escape(_cut(name)),
                    hovertemplate=f"{html.escape(_cut(name))}<br>step %{{x}}: %{{y:.3g}}"
                    "<extra></extra>",
                )
                for name, row in zip(names, self.curve, strict=True)
            ]
        )
        return figure.update_layout(
            xaxis_title="step",
            yaxis_title="objective, under random transforms",
            paper_bgcolor="rgba(0,0,0,0)",
            plot_bgcolor="rgba(0,0,0,0)",
            margin={"l": 60, "r": 16, "t": 16, "b": 48},
            showlegend=len(names) > 1,
        )

    def sheet(self, columns: int | None = None, captions: bool = True) -> Image.Image:
        """All images in a grid, each with its unit's number and its value below.

        Below a silent unit stands that it is.

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
        excited = self._excited()
        for i, image in enumerate(self):
            x, y = gap + (i % columns) * step_x, gap + (i // columns) * step_y
            page.paste(image, (x, y))
            if captions:
                value = f"  {self.values[i]:.2f}" + ("" if excited[i] else " silent")
                name = _fit(_short(self.units[i]), width - font.getlength(value), font)
                pen.text((x, y + height + 1), name + value, fill="black", font=font)
        return page

    def save(self, path: str | Path) -> Path:
        """Write the image, or the sheet of several, or the arrays, with the recipe inside.

        Parameters
        ----------
        path
            Ends in .png or .webp (lossless): the image, or the sheet. Ends in .svg or .pdf: the
            report figure, without the recipe; see ``lens.figures``. Ends in .npz: the arrays
            ``images``, ``values``, ``start_values``, ``curve``, ``importance``, and
            ``snapshot_<step>``.

        Raises
        ------
        BadInput
            Where the name doesn't end in one of these, or its folder doesn't exist.
        """
        path = files.checked(path)
        if path.suffix.lower() in (".svg", ".pdf"):
            # By name: a report figure stands above what it shows.
            import_module("lens.figures").image_sheet(self).save(path)
        elif path.suffix.lower() == ".npz":
            path.write_bytes(files.npz(self._arrays(), self.recipe))
        else:
            write = files.png if path.suffix.lower() == ".png" else files.webp
            path.write_bytes(write(self[0] if len(self) == 1 else self.sheet(), self.recipe))
        return path

    def quality(self, stimuli: Any = None, **settings: Any) -> Quality:
        """Judge the images by what real pictures do; see ``lens.featurevis.judged.quality``."""
        from lens.featurevis.judged.quality import quality

        return quality(self, stimuli, **settings)

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("images", "values", "start_values", "curve", "importance")
        own = {name: np.asarray(getattr(self, name)) for name in names}
        return {**own, **{f"snapshot_{step}": made for step, made in self.snapshots.items()}}

    def _repr_png_(self) -> bytes:
        return files.png(self.sheet(), self.recipe)

    def _repr_html_(self) -> str:
        figures = []
        rows = zip(self.units, self.values, self, self._excited(), strict=True)
        for unit, value, image, excited in list(rows)[:_SHOWN_IN_HTML]:
            buffer = io.BytesIO()
            image.save(buffer, "PNG")
            source = base64.b64encode(buffer.getvalue()).decode()
            name = html.escape(repr(unit))
            figures.append(
                '<figure style="margin:0 8px 8px 0;display:inline-block;'
                f'max-width:{image.width}px">'
                f'<img src="data:image/png;base64,{source}" alt="{name}" title="{name}">'
                '<figcaption style="font-size:11px;overflow-wrap:anywhere">'
                f"{html.escape(_short(unit))}<br>value {value:.3g}"
                f"{'' if excited else ', silent'}</figcaption></figure>"
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


def _short(unit: Unit | Objective) -> str:
    return f"unit {unit.index}" if isinstance(unit, Unit) else repr(unit)


def _cut(text: str, length: int = 48) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _fit(text: str, width: float, font: Any) -> str:
    """Cut the text to the width, showing that something was cut."""
    fitting = text
    while len(fitting) > 1 and font.getlength(fitting) > width:
        fitting = fitting[:-2] + "…"
    return fitting
