"""The result: scores of pixels or tokens, with the numbers that say how far to trust them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8

from lens.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image
    from torch import Tensor

    from lens.model import Model
    from lens.sites import TowerName

__all__ = ["Attribution"]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Attribution:
    """Which pixels or tokens one answer of a model comes from.

    Attributes
    ----------
    method, target, model : str
        How, what and whose; `target` in words.
    site : str or None
        Where in the model, for the methods that look inside.
    score : float
        What is explained, in the target's own unit.
    baseline_score : float or None
        The same for what the input was compared with, where the method compares.
    delta : float or None
        Completeness delta: the sum of all attributions minus ``score - baseline_score``. None
        where the method does not promise that they are equal.
    heat : ndarray or None
        (height, width) float32, one number a pixel; of a text, None.
    places : ndarray or None
        (rows, columns) float32, the same as the method gave it: a number a pixel, patch or place
        of the site's grid. What adds up is this.
    picture : ndarray or None
        (height, width, 3) uint8, what the model saw.
    tokens : list of str or None
        The text's tokens; of a picture, None.
    scores : ndarray or None
        (tokens,) float32.
    elsewhere : float
        The sum that went to what is not shown: class tokens, registers, padding.
    """

    method: str
    target: str
    model: str
    score: float
    baseline_score: float | None = None
    delta: float | None = None
    site: str | None = None
    heat: Float[np.ndarray, "height width"] | None = None
    places: Float[np.ndarray, "rows columns"] | None = None
    picture: UInt8[np.ndarray, "height width 3"] | None = None
    tokens: list[str] | None = None
    scores: Float[np.ndarray, " tokens"] | None = None
    elsewhere: float = 0.0
    _compared: Tensor | None = field(default=None)
    _ask: Callable[[Model], Tensor] | None = field(default=None)
    _of: Model | None = field(default=None)
    _tower: TowerName = field(default="image")
    _meaning: tuple[str, str] = field(default=("against", "for"))
    _unit: str = field(default="")
    _read: str = field(default="")

    @property
    def values(self) -> Float[np.ndarray, "*axes"]:
        """`heat`, or `scores` for a text."""
        values = self.heat if self.heat is not None else self.scores
        assert values is not None  # it has one or the other
        return values

    @property
    def frame(self) -> pd.DataFrame:
        """As a table: ``token, score`` for a text, ``row, column, score`` of `places` else."""
        import pandas as pd

        if self.places is None:
            return pd.DataFrame({"token": self.tokens, "score": self.scores})
        rows, columns = np.indices(self.places.shape)
        return pd.DataFrame(
            {"row": rows.ravel(), "column": columns.ravel(), "score": self.places.ravel()}
        )

    def sanity(self, stages: int = 4, seed: int = 0) -> pd.DataFrame:
        """Ask the same of copies of the model with shuffled weights, from the top layer down.

        A map that stays alike explains the picture, not the model. See
        `lens.attribution.randomized`, which says what the columns are.
        """
        from lens.attribution.sanity import randomized

        return randomized(self, stages, seed)

    def overlay(self, alpha: float = 0.85) -> Image.Image:
        """Draw the heat on the picture: red for, blue against, as a PIL image of its size.

        Parameters
        ----------
        alpha : float
            How much the strongest colours cover, in [0, 1].

        Raises
        ------
        BadInput
            If a text is explained.
        """
        from lens.attribution.overlay import overlay

        if self.heat is None or self.picture is None:
            raise BadInput("A text has no overlay; .frame has its tokens, .save('x.png') its look.")
        return overlay(self.heat, self.picture, alpha)

    def save(self, path: str | Path) -> Path:
        """Write a picture, a report figure, or a page that needs no kernel and no network.

        A PNG shows picture, overlay and legend with numbers, or the tokens of a text; SVG and PDF
        are the same as vectors (`lens.figures.explanation`); an HTML page is the heat map with its
        settings.

        Raises
        ------
        BadInput
            If the name ends in none of .png, .svg, .pdf and .html, or its folder does not exist.
        """
        from lens.attribution.figure import figure

        path = Path(path)
        if path.suffix.lower() not in (".png", ".svg", ".pdf", ".html"):
            raise BadInput(
                f"{path.name!r} should end in .png, .svg, .pdf or .html, as an attribution is "
                f"saved."
            )
        if not path.parent.is_dir():
            raise BadInput(f"There is no folder {str(path.parent)!r} to save {path.name!r} in.")
        if path.suffix.lower() == ".html":
            return Path(self.view().save(path))
        if path.suffix.lower() in (".svg", ".pdf"):
            return Path(import_module("lens.figures").explanation(self).save(path))
        figure(self).save(path)
        return path

    def view(self) -> Any:
        """Open the heat map: blend, threshold, numbers and sanity check on one screen."""
        # By name: what is shown stands above what is computed, and loads when somebody looks.
        return import_module("lens.widgets.heatmap").heatmap(self)

    def _repr_html_(self) -> str:
        from lens.attribution.page import page

        return page(self)

    def __getstate__(self) -> dict[str, Any]:
        # The model stays behind: a result travels light, and without .sanity().
        return {**self.__dict__, "_ask": None, "_of": None}

    def __repr__(self) -> str:
        if self.heat is not None:
            shape = f"heat {self.heat.shape[0]} x {self.heat.shape[1]}"
        else:
            shape = f"{len(self.tokens or ())} tokens"
        return (
            f"Attribution of {self.target} in {self.model}: {self.method}{self._at}, {shape}, "
            f"{self._numbers}"
        )

    @property
    def _at(self) -> str:
        """Where the method looked, and how coarse its map is."""
        if self.heat is None or self.places is None or self.places.shape == self.heat.shape:
            return f" at {self.site}" if self.site else ""
        rows, columns = self.places.shape
        where = f"at {self.site}, " if self.site else "in "
        return f" {where}{rows} x {columns} places"

    @property
    def _numbers(self) -> str:
        parts = [f"score {self.score:.4g}"]
        if self.baseline_score is not None:
            parts.append(f"baseline {self.baseline_score:.4g}")
        if self.delta is not None:
            parts.append(f"completeness delta {self.delta:+.2g}")
        if self.elsewhere:
            parts.append(f"{self.elsewhere:+.3g} to what is not shown")
        if not self.values.any():
            parts.append("zero everywhere")
        return ", ".join(parts)
