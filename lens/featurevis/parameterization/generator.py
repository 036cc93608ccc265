"""Any module that makes images, optimized in what goes into it: an image prior.

References
----------
Nguyen, Dosovitskiy, Yosinski, Brox, Clune, "Synthesizing the preferred inputs for neurons in neural
networks via deep generator networks", NeurIPS 2016; truncation after Brock, Donahue, Simonyan,
"Large Scale GAN Training", ICLR 2019, and Karras, Laine, Aila, "A Style-Based Generator
Architecture", CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from lens.errors import BadInput
from lens.featurevis.draws import normal
from lens.featurevis.parameterization.exact import in_full_precision
from lens.weights import fingerprint

# Draws that the mean of a mapping is taken over.
_FOR_THE_MEAN = 4096


@dataclass(frozen=True)
class Generator:
    """x = module(mean + truncation (z - mean)), resized; z alone is optimized.

    The module runs in eval mode and its weights get no gradients; modes and flags are as they were
    after every call.

    Parameters
    ----------
    module
        Takes z, (images, *z_shape), and returns images, (images, 3, h, w).
    z_shape
        Shape of one z, drawn from a standard normal distribution at the start.
    truncation
        1 takes z as it is, 0 its mean: how far from the most ordinary image to go.
    averaging
        Share of itself that the average of z keeps at every step; the image is drawn from it.
    low, high
        What the module paints black and white with: (-1, 1) for a tanh, (0, 1) for a sigmoid.
    mapping
        Turns z into the w that the module takes, as StyleGAN's does. Then w is optimized; it starts
        at mapping(z), and truncation is towards the mean w.
    lr
        The learning rate that suits it.
    """

    module: nn.Module
    z_shape: tuple[int, ...]
    truncation: float = 1.0
    averaging: float = 0.99
    low: float = -1.0
    high: float = 1.0
    mapping: nn.Module | None = None
    lr: float = 0.05

    def __post_init__(self) -> None:
        object.__setattr__(self, "z_shape", tuple(int(extent) for extent in self.z_shape))
        if not isinstance(self.module, nn.Module):
            raise BadInput(f"a generator is a torch module, not {type(self.module).__name__}.")
        if not 0 <= self.truncation <= 1:
            raise BadInput(f"truncation lies between 0 and 1, not {self.truncation!r}.")
        if not 0 <= self.averaging < 1:
            raise BadInput(f"averaging lies between 0 and 1, 1 excluded, not {self.averaging!r}.")
        if (self.low, self.high) not in ((-1, 1), (0, 1)):
            raise BadInput(
                f"a generator's range is (-1, 1) or (0, 1), not ({self.low}, {self.high})."
            )

    def start(
        self, size: tuple[int, int], generators: Sequence[torch.Generator]
    ) -> Float[Tensor, "images ..."]:
        """One standard normal z an image, or what the mapping makes of it.

        Raises
        ------
        BadInput
            Where the module can't take it, or returns no images or numbers that aren't finite.
        """
        z = normal(self.z_shape, generators)
        with torch.no_grad():
            if self.mapping is not None:
                z = _run(self.mapping, z)
            images = self.pixels(z, size)
        if not images.isfinite().all():
            raise BadInput(f"{self._called} makes NaN or infinity of a random z.")
        return z

    @in_full_precision
    def pixels(
        self, z: Float[Tensor, "images ..."], size: tuple[int, int]
    ) -> Float[Tensor, "images 3 h w"]:
        """Images in [0, 1]."""
        mean = self._mean.to(z)
        try:
            made = _run(self.module, mean + self.truncation * (z - mean))
        except (RuntimeError, ValueError, TypeError) as problem:
            sentence = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
            raise BadInput(
                f"{self._called} can't take z of shape {tuple(z.shape)}: {sentence}"
            ) from problem
        if not isinstance(made, Tensor) or made.ndim != 4 or made.shape[:2] != (len(z), 3):
            got = tuple(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise BadInput(
                f"{self._called} should return images ({len(z)}, 3, h, w), and returned {got}."
            )
        images = (made.to(z) - self.low) / (self.high - self.low)
        if tuple(images.shape[2:]) != tuple(size):
            images = F.interpolate(images, size, mode="bilinear", antialias=True)
        return images.clamp(0, 1)

    def optimizer(self, z: Tensor, lr: float) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam([z], lr=lr)

    def recipe(self) -> dict[str, Any]:
        """JSON-able description; the module is named by a fingerprint of its weights."""
        return {
            "name": "generator",
            "fingerprint": self.fingerprint,
            "module": type(self.module).__name__,
            "z_shape": list(self.z_shape),
            "truncation": self.truncation,
            "averaging": self.averaging,
            "low": self.low,
            "high": self.high,
            "lr": self.lr,
        }

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digits that change with any weight of the module, and of the mapping."""
        parts = [part for part in (self.module, self.mapping) if part is not None]
        return "-".join(fingerprint(part) for part in parts)

    def __repr__(self) -> str:
        settings = f"z_shape={self.z_shape}, truncation={self.truncation:g}"
        return f"Generator({type(self.module).__name__}, {settings}, averaging={self.averaging:g})"

    @cached_property
    def _mean(self) -> Tensor:
        if self.mapping is None:
            return torch.zeros(())
        own = torch.Generator().manual_seed(0)
        with torch.no_grad():
            drawn = torch.randn(_FOR_THE_MEAN, *self.z_shape, generator=own)
            return _run(self.mapping, drawn).mean(0).float().cpu()

    @property
    def _called(self) -> str:
        return f"the generator {type(self.module).__name__}"


def from_settings(settings: dict[str, Any], modules: Iterable[nn.Module | Generator]) -> Generator:
    """Build a generator from its recipe and the one of ``modules`` that it was written for.

    Raises
    ------
    BadInput
        Where none of them has the weights that the recipe names.
    """
    wanted = settings.pop("fingerprint", None)
    called = settings.pop("module", "a module")
    seen = []
    for given in modules:
        one = given if isinstance(given, Generator) else Generator(given, settings["z_shape"])
        seen.append(f"{type(one.module).__name__} with {one.fingerprint}")
        if one.fingerprint == wanted:
            return Generator(one.module, mapping=one.mapping, **settings)
    given_are = f"given: {', '.join(seen)}" if seen else "none was given"
    raise BadInput(
        f"the recipe needs the generator {called} with the weights {wanted} "
        f"(modules=[module]); {given_are}."
    )


def _run(module: nn.Module, z: Tensor) -> Any:
    """Call a module in eval mode, on its own device and in its own precision, its weights fixed."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    home = next((t for t in tensors.values() if t.is_floating_point()), z)
    # Detached weights stand in for the module's own, whose flags and gradients stay as they are.
    fixed = {name: tensor.detach() for name, tensor in tensors.items()}
    with _in_eval(module):
        return functional_call(module, fixed, (z.to(home),))


@contextmanager
def _in_eval(module: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training
