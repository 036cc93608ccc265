"""`lens.attention`: what every layer and head of a model attends to, exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from math import prod
from typing import Any

import torch

from lens.capture.attention_maps import AttentionLayer, AttentionMaps
from lens.capture.forwarding import length, split
from lens.capture.inputs import as_batch
from lens.capture.memory import check_fits
from lens.errors import BadInput
from lens.families.attending import PARTS, Attended
from lens.families.listening import listen
from lens.model import Model
from lens.sites import Batch, TowerName

__all__ = ["attention", "watched"]


def attention(model: Model, image: Any = None, text: Any = None) -> AttentionMaps:
    """Read the attention of every layer and head, exactly.

    The model runs as it always does, fused kernels included; what each call attends to is worked
    out from the call's own arguments. ``softmax(q k^T) v`` meets what the model computed to 1e-5
    in float32.

    Parameters
    ----------
    model : Model
        From `lens.load` or `lens.wrap`.
    image : picture or list of pictures, optional
        A PIL image, a path, an array, or a preprocessed float tensor.
    text : str or list of str, optional
        For the text tower. A decoder that reads both is run too, pair by pair, where there are as
        many texts as pictures.

    Returns
    -------
    AttentionMaps
        Layers by name, such as ``"image.blocks.3.attention"``: pattern, q, k, v and the heads'
        outputs as arrays. Shown in a notebook, it is the attention explorer; `.explore()` gives it
        with settings.

    Raises
    ------
    BadInput
        If there is nothing to look at, or the model computes no attention that can be read.
    TooLarge
        If the patterns would not fit into memory, with the numbers.

    Examples
    --------
    >>> maps = lens.attention(lens.load("glyph-vit"), picture, "a dog")
    >>> maps["image.blocks.5.attention"].map(head=2).shape
    (8, 8)
    """
    if image is None and text is None:
        raise BadInput("There is nothing to look at: give an image, a text, or both.")
    layers: list[AttentionLayer] = []
    read: dict[TowerName, Batch] = {}
    given: dict[TowerName, Any] = {
        "image": image,
        "text": text,
        "cross": _pairs(model, image, text),
    }
    for tower, inputs in given.items():
        if inputs is not None:
            read[tower] = as_batch(model, tower, inputs)
            layers += _layers(model, tower, read[tower])
    if not layers:
        raise BadInput(
            f"{model.name} computes no attention that can be read: it calls none of torch's "
            f"functions for it, and multiplies no softmax of a product by hand."
        )
    texts = [text] if isinstance(text, str) else [t for t in text or () if isinstance(t, str)]
    return AttentionMaps(model.name, layers, of=model, inputs=read, texts=texts)


def _pairs(model: Model, image: Any, text: Any) -> list[tuple[Any, Any]] | None:
    if image is None or text is None or "cross" not in model.towers:
        return None
    if sorted(model.reads("cross").values()) != ["image", "text"]:
        return None
    pictures, texts = as_batch(model, "image", image), as_batch(model, "text", text)
    order = list(model.reads("cross").values())
    columns = (pictures, texts) if order[0] == "image" else (texts, pictures)
    return list(zip(*columns, strict=True)) if len(pictures) == len(texts) else None


@contextmanager
def watched(model: Model, tower: TowerName) -> Iterator[list[tuple[str, Attended]]]:
    """List what a tower attends to while the block is active.

    Every forward pass adds to the list: name of the layer, and the call, graph included where
    gradients are on.
    """
    seen: list[tuple[str, Attended]] = []
    with ExitStack() as attached:
        for name, path in model.attention_layers(tower).items():
            module = model.module.get_submodule(path)
            attached.callback(listen(module, partial(_add, seen, name)))
        yield seen


def _add(seen: list[tuple[str, Attended]], name: str, call: Attended) -> None:
    seen.append((name, call))


def _layers(model: Model, tower: TowerName, batch: Batch) -> list[AttentionLayer]:
    with torch.no_grad():
        if length(batch) > 1:
            _check_size(model, tower, batch)
        with watched(model, tower) as seen:
            model.run(tower, batch)
    ran: Counter[str] = Counter()
    layers = []
    for name, call in seen:
        ran[name] += 1
        path = model.attention_layers(tower)[name]
        once = name if ran[name] == 1 else f"{name}.{ran[name]}"  # a layer that runs several times
        layers.append(_layer(model, tower, name, once, path, call))
    return layers


def _layer(
    model: Model, tower: TowerName, name: str, once: str, path: str, call: Attended
) -> AttentionLayer:
    keys = model.site(f"{name}.k") if model.has_site(f"{name}.k") else None
    grid, prefix = (keys.grid, keys.n_prefix) if keys is not None else (None, 0)
    arrays = {part: getattr(call, part).detach().float().cpu().numpy() for part in PARTS}
    return AttentionLayer(once, path, tower, grid, prefix, **arrays)


def _check_size(model: Model, tower: TowerName, batch: Batch) -> None:
    """Refuse what would not fit, before it is computed: one input tells how much all take."""
    with watched(model, tower) as one:
        model.run(tower, split(batch, 1)[0])
    count = length(batch)
    bytes_ = count * sum(4 * prod(shape) for _, call in one for shape in call.shapes.values())
    check_fits(bytes_, f"The attention of {count} inputs", "take fewer at a time")
