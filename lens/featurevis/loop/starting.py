"""Starting at an image: the numbers of a parameterization that give it, in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lens.errors import BadInput
from lens.featurevis.parameterization import Fourier, Parameterization, Pixel

# The sigmoid never reaches black and white: half of one of 255 levels away from them it stops.
_EDGE = 0.5 / 255


def from_image(
    parameterization: Parameterization, image: Float[Tensor, "1 3 h w"], images: int
) -> Float[Tensor, "images ..."]:
    """The ``z`` of ``images`` copies of an image.

    A parameterization of one's own may have a method ``invert(images)`` that does it.

    Raises
    ------
    BadInput
        Where the parameterization can't show any image that is wanted.
    """
    if hasattr(parameterization, "invert"):
        return parameterization.invert(image.repeat(images, 1, 1, 1))
    if not isinstance(parameterization, (Fourier, Pixel)):
        raise BadInput(
            f"{type(parameterization).__name__} can't start at an image: Fourier() and Pixel() can."
        )
    plane = torch.logit(image.clamp(_EDGE, 1 - _EDGE).double())
    if parameterization.decorrelate:
        plane = torch.einsum("oc,nchw->nohw", torch.linalg.inv(_colours()), plane)
    if isinstance(parameterization, Fourier):
        plane = _spectrum(plane, parameterization.decay)
    return plane.float().repeat(images, *[1] * (plane.dim() - 1))


def _colours() -> Float[Tensor, "3 3"]:
    """What decorrelated channels are multiplied with, read off pure ones."""
    pure = Pixel(decorrelate=True).pixels(torch.eye(3)[:, :, None, None], (1, 1))
    return torch.logit(pure[:, :, 0, 0].double()).T


def _spectrum(plane: Float[Tensor, "n 3 h w"], decay: float) -> Float[Tensor, "n 3 h half_w 2"]:
    height, width = plane.shape[-2:]
    vertical = torch.fft.fftfreq(height, dtype=torch.double)[:, None]
    horizontal = torch.fft.rfftfreq(width, dtype=torch.double)[None, :]
    frequency = (vertical**2 + horizontal**2).sqrt().clamp(min=1 / max(height, width))
    scale = (height * width) ** 0.5 / frequency**decay
    return torch.view_as_real(torch.fft.rfft2(4 * plane) / scale)


def check(parameterization: Parameterization, size: Sequence[int]) -> None:
    """Raise ``BadInput`` where a parameterization can't start at an image."""
    from_image(parameterization, torch.full((1, 3, *size), 0.5), 1)
