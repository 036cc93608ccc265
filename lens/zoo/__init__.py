"""The embedded models: small, genuine CLIP models that need no network.

`load` opens one; ``python -m lens.zoo.train NAME`` trains it, ``python -m lens.zoo.evaluate NAME``
prints what its card says.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lens.zoo.architectures import check_name, names

if TYPE_CHECKING:
    import torch

    from lens.model import Model

__all__ = ["build", "load", "names"]

WEIGHTS = Path(__file__).parent / "weights"


def build(name: str) -> Model:
    """An embedded architecture with fresh random weights, from torch's global generator.

    Raises
    ------
    UnknownModel
        There is no embedded model of that name.
    """
    from lens.opening import wrap
    from lens.zoo import architectures

    return wrap(architectures.module(name), tokenizer=architectures.tokenizer(), name=name)


def load(
    name: str = "glyph-rn",
    device: str | torch.device | None = None,
    weights: str | Path | None = None,
) -> Model:
    """Open an embedded model with the weights that ship with the package.

    Parameters
    ----------
    name : "glyph-rn" or "glyph-vit".
    weights : another safetensors file of the same architecture (a training run's preview, say).

    Raises
    ------
    UnknownModel
        There is no embedded model of that name.
    BadWeights
        The file is missing, is not safetensors, or belongs to another architecture.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from lens.errors import BadWeights
    from lens.opening import wrap
    from lens.zoo import architectures

    # The numbers of a fresh model are thrown away, so the caller's generator must not move.
    with torch.random.fork_rng(devices=[]):
        module = architectures.module(check_name(name))
    path = Path(weights) if weights is not None else WEIGHTS / f"{name}.safetensors"
    try:
        # Shipped in half precision; every computation is in single.
        module.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    except FileNotFoundError as error:
        raise BadWeights(
            f"The weights of {name} are missing ({path.name}); "
            f"python -m lens.zoo.train {name} makes them."
        ) from error
    except SafetensorError as error:
        raise BadWeights(f"{path} is not a safetensors file ({error}).") from error
    except RuntimeError as error:
        raise BadWeights(f"{path} does not hold the weights of {name}.") from error
    return wrap(module, tokenizer=architectures.tokenizer(), name=name, device=device)
