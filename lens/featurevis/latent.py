"""A generator of StyleGAN's shape as a source of images: ``mapping``, then ``synthesis``.

Versions of StyleGAN differ in how they are called; ``stylegan`` finds out. What is optimized is w,
counted from its mean in its own standard deviations, so that one learning rate suits every
generator, or z.

References
----------
Karras, Laine, Aila, "A Style-Based Generator Architecture for Generative Adversarial Networks",
CVPR 2019 (w, and truncation towards its mean).
Karras et al., "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020 (the
calls ``mapping(z, c)`` and ``synthesis(ws, noise_mode="const")``).
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from lens.errors import BadInput
from lens.weights import fingerprint

Space = Literal["w", "z"]

# Draws of z that the mean and the spread of w are taken from.
_DRAWS = 1024
# How far a generator may paint past its range before the range must be wrong.
_SLACK = 0.25


@dataclass(frozen=True, eq=False)
class Latent:
    """Images from a generator's latent space: a parameterization, made by ``stylegan``.

    Attributes
    ----------
    module
        The generator.
    z_dim
        Numbers in one z.
    space
        What is optimized.
    truncation
        1 takes w as it comes, 0 its mean; in the z of a generator without a mapping, its factor.
    mean, spread
        Of w over draws of z; 0 and 1 in z.
    """

    module: nn.Module
    z_dim: int
    c_dim: int
    space: Space
    truncation: float
    low: float
    high: float
    mean: Tensor
    spread: Tensor
    lr: float = 0.05
    averaging: float = 0.9

    def start(
        self, size: tuple[int, int], generators: Sequence[Generator]
    ) -> Float[Tensor, "images ..."]:
        """One draw from N(0, I) an image, or the w that it is mapped to."""
        z = torch.stack([torch.randn(self.z_dim, generator=own) for own in generators])
        if self.space == "z":
            return z
        with torch.no_grad():
            w = _mapped(self.module, self.c_dim, z)
        return (w - self.mean) / self.spread

    def pixels(
        self, z: Float[Tensor, "images ..."], size: tuple[int, int]
    ) -> Float[Tensor, "images 3 h w"]:
        """Images in [0, 1], resized where the generator's own size is another.

        Raises
        ------
        BadInput
            Where the generator makes something else than finite images in its range.
        """
        made = self._made(z)
        _check(made, len(z), self.module, self.low, self.high)
        images = (made.float() - self.low) / (self.high - self.low)
        if tuple(images.shape[2:]) != tuple(size):
            images = F.interpolate(images, size, mode="bilinear", antialias=True)
        return images.clamp(0, 1)

    def optimizer(self, z: Tensor, lr: float) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam([z], lr=lr)

    def recipe(self) -> dict[str, Any]:
        """JSON-able description; the module is named by a fingerprint of its weights."""
        return {
            "name": "stylegan",
            "module": type(self.module).__name__,
            "fingerprint": fingerprint(self.module),
            "space": self.space,
            "truncation": self.truncation,
            "low": self.low,
            "high": self.high,
        }

    def _made(self, z: Tensor) -> Any:
        if self.space == "w":
            return _synthesized(self.module, self.mean + self.truncation * self.spread * z)
        if _halves(self.module):
            w = torch.lerp(self.mean, _mapped(self.module, self.c_dim, z), self.truncation)
            return _synthesized(self.module, w)
        z = self.truncation * z
        return self.module(z, z.new_zeros(len(z), self.c_dim)) if self.c_dim else self.module(z)


def stylegan(
    module: nn.Module,
    *,
    space: Space | None = None,
    truncation: float = 0.7,
    z_dim: int | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Latent:
    """Make images with a generator, in whichever way it is called.

    Parameters
    ----------
    module
        With ``mapping`` and ``synthesis``, or called as a whole. ``c_dim`` above 0 says that it
        takes labels as well, which are all zero. It is put into eval mode by whoever runs it.
    space
        Optimize ``"w"`` (the default where there is a mapping) or ``"z"``.
    truncation
        How far from the mean image to go.
    z_dim
        Numbers in one z; ``module.z_dim`` or ``module.z_shape`` by default.
    low, high
        What black and white are to the generator: ``module.low`` and ``module.high`` where it says
        so, else -1 and 1, as after a tanh; after a sigmoid it is 0 and 1.

    Raises
    ------
    BadInput
        Where the module is no generator, or how long z is can't be told.
    """
    if not isinstance(module, nn.Module):
        raise BadInput(f"a generator is a torch module, not {type(module).__name__}.")
    if not 0 <= truncation <= 1:
        raise BadInput(f"truncation lies between 0 and 1, not {truncation!r}.")
    low = float(getattr(module, "low", -1.0)) if low is None else low
    high = float(getattr(module, "high", 1.0)) if high is None else high
    if not low < high:
        raise BadInput(f"low is below high; they are {low} and {high}.")
    halves = _halves(module)
    space = space or ("w" if halves else "z")
    if space not in ("w", "z"):
        raise BadInput(f"space is 'w' or 'z', not {space!r}.")
    if space == "w" and not halves:
        raise BadInput(
            f"{type(module).__name__} has no mapping and synthesis, so no w; use space='z'."
        )
    length = _z_dim(module) if z_dim is None else z_dim
    c_dim = int(getattr(module, "c_dim", 0) or 0)
    mean, spread = torch.zeros(()), torch.ones(())
    if halves:
        mean, spread = _statistics(module, length, c_dim)
    return Latent(module, length, c_dim, space, truncation, low, high, mean, spread)


def _halves(module: nn.Module) -> bool:
    return callable(getattr(module, "mapping", None)) and callable(
        getattr(module, "synthesis", None)
    )


def _z_dim(module: nn.Module) -> int:
    found = getattr(module, "z_dim", None) or getattr(module, "z_shape", None)
    if isinstance(found, (tuple, list, torch.Size)) and len(found) == 1:
        found = found[0]
    if not isinstance(found, int):
        raise BadInput(
            f"how many numbers {type(module).__name__} takes can't be told: it has no z_dim; "
            "say z_dim=512, for example."
        )
    return found


@torch.no_grad()
def _statistics(module: nn.Module, z_dim: int, c_dim: int) -> tuple[Tensor, Tensor]:
    """Mean of w (the generator's own, if it keeps one) and standard deviation of its numbers."""
    draws = torch.randn(_DRAWS, z_dim, generator=Generator().manual_seed(0))
    w = _mapped(module, c_dim, draws)
    own = getattr(module.mapping, "w_avg", getattr(module, "w_avg", None))
    mean = w.mean(0) if own is None else torch.as_tensor(own).detach().to(w).expand(w.shape[1:])
    # A number that never changes has no spread, and stays.
    return mean, (w - mean).square().mean(0).sqrt()


def _mapped(module: nn.Module, c_dim: int, z: Tensor) -> Tensor:
    mapping: Any = module.mapping
    z = z.to(_home(module))
    if c_dim:
        return mapping(z, z.new_zeros(len(z), c_dim))
    return mapping(z, None) if _takes(mapping, "c") else mapping(z)


def _synthesized(module: nn.Module, w: Tensor) -> Any:
    synthesis: Any = module.synthesis
    # Fresh noise at every call would be climbed in vain.
    fixed = {"noise_mode": "const"} if _takes(synthesis, "noise_mode", or_any=True) else {}
    return synthesis(w, **fixed)


def _takes(part: Any, name: str, or_any: bool = False) -> bool:
    known = inspect.signature(part.forward if isinstance(part, nn.Module) else part).parameters
    kinds = [parameter.kind for parameter in known.values()]
    # StyleGAN2 and 3 hand their keywords down to every layer.
    return name in known or (or_any and inspect.Parameter.VAR_KEYWORD in kinds)


def _home(module: nn.Module) -> torch.device:
    return next((p.device for p in module.parameters()), torch.device("cpu"))


def _check(made: Any, count: int, module: nn.Module, low: float, high: float) -> None:
    name = f"the generator {type(module).__name__}"
    if not isinstance(made, Tensor) or made.ndim != 4 or made.shape[:2] != (count, 3):
        got = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
        raise BadInput(f"{name} should make images ({count}, 3, h, w), and made {got}.")
    if min(made.shape[2:]) < 8:
        raise BadInput(f"{name} makes {made.shape[3]} x {made.shape[2]}: at least 8 pixels a side.")
    least, most = made.detach().aminmax()
    if not (least.isfinite() and most.isfinite()):
        raise BadInput(f"{name} makes NaN or infinity.")
    slack = _SLACK * (high - low)
    if low >= 0 > least + slack:
        raise BadInput(
            f"{name} paints from {least:.2g} to {most:.2g}, past its range of {low:g} to {high:g}; "
            "say low=-1, high=1 for one that ends in a tanh."
        )
