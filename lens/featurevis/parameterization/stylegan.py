"""A generator of StyleGAN's shape, ``mapping`` then ``synthesis``, in whichever way it is called.

References
----------
Karras, Laine, Aila, "A Style-Based Generator Architecture for Generative Adversarial Networks",
CVPR 2019 (w, and truncation towards its mean).
Karras et al., "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020 (the
calls ``mapping(z, c)`` and ``synthesis(ws, noise_mode="const")``).
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from lens.errors import BadInput
from lens.featurevis.parameterization.generator import Generator, Space


def stylegan(
    module: nn.Module,
    *,
    space: Space | None = None,
    truncation: float = 0.7,
    z_dim: int | None = None,
    low: float | None = None,
    high: float | None = None,
    averaging: float = 0.9,
    lr: float = 0.05,
) -> Generator:
    """Make images with a generator, in whichever way it is called.

    Parameters
    ----------
    module
        With ``mapping`` and ``synthesis``, or called as a whole. ``c_dim`` above 0 says that it
        takes labels as well, which are all zero.
    space
        Optimize ``"w"`` (the default where there is a mapping) or ``"z"``.
    truncation
        How far from the mean image to go.
    z_dim
        Numbers in one z; ``module.z_dim`` or ``module.z_shape`` by default.
    low, high
        What black and white are to the generator: ``module.low`` and ``module.high`` where it says
        so, else -1 and 1, as after a tanh; after a sigmoid it is 0 and 1.
    averaging, lr
        As ``Generator`` has them.

    Raises
    ------
    BadInput
        Where the module is no generator, or how long z is can't be told.
    """
    if not isinstance(module, nn.Module):
        raise BadInput(f"a generator is a torch module, not {type(module).__name__}.")
    two = halves(module)
    if space == "w" and not two:
        raise BadInput(
            f"{type(module).__name__} has no mapping and synthesis, so no w; use space='z'."
        )
    whole: nn.Module = module
    mapping: nn.Module | None = None
    if two:
        whole, mapping = Synthesis(module), Mapping(module)
    elif labels(module):
        whole = Unlabelled(module)
    return Generator(
        whole,
        (_z_dim(module) if z_dim is None else z_dim,),
        truncation=truncation,
        averaging=averaging,
        low=float(getattr(module, "low", -1.0)) if low is None else low,
        high=float(getattr(module, "high", 1.0)) if high is None else high,
        mapping=mapping,
        space=space or ("w" if two else "z"),
        lr=lr,
    )


def halves(module: Any) -> bool:
    """Whether a module has a mapping and a synthesis."""
    return all(isinstance(getattr(module, h, None), nn.Module) for h in ("mapping", "synthesis"))


def labels(module: Any) -> int:
    """How many labels it takes beside z."""
    return int(getattr(module, "c_dim", 0) or 0)


class Mapping(nn.Module):
    """A generator's mapping, called with z alone; ``w_avg`` is the mean that is kept."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.mapping: Any = module.mapping
        self.c_dim = labels(module)
        self.takes_labels = self.c_dim > 0 or _takes(self.mapping, "c")
        kept = getattr(self.mapping, "w_avg", getattr(module, "w_avg", None))
        # It follows from the weights, or is one of them already.
        kept = None if kept is None else torch.as_tensor(kept).detach()
        self.register_buffer("w_avg", kept, persistent=False)

    def forward(self, z: Tensor) -> Any:
        """Labels, where they are taken, are all zero."""
        if not self.takes_labels:
            return self.mapping(z)
        return self.mapping(z, z.new_zeros(len(z), self.c_dim) if self.c_dim else None)


class Synthesis(nn.Module):
    """A generator's synthesis, with equal noise at every call: fresh noise is climbed in vain."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.synthesis: Any = module.synthesis
        self.called = type(module).__name__
        fixed = _takes(self.synthesis, "noise_mode", or_any=True)
        self.options = {"noise_mode": "const"} if fixed else {}

    def forward(self, w: Tensor) -> Any:
        """What the synthesis paints."""
        return self.synthesis(w, **self.options)


class Unlabelled(nn.Module):
    """A generator in one piece that takes labels, called without: they are all zero."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.called = type(module).__name__
        self.c_dim = labels(module)

    def forward(self, z: Tensor) -> Any:
        """What the generator paints."""
        return self.module(z, z.new_zeros(len(z), self.c_dim))


def _z_dim(module: nn.Module) -> int:
    found: Any = getattr(module, "z_dim", None) or getattr(module, "z_shape", None)
    if isinstance(found, (tuple, list, torch.Size)) and len(found) == 1:
        found = found[0]
    if not isinstance(found, int):
        raise BadInput(
            f"how many numbers {type(module).__name__} takes can't be told: it has no z_dim; "
            "say z_dim=512, for example."
        )
    return found


def _takes(part: Any, name: str, or_any: bool = False) -> bool:
    known = inspect.signature(part.forward).parameters
    kinds = [parameter.kind for parameter in known.values()]
    # StyleGAN2 and 3 hand their keywords down to every layer.
    return name in known or (or_any and inspect.Parameter.VAR_KEYWORD in kinds)
