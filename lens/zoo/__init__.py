"""The embedded models: small, genuine CLIP models that need no network.

`load` opens one; ``python -m lens.zoo.train NAME`` trains it, ``python -m lens.zoo.evaluate NAME``
prints what its card says. `generator` opens a small generator of pictures that they know, and
`discriminator` its critic.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lens.zoo.architectures import check_name, names

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from lens.model import Model
    from lens.zoo.glyph_discriminator import Discriminator
    from lens.zoo.glyph_generator import Generator

__all__ = ["build", "discriminator", "generator", "load", "names"]

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

    from lens.errors import BadWeights
    from lens.opening import wrap
    from lens.zoo import architectures

    # The numbers of a fresh model are thrown away, so the caller's generator must not move.
    with torch.random.fork_rng(devices=[]):
        module = architectures.module(check_name(name))
    path = Path(weights) if weights is not None else WEIGHTS / f"{name}.safetensors"
    try:
        module.load_state_dict(_read(name, path, f"python -m lens.zoo.train {name}"))
    except RuntimeError as error:
        raise BadWeights(f"{path} does not hold the weights of {name}.") from error
    return wrap(module, tokenizer=architectures.tokenizer(), name=name, device=device)


def generator(weights: str | Path | None = None) -> Generator:
    """Open the embedded generator: 128 standard normal numbers become a picture of a glyph.

    A module in eval mode, ``generator(z)`` with z of (images, 128) gives (images, 3, 96, 96) in
    [0, 1]; ``mapping``, ``synthesis`` and ``w_avg`` are its halves, as StyleGAN calls them.

    Raises
    ------
    BadWeights
        The file is missing, is not safetensors, or belongs to another architecture.
    """
    import torch

    from lens.errors import BadWeights
    from lens.zoo.glyph_generator import Generator

    path = Path(weights) if weights is not None else WEIGHTS / "glyph-generator.safetensors"
    state = _read("the generator", path, "python -m lens.zoo.train_generator")
    try:
        renderings, concepts, _ = state["mapping.codes"].shape
        with torch.random.fork_rng(devices=[]):
            module = Generator(concepts, renderings)
        module.load_state_dict(state)
    except (KeyError, ValueError, RuntimeError) as error:
        raise BadWeights(f"{path} does not hold the weights of the generator.") from error
    return module.eval()


def discriminator(weights: str | Path | None = None) -> Discriminator:
    """Open the generator's critic: ``discriminator(pixels)`` is a logit, above 0 for a drawn glyph.

    Raises
    ------
    BadWeights
        The file is missing, is not safetensors, or belongs to another architecture.
    """
    import torch

    from lens.errors import BadWeights
    from lens.zoo.glyph_discriminator import Discriminator

    path = Path(weights) if weights is not None else WEIGHTS / "glyph-discriminator.safetensors"
    state = _read("the discriminator", path, "python -m lens.zoo.train_generator")
    with torch.random.fork_rng(devices=[]):
        module = Discriminator()
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise BadWeights(f"{path} does not hold the weights of the discriminator.") from error
    return module.eval()


def _read(name: str, path: Path, how: str) -> dict[str, Tensor]:
    """Weights as they shipped, in half precision; every computation is in single."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from lens.errors import BadWeights

    try:
        return {key: value.float() for key, value in load_file(path).items()}
    except FileNotFoundError as error:
        raise BadWeights(
            f"The weights of {name} are missing ({path.name}); {how} makes them."
        ) from error
    except SafetensorError as error:
        raise BadWeights(f"{path} is not a safetensors file ({error}).") from error
