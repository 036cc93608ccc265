"""Any module that makes images, optimized in what goes into it: an image prior.

References
----------
Nguyen, Dosovitskiy, Yosinski, Brox, Clune, "Synthesizing the preferred inputs for neurons in neural
networks via deep generator networks", NeurIPS 2016; truncation after Brock, Donahue, Simonyan,
"Large Scale GAN Training", ICLR 2019, and Karras, Laine, Aila, "A Style-Based Generator
Architecture", CVPR 2019 (w and its mean).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from lens.errors import BadInput
from lens.featurevis.draws import normal
from lens.featurevis.parameterization.exact import in_full_precision
from lens.weights import fingerprint

Space = Literal["w", "z"]

# Draws that the mean of a mapping, and the spread about it, are taken over.
_FOR_THE_MEAN = 4096
# How far a generator that paints from 0 to 1 may go below before its range must be another.
_SLACK = 0.25


@dataclass(frozen=True)
class Generator:
    """x = module(truncation z), or with a mapping x = module(mean + truncation spread z), resized.

    Only z is optimized. The module runs in eval mode and its weights get no gradients; modes and
    flags are as they were after every call.

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
        Turns z into the w that the module takes, as StyleGAN's does. Truncation is then towards the
        mean w: the mapping's own ``w_avg`` where it keeps one, else that of many draws.
    space
        What is optimized where there is a mapping. In ``"w"`` it is w, which starts where the
        mapping leads, counted from its mean in its own standard deviations, so that one learning
        rate suits every generator; in ``"z"`` it is z.
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
    space: Space = "w"
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
        if self.space not in ("w", "z"):
            raise BadInput(f"space is 'w' or 'z', not {self.space!r}.")

    def start(
        self, size: tuple[int, int], generators: Sequence[torch.Generator]
    ) -> Float[Tensor, "images ..."]:
        """One standard normal z an image, or the w that the mapping makes of it.

        Raises
        ------
        BadInput
            Where the module can't take it, or returns no images, numbers that aren't finite, or
            some that are far out of its range.
        """
        z = normal(self.z_shape, generators)
        with torch.no_grad():
            if self.mapping is not None and self.space == "w":
                mean, spread = self._w
                # A number of w that never changes has no spread, and stays.
                z = torch.where(spread > 0, (_run(self.mapping, z).to(z) - mean) / spread, 0.0)
            made = self._made(z)
        least, most = made.float().aminmax()
        if not (least.isfinite() and most.isfinite()):
            raise BadInput(f"{self._called} makes NaN or infinity of a random z.")
        if self.low == 0 and least < -_SLACK:
            raise BadInput(
                f"{self._called} paints from {least:.2g} to {most:.2g}, past its range of 0 to 1: "
                "low=-1, high=1 is the range of one that ends in a tanh."
            )
        return z

    @in_full_precision
    def pixels(
        self, z: Float[Tensor, "images ..."], size: tuple[int, int]
    ) -> Float[Tensor, "images 3 h w"]:
        """Images in [0, 1]."""
        images = (self._made(z).to(z) - self.low) / (self.high - self.low)
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
            "module": self._name,
            "z_shape": list(self.z_shape),
            "truncation": self.truncation,
            "averaging": self.averaging,
            "low": self.low,
            "high": self.high,
            "space": self.space,
            "lr": self.lr,
        }

    @property
    def fingerprint(self) -> str:
        """Hexadecimal digits that change with any weight of the module, and of the mapping."""
        parts = [part for part in (self.module, self.mapping) if part is not None]
        return "-".join(fingerprint(part) for part in parts)

    def __repr__(self) -> str:
        settings = f"z_shape={self.z_shape}, truncation={self.truncation:g}"
        return f"Generator({self._name}, {settings}, averaging={self.averaging:g})"

    def _made(self, z: Float[Tensor, "images ..."]) -> Float[Tensor, "images 3 made_h made_w"]:
        """What the module itself paints."""
        try:
            made = _run(self.module, self._within(z))
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
        return made

    def _within(self, z: Float[Tensor, "images ..."]) -> Float[Tensor, "images ..."]:
        """What the module takes, brought nearer to its mean."""
        if self.mapping is None:
            return self.truncation * z
        mean, spread = (part.to(z) for part in self._w)
        if self.space == "w":
            return mean + self.truncation * spread * z
        return torch.lerp(mean, _run(self.mapping, z).to(z), self.truncation)

    @cached_property
    def _w(self) -> tuple[Float[Tensor, ...], Float[Tensor, ...]]:
        """The mean of w, and the standard deviation of its numbers about it."""
        assert self.mapping is not None
        own = torch.Generator().manual_seed(0)
        with torch.no_grad():
            drawn = torch.randn(_FOR_THE_MEAN, *self.z_shape, generator=own)
            w = _run(self.mapping, drawn).float().cpu()
        kept = getattr(self.mapping, "w_avg", None)
        mean = w.mean(0) if kept is None else torch.as_tensor(kept).detach().to(w).expand_as(w[0])
        spread = (w - mean).square().mean(0).sqrt()
        # Of a number that never changes only rounding is left.
        return mean, spread.where(spread > 1e-5 * mean.abs(), 0.0)

    @property
    def _name(self) -> str:
        return str(getattr(self.module, "called", type(self.module).__name__))

    @property
    def _called(self) -> str:
        return f"the generator {self._name}"


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
        for one in _readings(given, settings):
            seen.append(f"{one._name} with {one.fingerprint}")
            if one.fingerprint == wanted:
                return Generator(one.module, mapping=one.mapping, **settings)
    given_are = f"given: {', '.join(seen)}" if seen else "none was given"
    raise BadInput(
        f"the recipe needs the generator {called} with the weights {wanted} "
        f"(modules=[module]); {given_are}."
    )


def _readings(given: nn.Module | Generator, settings: dict[str, Any]) -> list[Generator]:
    """A value as it is; a module as it is called, and as a StyleGAN is."""
    from lens.featurevis.parameterization.stylegan import halves, labels, stylegan

    if isinstance(given, Generator):
        return [given]
    plain = [Generator(given, settings["z_shape"])]
    if not (halves(given) or labels(given)):
        return plain
    z_dim = int(settings["z_shape"][0])
    return [*plain, stylegan(given, z_dim=z_dim)]


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
