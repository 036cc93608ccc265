"""Several transforms one after another, what they have in common, and recipes of them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

from jaxtyping import Float
from torch import Generator, Tensor

from lens.errors import BadInput, suggestion
from lens.featurevis.transforms import geometry
from lens.featurevis.transforms.crops import Crops
from lens.featurevis.transforms.cutouts import Cutouts
from lens.featurevis.transforms.geometry import Moves
from lens.featurevis.transforms.pixels import Blur, Colour, Cutout, Noise

_MOVES = ("jitter", "scale", "rotate")
_BY_KIND: dict[str, Callable[..., Transform]] = {
    "moves": geometry.from_steps,
    "crops": Crops,
    "cutouts": Cutouts,
    "blur": Blur,
    "noise": Noise,
    "colour": Colour,
    "cutout": Cutout,
}


class Transform(Protocol):
    """What the optimization asks of what an image has to withstand."""

    @property
    def views(self) -> int:
        """How many rows come out for every row that goes in; they follow each other."""

    def __call__(
        self,
        images: Float[Tensor, "images 3 h w"],
        generators: Sequence[Generator],
        progress: float = 0.0,
    ) -> Float[Tensor, "views 3 h w"]:
        """Transform every image by draws from its own generator.

        ``progress`` says how much of the run is over, from 0 to 1. Where there are more images
        than generators, they are views, those of one image behind each other.
        """

    def recipe(self) -> list[dict[str, Any]]:
        """JSON-able description; see ``from_recipe``."""


@dataclass(frozen=True)
class Composed:
    """Transforms, the first one first."""

    parts: tuple[Transform, ...]

    @property
    def views(self) -> int:
        """Views of views multiply."""
        return prod(part.views for part in self.parts)

    def __call__(
        self,
        images: Float[Tensor, "images 3 h w"],
        generators: Sequence[Generator],
        progress: float = 0.0,
    ) -> Float[Tensor, "views 3 h w"]:
        """Do one after another."""
        for part in self.parts:
            images = part(images, generators, progress)
        return images

    def recipe(self) -> list[dict[str, Any]]:
        """JSON-able description; see ``from_recipe``."""
        return [step for part in self.parts for step in _whole(part)]


def compose(*parts: Transform) -> Transform:
    """Do these transforms in this order; none at all is the identity."""
    flat: list[Transform] = []
    for part in parts:
        flat += part.parts if isinstance(part, Composed) else (part,)
    if not flat:
        return Moves()
    return flat[0] if len(flat) == 1 else Composed(tuple(flat))


def maco(views: int = 8, start: float = 0.5, end: float = 0.05) -> Transform:
    """MACO's recipe: random crops, ever smaller, and noise.

    Its numbers are for images of 224 pixels and more. A model of small pictures that a thing fills
    sees nothing in a crop of a few pixels: ``maco(2, 1.0, 0.6)`` suits glyph-rn.
    """
    return compose(Crops(views, start, end), Noise(0.08))


def from_recipe(recipe: Sequence[dict[str, Any]]) -> Transform:
    """Build transforms from what their ``recipe`` returned.

    Raises
    ------
    BadInput
        Where the recipe names one that does not exist here, or settings that it doesn't have.
    """
    kinds = [step.get("kind") for step in recipe]
    if all(kind in _MOVES for kind in kinds):
        return geometry.from_steps(recipe)
    there = [*_MOVES, *_BY_KIND]
    unknown = [kind for kind in kinds if kind not in _BY_KIND]
    if unknown:
        raise BadInput(
            f"no transform is called {unknown[0]!r}; there are {', '.join(there)}."
            + suggestion(str(unknown[0]), there)
        )
    return compose(*(_built(step) for step in recipe))


def _built(step: dict[str, Any]) -> Transform:
    settings = {name: value for name, value in step.items() if name != "kind"}
    try:
        return _BY_KIND[step["kind"]](**settings)
    except TypeError as problem:
        raise BadInput(f"this is no recipe of {step['kind']}: {problem}.") from problem


def _whole(part: Transform) -> list[dict[str, Any]]:
    """Keep the moves of one resampling together."""
    if isinstance(part, Moves) and part.padding == "grey":
        return [{"kind": "moves", "steps": part.recipe(), "padding": part.padding}]
    return part.recipe()
