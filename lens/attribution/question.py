"""What a method is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lens.attribution.baselines import baseline_like
from lens.attribution.scores import Score
from lens.errors import BadInput
from lens.model import Model

__all__ = ["Answer", "Question", "positive"]


@dataclass(frozen=True, eq=False)
class Question:
    """Explain this score of this input.

    Attributes
    ----------
    score : Score
        What is explained.
    input : Tensor
        One picture (1, channels, height, width), or one text's tokens (1, tokens).
    batch_size : int
        How many inputs may run at once.
    seed : int
        Of the methods that draw.
    """

    score: Score
    input: Tensor
    batch_size: int
    seed: int

    @property
    def model(self) -> Model:
        """Whose score it is."""
        return self.score.model

    def baseline(self, which: Any) -> Float[Tensor, "1 channels height width"]:
        """Make the named baseline for this picture."""
        return baseline_like(self.model, self.input, which)

    def path(self, ground: Tensor, steps: Any) -> dict[str, Any]:
        """What captum's methods along a line from a baseline take, in that many steps."""
        return {
            "baselines": ground,
            "n_steps": positive(steps, "steps"),
            "internal_batch_size": self.batch_size,
        }

    def value(self, batch: Tensor | None = None) -> float:
        """Score the input, or another one."""
        with torch.no_grad():
            return float(self.score(self.input if batch is None else batch)[0])


@dataclass(frozen=True, eq=False)
class Answer:
    """A method's scores of the places that it tells apart.

    Attributes
    ----------
    places : Tensor
        (rows, columns): pixels, patches, a site's grid; or (1, tokens).
    elsewhere : float
        What went to positions without a place: class tokens, registers, padding.
    baseline_score : float or None
        The score of what the input was compared with.
    complete : bool
        Whether `places` and `elsewhere` should add up to the difference of the two scores.
    site : str or None
        Where in the model.
    smooth : bool
        Whether the places are samples of something smooth, for drawing.
    """

    places: Float[Tensor, "rows columns"]
    elsewhere: float = 0.0
    baseline_score: float | None = None
    complete: bool = False
    site: str | None = None
    smooth: bool = False


def positive(value: Any, what: str) -> int:
    """Check a whole number above 0.

    Raises
    ------
    BadInput
        If it is none, naming what it is.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadInput(f"{what} is a whole number from 1 on, not {value!r}.")
    return value
