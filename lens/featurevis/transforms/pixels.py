"""Changes of what pixels look like, not of where they are: blur, noise, colour, a square cut out.

Each is an immutable value; every image, and every view of it, has a draw of its own from that
image's generator. Values may leave [0, 1] a little: clamping would stop the gradient there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from lens.data.compose import LUMINANCE
from lens.errors import BadInput
from lens.featurevis.draws import normal, uniform
from lens.featurevis.transforms.geometry import GREY


@dataclass(frozen=True)
class Blur:
    """Gaussian blur, its standard deviation uniform between ``low`` and ``high`` pixels."""

    low: float
    high: float

    views: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            raise BadInput(f"blur needs 0 <= low <= high, not {self.low} and {self.high}.")

    def __call__(
        self,
        images: Float[Tensor, "images 3 h w"],
        generators: Sequence[Generator],
        progress: float = 0.0,
    ) -> Float[Tensor, "images 3 h w"]:
        """Blur every image, whose edge goes on outside."""
        rows, height, width = len(images), *images.shape[2:]
        drawn = self.low + (self.high - self.low) * uniform((1,), generators, rows)
        radius = math.ceil(3 * self.high)
        if radius == 0:
            return images
        places = torch.arange(-radius, radius + 1)
        kernel = torch.exp(-0.5 * (places / drawn.clamp(min=1e-3)) ** 2)
        kernel = (kernel / kernel.sum(1, keepdim=True)).to(images)
        # One long picture of many channels, each with its own kernel.
        taps = kernel.repeat_interleave(3, 0)[:, None]
        plane = images.reshape(1, rows * 3, height, width)
        plane = F.pad(plane, (radius,) * 4, mode="replicate")
        plane = F.conv2d(plane, taps[..., None, :], groups=rows * 3)
        plane = F.conv2d(plane, taps[..., None], groups=rows * 3)
        return plane.reshape(images.shape)

    def recipe(self) -> list[dict[str, Any]]:
        """JSON-able description; see ``from_recipe``."""
        return [{"kind": "blur", **asdict(self)}]


@dataclass(frozen=True)
class Noise:
    """Gaussian noise of standard deviation ``std``, another at every step."""

    std: float

    views: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not self.std >= 0:
            raise BadInput(f"noise needs a standard deviation of at least 0, not {self.std!r}.")

    def __call__(
        self,
        images: Float[Tensor, "images 3 h w"],
        generators: Sequence[Generator],
        progress: float = 0.0,
    ) -> Float[Tensor, "images 3 h w"]:
        """Add noise to every pixel and channel."""
        return images + self.std * normal(images.shape[1:], generators, len(images)).to(images)

    def recipe(self) -> list[dict[str, Any]]:
        """JSON-able description; see ``from_recipe``."""
        return [{"kind": "noise", **asdict(self)}]


@dataclass(frozen=True)
class Colour:
    """Another brightness, contrast and saturation: x -> s (c (x + b - m) + m - g) + g.

    b is uniform on (-brightness, brightness), c on 1 -+ contrast, s on 1 -+ saturation; m is the
    mean luma of the image and g the luma of the pixel, after what comes before them.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0

    views: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise BadInput(f"{name} changes by a share between 0 and 1, not {value!r}.")

    def __call__(
        self,
        images: Float[Tensor, "images 3 h w"],
        generators: Sequence[Generator],
        progress: float = 0.0,
    ) -> Float[Tensor, "images 3 h w"]:
        """Recolour every image."""
        drawn = 2 * uniform((3, 1, 1, 1), generators, len(images)).to(images) - 1
        brighter = images + self.brightness * drawn[:, 0]
        middle = _luma(brighter).mean((2, 3), keepdim=True)
        harder = middle + (1 + self.contrast * drawn[:, 1]) * (brighter - middle)
        grey = _luma(harder)
        return grey + (1 + self.saturation * drawn[:, 2]) * (harder - grey)

    def recipe(self) -> list[dict[str, Any]]:
        """JSON-able description; see ``from_recipe``."""
        return [{"kind": "colour", **asdict(self)}]


@dataclass(frozen=True)
class Cutout:
    """A grey square somewhere, its side ``share`` of the shorter one (DeVries, Taylor 2017)."""

    share: float

    views: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise BadInput(f"cutout takes a share above 0 and up to 1, not {self.share!r}.")

    def __call__(
        self,
        images: Float[Tensor, "images 3 h w"],
        generators: Sequence[Generator],
        progress: float = 0.0,
    ) -> Float[Tensor, "images 3 h w"]:
        """Hide a square of every image; its centre may be anywhere, so that it may be cut off."""
        height, width = images.shape[2:]
        centre = uniform((2,), generators, len(images)) * torch.tensor([height, width])
        half = self.share * min(height, width) / 2
        rows = (torch.arange(height) + 0.5 - centre[:, :1]).abs() < half
        columns = (torch.arange(width) + 0.5 - centre[:, 1:]).abs() < half
        hidden = (rows[:, None, :, None] & columns[:, None, None, :]).to(images.device)
        return images.masked_fill(hidden, GREY)

    def recipe(self) -> list[dict[str, Any]]:
        """JSON-able description; see ``from_recipe``."""
        return [{"kind": "cutout", **asdict(self)}]


def blur(low: float, high: float | None = None) -> Blur:
    """Blur by a standard deviation between ``low`` and ``high`` pixels, or of ``low`` alone."""
    return Blur(low, low if high is None else high)


def noise(std: float) -> Noise:
    """Add Gaussian noise."""
    return Noise(std)


def colour(brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0) -> Colour:
    """Change brightness, contrast and saturation by up to these shares."""
    return Colour(brightness, contrast, saturation)


def cutout(share: float) -> Cutout:
    """Hide a square of this share of the shorter side."""
    return Cutout(share)


def _luma(images: Float[Tensor, "images 3 h w"]) -> Float[Tensor, "images 1 h w"]:
    weights = torch.tensor(LUMINANCE, dtype=images.dtype, device=images.device)
    return torch.einsum("c,nchw->nhw", weights, images)[:, None]
