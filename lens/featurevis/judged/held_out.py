"""Changes that a visualization was not made to withstand: a test of what the unit really sees.

A run climbs under small moves, so that an image that only holds still for those would look good on
them. Here every image is changed in other ways, and moved by other draws: an image of what excites
a unit still excites it when it is a little blurred, one that fools it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from lens.featurevis.transforms import jitter, moves, scale, standard

Change = Callable[[Float[Tensor, "n 3 h w"], Sequence[Generator]], Float[Tensor, "n 3 h w"]]

# The eye's weights of red, green and blue (ITU-R BT.601).
_LUMINANCE = (0.299, 0.587, 0.114)


def moved(images: Float[Tensor, "n 3 h w"], generators: Sequence[Generator]) -> Tensor:
    """Jittered, scaled and turned as in a standard run, by other draws."""
    return standard(_size(images))(images, generators)


def cropped(images: Float[Tensor, "n 3 h w"], generators: Sequence[Generator]) -> Tensor:
    """Magnified to 1.15 to 1.4 of the size, more than a standard run does, and shifted."""
    return moves(scale(1.15, 1.4), jitter(max(_size(images)) / 8))(images, generators)


def mirrored(images: Float[Tensor, "n 3 h w"], generators: Sequence[Generator]) -> Tensor:
    """Left for right."""
    return images.flip(-1)


def blurred(images: Float[Tensor, "n 3 h w"], generators: Sequence[Generator]) -> Tensor:
    """Under a Gaussian with a deviation of 1/192 to 1/64 of the longer side (0.5-1.5 px at 96)."""
    longer = max(_size(images))
    sigmas = _uniform(generators, longer / 192, longer / 64)
    reach = max(1, round(3 * longer / 64))
    places = torch.arange(-reach, reach + 1, dtype=torch.float32)
    bells = torch.exp(-0.5 * (places / sigmas[:, None]) ** 2)
    bells = (bells / bells.sum(1, keepdim=True)).repeat_interleave(3, 0).to(images)
    planes = images.reshape(1, -1, *images.shape[-2:])
    edged = F.pad(planes, (reach, reach, reach, reach), mode="replicate")
    across = F.conv2d(edged, bells[:, None, None, :], groups=len(bells))
    return F.conv2d(across, bells[:, None, :, None], groups=len(bells)).reshape(images.shape)


def noisy(images: Float[Tensor, "n 3 h w"], generators: Sequence[Generator]) -> Tensor:
    """Under Gaussian noise of 0.03 to 0.1 a channel, pixels being in [0, 1]."""
    grain = torch.stack([torch.randn(images.shape[1:], generator=g) for g in generators])
    strength = _uniform(generators, 0.03, 0.1)[:, None, None, None]
    return images + (strength * grain).to(images)


def recoloured(images: Float[Tensor, "n 3 h w"], generators: Sequence[Generator]) -> Tensor:
    """Darker or lighter by 0.1, of 0.75 to 1.25 the contrast and 0.5 to 1.5 the saturation."""
    light, contrast, saturation = (
        _uniform(generators, low, high)[:, None, None, None].to(images)
        for low, high in ((-0.1, 0.1), (0.75, 1.25), (0.5, 1.5))
    )
    grey = torch.einsum("c,nchw->nhw", images.new_tensor(_LUMINANCE), images)[:, None]
    coloured = grey + saturation * (images - grey)
    middle = grey.mean((2, 3), keepdim=True)
    return middle + contrast * (coloured - middle) + light


CHANGES: Mapping[str, Change] = {
    "moved": moved,
    "cropped": cropped,
    "mirrored": mirrored,
    "blurred": blurred,
    "noisy": noisy,
    "recoloured": recoloured,
}


def changed(
    kind: str, images: Float[Tensor, "n 3 h w"], generators: Sequence[Generator]
) -> Float[Tensor, "n 3 h w"]:
    """Change every image by a draw from its own generator; pixels stay in [0, 1]."""
    return CHANGES[kind](images, generators).clamp(0, 1)


def generator(seed: int, unit: int, copy: int) -> Generator:
    """The random numbers that one image is tested with: none of those that a run draws."""
    state = np.random.SeedSequence([seed, unit, copy], spawn_key=(1,)).generate_state(1, np.uint64)
    return Generator().manual_seed(int(state[0]) >> 1)


def _uniform(generators: Sequence[Generator], low: float, high: float) -> Float[Tensor, " n"]:
    draws = torch.stack([torch.rand((), generator=g) for g in generators])
    return low + (high - low) * draws


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]
