"""Open a model: `load` one by name, or `wrap` a torch module."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lens.devices import chosen_device, moved
from lens.errors import BadInput, UnknownModel, suggestion
from lens.families import describe, open_clip, processors
from lens.families.trace import is_compiled
from lens.model import Model, Preprocess, Tokenizer
from lens.sites import Batch
from lens.weights import check_weights

__all__ = ["load", "wrap"]


def load(
    name: str = "glyph-rn",
    *,
    pretrained: str | None = "default",
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    seed: int | None = None,
) -> Model:
    """Open a model by name.

    Parameters
    ----------
    name : str
        "glyph-rn" or "glyph-vit", which come with the package; any name of open_clip; or
        "hf-hub:owner/name".
    pretrained : str or None
        A tag of open_clip or a file of weights; by default "openai" where there is such a tag,
        else open_clip's first. None for random weights.
    device : str or torch.device, optional
        The GPU by default where there is one: "cuda", "cuda:1", "mps", "cpu".
    dtype : torch.dtype, optional
        Of the weights; float32 by default.
    seed : int, optional
        Of random weights, 0 by default; torch's own generators are left as they were.

    Returns
    -------
    Model
        In eval mode.

    Raises
    ------
    UnknownModel
        If there is no such name or tag, with the nearest ones.
    NotDownloaded
        If the weights could not be fetched.
    BadWeights
        If a weight is NaN or infinite.

    Examples
    --------
    >>> model = lens.load()
    >>> model = lens.load("RN50x4", pretrained=None, seed=0)
    """
    where = chosen_device(device)
    # The embedded models stand on this module, so they are looked up by name, late.
    zoo = importlib.import_module("lens.zoo")
    if name in zoo.names():
        model = _embedded(zoo, name, pretrained, where, seed)
        moved(model.module, dtype=dtype)
        return model
    tag = None if open_clip.is_elsewhere(name) else _known(name, pretrained, zoo.names())
    module = open_clip.create(name, tag, random=pretrained is None, seed=seed or 0)
    tokenizer = open_clip.tokenizer(name)
    return wrap(module, tokenizer=tokenizer, name=name, device=where, dtype=dtype)


def _embedded(
    zoo: Any, name: str, pretrained: str | None, device: str | torch.device, seed: int | None
) -> Model:
    if pretrained == "default":
        return zoo.load(name, device=device)
    if pretrained is not None:
        raise UnknownModel(f"{name} has one set of weights; leave out pretrained={pretrained!r}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        model = zoo.build(name)
    model.module.to(device)
    return model


def _known(name: str, tag: str | None, embedded: Sequence[str]) -> str | None:
    """Check a name and a tag against what open_clip has, and fill in the default tag."""
    if name not in (known := open_clip.names()):
        names = [*embedded, *known]
        raise UnknownModel(f"There is no model {name!r}.{suggestion(name, names)}")
    tags = open_clip.tags(name)
    if tag is None or tag in tags or (tag != "default" and Path(tag).is_file()):
        return tag
    if not tags:
        raise UnknownModel(f"{name} has no pretrained weights; pretrained=None gives random ones.")
    if tag == "default":
        return tags[0]
    raise UnknownModel(f"{name} has no pretrained weights {tag!r}; it has: {', '.join(tags)}.")


def wrap(
    module: nn.Module,
    preprocess: Preprocess | Any = None,
    tokenizer: Tokenizer | Any = None,
    *,
    name: str | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    example: Batch | None = None,
) -> Model:
    """Open any torch module.

    Parameters
    ----------
    module : nn.Module
        An open_clip, timm, torchvision, transformers or diffusers model, or one's own. It stays in
        the mode it is in; looking at it happens in eval mode.
    preprocess : callable, optional
        From a PIL image to a normalised tensor (3, height, width); or a processor of transformers.
    tokenizer : callable, optional
        From a list of strings to token numbers (batch, tokens); or a tokenizer of transformers,
        which pads to `model.input_shape("text")`.
    name : str, optional
        What it is called; its class by default.
    device : str or torch.device, optional
        Where to move it; by default it stays where it is, spread over devices by accelerate too.
    dtype : torch.dtype, optional
        What to convert its weights to; by default they stay as they are.
    example : Tensor or mapping of str to Tensor, optional
        A batch that it takes, where its first layer does not tell. A mapping is taken for keyword
        arguments, and makes a "cross" tower.

    Raises
    ------
    BadWeights
        If a weight is NaN or infinite.
    BadInput
        If it is no module, or can't be moved.

    Warns
    -----
    UserWarning
        If it is compiled: it is looked at uncompiled.
    """
    if not isinstance(module, nn.Module):
        raise BadInput(f"lens.wrap takes a torch.nn.Module, not {type(module).__name__}.")
    name = name or type(module).__name__
    check_weights(module, name)
    if is_compiled(module):  # hooks never fire inside of what was compiled
        warnings.warn(
            f"{name} is compiled; lens looks at the same weights uncompiled, which is slower.",
            stacklevel=2,
        )
    module = moved(getattr(module, "_orig_mod", module), device, dtype)
    family, preprocess, tokenizer = processors.fitted(
        describe(module, example), preprocess, tokenizer
    )
    return Model(module, family, name=name, preprocess=preprocess, tokenizer=tokenizer)
