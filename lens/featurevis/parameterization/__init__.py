"""Where an image comes from: numbers that are optimized (``z``) and the way from them to pixels.

A parameterization is an immutable value with four methods: ``start`` draws ``z``, one random
generator an image; ``pixels`` turns ``z`` into images in [0, 1], differentiably; ``optimizer``
chooses what climbs ``z``; ``recipe`` says how to build it again. Nothing here knows of models or
objectives.

There are ``Fourier`` (the default), ``Pixel``, ``Pyramid`` (a Laplacian pyramid), ``Maco`` (only
the phases, under the magnitudes of photographs), ``Cppn`` (a network from places to colours),
``Strokes`` (a drawing in Bezier curves) and ``Generator`` (any module that makes images; what
``lens.featurevis.stylegan`` makes is one). ``Aligned`` lets the images of a batch share a base,
``Chosen`` starts them at draws that were looked at before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from lens.errors import BadInput, suggestion

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float
    from torch import Tensor, nn

    from lens.featurevis.parameterization.aligned import Aligned
    from lens.featurevis.parameterization.chosen import Chosen
    from lens.featurevis.parameterization.cppn import Cppn
    from lens.featurevis.parameterization.fourier import Fourier
    from lens.featurevis.parameterization.generator import Generator
    from lens.featurevis.parameterization.maco import Maco
    from lens.featurevis.parameterization.pixel import Pixel
    from lens.featurevis.parameterization.pyramid import Pyramid
    from lens.featurevis.parameterization.spectrum import Spectrum
    from lens.featurevis.parameterization.strokes import Strokes

__all__ = [
    "Aligned",
    "Chosen",
    "Cppn",
    "Fourier",
    "Generator",
    "Maco",
    "Parameterization",
    "Pixel",
    "Pyramid",
    "Spectrum",
    "Strokes",
    "from_recipe",
]

_HOME = {
    "Aligned": "aligned",
    "Chosen": "chosen",
    "Cppn": "cppn",
    "Fourier": "fourier",
    "Generator": "generator",
    "Maco": "maco",
    "Pixel": "pixel",
    "Pyramid": "pyramid",
    "Spectrum": "spectrum",
    "Strokes": "strokes",
}
_BY_NAME = {name.lower(): name for name in sorted(_HOME) if name != "Spectrum"}


class Parameterization(Protocol):
    """What the optimization asks of a source of images."""

    @property
    def lr(self) -> float:
        """The learning rate that suits it."""

    @property
    def averaging(self) -> float:
        """Share of itself that an exponential moving average of z keeps at every step.

        The images are drawn from that average; 0 draws them from z itself.
        """

    def start(
        self, size: tuple[int, int], generators: Sequence[torch.Generator]
    ) -> Float[Tensor, "images ..."]:
        """Draw the numbers to optimize, each image from its own generator."""

    def pixels(
        self, z: Float[Tensor, "images ..."], size: tuple[int, int]
    ) -> Float[Tensor, "images 3 h w"]:
        """Images in [0, 1]."""

    def optimizer(self, z: Tensor, lr: float) -> torch.optim.Optimizer:
        """What climbs ``z``; it works number by number, so that images don't feel each other."""

    def recipe(self) -> dict[str, Any]:
        """JSON-able description; see ``from_recipe``."""


def from_recipe(
    recipe: dict[str, Any], modules: Iterable[nn.Module | Generator] = ()
) -> Parameterization:
    """Build a parameterization from what its ``recipe()`` returned.

    Parameters
    ----------
    recipe
        What ``recipe()`` returned.
    modules
        Modules that make images, or ``Generator`` values of them. A recipe names a generator by a
        fingerprint of its weights; the one that has it is taken.

    Raises
    ------
    BadInput
        Where the recipe names one that does not exist here, or settings that it doesn't have, or
        a generator that is not among those given.
    """
    settings = dict(recipe)
    name = settings.pop("name", None)
    if name not in _BY_NAME:
        raise BadInput(
            f"no parameterization is called {name!r}; there are {', '.join(_BY_NAME)}."
            + suggestion(str(name), _BY_NAME)
        )
    module = import_module(f"{__name__}.{name}")
    if "own" in settings:  # one around another
        settings["own"] = from_recipe(settings["own"], modules)
    try:
        if name == "generator":
            return module.from_settings(settings, modules)
        return getattr(module, _BY_NAME[name])(**settings)
    except TypeError as problem:
        raise BadInput(f"this is no recipe of {name}: {problem}.") from problem


def __getattr__(name: str) -> Any:
    # Each idea loads when it is used.
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
