"""Where an image comes from: numbers that are optimized (``z``) and the way from them to pixels.

A parameterization is an immutable value with four methods: ``start`` draws ``z``, one random
generator an image; ``pixels`` turns ``z`` into images in [0, 1], differentiably; ``optimizer``
chooses what climbs ``z``; ``recipe`` says how to build it again. Nothing here knows of models or
objectives.

References
----------
Olah, Mordvintsev, Schubert, "Feature Visualization", Distill 2017 (the Fourier basis and the
colour decorrelation of lucid).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from lens.errors import BadInput

# A square root of the colour covariance of ImageNet's pixels (lucid's numbers): independent
# channels times this matrix have the colour statistics of photographs.
_COLOR_SQRT = (
    (0.26, 0.09, 0.02),
    (0.27, 0.00, -0.05),
    (0.27, -0.09, 0.03),
)


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
        self, size: tuple[int, int], generators: Sequence[Generator]
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


@dataclass(frozen=True)
class Fourier:
    """lucid's parameterization, x = sigmoid(M irfft2(S * z) / 4), z complex Gaussian noise.

    S(f) = sqrt(w h) / max(f, 1 / max(w, h)) ** decay gives every spatial scale the same standing
    in front of Adam (photographs have a 1/f spectrum); M makes the three channels decorrelated
    colours. Both only change which direction is steepest: every image can still be reached.

    Parameters
    ----------
    decay
        Power of the frequency in S.
    spread
        Standard deviation of the start, for the real and the imaginary part.
    decorrelate
        Whether to use M; without it the channels are plain red, green, blue.
    """

    decay: float = 1.0
    spread: float = 0.01
    decorrelate: bool = True

    lr: ClassVar[float] = 0.05
    averaging: ClassVar[float] = 0.0

    def start(
        self, size: tuple[int, int], generators: Sequence[Generator]
    ) -> Float[Tensor, "images 3 h half_w 2"]:
        """Half spectra (the other half follows, images being real); last axis: real, imaginary."""
        height, width = size
        return self.spread * _normal((3, height, width // 2 + 1, 2), generators)

    def pixels(
        self, z: Float[Tensor, "images 3 h half_w 2"], size: tuple[int, int]
    ) -> Float[Tensor, "images 3 h w"]:
        """Images in [0, 1]; always computed in float32."""
        scale = _spectrum_scale(size, self.decay).to(z.device)
        plane = torch.fft.irfft2(torch.view_as_complex(z.float()) * scale, s=size) / 4
        return torch.sigmoid(_correlate(plane) if self.decorrelate else plane)

    def optimizer(self, z: Tensor, lr: float) -> torch.optim.Optimizer:
        """Adam, as lucid has it."""
        return torch.optim.Adam([z], lr=lr)

    def recipe(self) -> dict[str, Any]:
        """JSON-able description."""
        return {"name": "fourier", **asdict(self)}


@dataclass(frozen=True)
class Pixel:
    """One number a pixel and channel, x = sigmoid(M z): the baseline that Fourier improves on."""

    spread: float = 0.01
    decorrelate: bool = True

    lr: ClassVar[float] = 0.05
    averaging: ClassVar[float] = 0.0

    def start(
        self, size: tuple[int, int], generators: Sequence[Generator]
    ) -> Float[Tensor, "images 3 h w"]:
        """Gaussian noise of standard deviation ``spread``."""
        return self.spread * _normal((3, *size), generators)

    def pixels(
        self, z: Float[Tensor, "images 3 h w"], size: tuple[int, int]
    ) -> Float[Tensor, "images 3 h w"]:
        """Images in [0, 1]."""
        return torch.sigmoid(_correlate(z) if self.decorrelate else z)

    def optimizer(self, z: Tensor, lr: float) -> torch.optim.Optimizer:
        """Adam, as lucid has it."""
        return torch.optim.Adam([z], lr=lr)

    def recipe(self) -> dict[str, Any]:
        """JSON-able description."""
        return {"name": "pixel", **asdict(self)}


_BY_NAME = {"fourier": Fourier, "pixel": Pixel}


def from_recipe(recipe: dict[str, Any]) -> Parameterization:
    """Build a parameterization from what its ``recipe()`` returned.

    Raises
    ------
    BadInput
        Where the recipe names one that does not exist here.
    """
    settings = dict(recipe)
    name = settings.pop("name", None)
    if name not in _BY_NAME:
        raise BadInput(f"no parameterization is called {name!r}; there are {', '.join(_BY_NAME)}.")
    return _BY_NAME[name](**settings)


def _normal(shape: tuple[int, ...], generators: Sequence[Generator]) -> Tensor:
    """One standard normal draw an image, so that no image's start depends on its neighbours."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])


def _spectrum_scale(size: tuple[int, int], decay: float) -> Float[Tensor, "h half_w"]:
    height, width = size
    vertical = torch.fft.fftfreq(height)[:, None]
    frequency = torch.sqrt(vertical**2 + torch.fft.rfftfreq(width)[None, :] ** 2)
    return (height * width) ** 0.5 / frequency.clamp(min=1 / max(height, width)) ** decay


def _correlate(plane: Float[Tensor, "images 3 h w"]) -> Float[Tensor, "images 3 h w"]:
    matrix = torch.tensor(_COLOR_SQRT, dtype=plane.dtype, device=plane.device)
    matrix = matrix / matrix.norm(dim=0).max()
    return torch.einsum("oc,nchw->nohw", matrix, plane)
