"""`lens.attention`: what every layer and head of a model attends to, exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from lens.capture.attending import Attended, Watch
from lens.capture.attention_maps import AttentionLayer, AttentionMaps
from lens.capture.memory import check_fits
from lens.errors import BadInput
from lens.families.trace import BATCH
from lens.model import Model
from lens.sites import TowerName, rectangle

__all__ = ["attention", "inside_of", "layers_of", "watched"]

# Where a model's attention is computed: found by one trial, by tower.
_paths: WeakKeyDictionary[Model, dict[str, list[str]]] = WeakKeyDictionary()


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
        For the text tower.

    Returns
    -------
    AttentionMaps
        Layers by name, such as ``"image.blocks.3.attention"``: pattern, q, k, v and the heads'
        outputs as arrays.

    Raises
    ------
    BadInput
        If there is nothing to look at, or the model computes no attention that can be read.
    TooLarge
        If the patterns would not fit into memory, with the numbers.

    Examples
    --------
    >>> maps = lens.attention(lens.load("ViT-B-32"), picture, "a dog")
    >>> maps["image.blocks.5.attention"].map(head=2).shape
    (7, 7)
    """
    if image is None and text is None:
        raise BadInput("There is nothing to look at: give an image, a text, or both.")
    layers: list[AttentionLayer] = []
    if image is not None:
        several = isinstance(image, (list, tuple)) or getattr(image, "ndim", 3) == 4
        items = list(image) if several else [image]
        if not items:
            raise BadInput("There is nothing to look at: the list of pictures is empty.")
        layers += _layers(model, "image", torch.stack([model.picture(item) for item in items]))
    if text is not None:
        texts = [text] if isinstance(text, str) else list(text)
        if not texts:
            raise BadInput("There is nothing to look at: the list of texts is empty.")
        layers += _layers(model, "text", model.tokens(texts))
    if not layers:
        raise BadInput(
            f"{model.name} computes no attention through torch's attention functions; a model with "
            f"an eager attention of its own has to be opened with its 'sdpa' one."
        )
    return AttentionMaps(model.name, layers)


def layers_of(model: Model, tower: TowerName) -> dict[str, str]:
    """Dotted paths of a tower's attention layers, by the names that `attention` gives them."""
    paths = _attending(model, tower)
    return dict(zip(_names(model, tower, paths), paths, strict=True))


@contextmanager
def inside_of(model: Model, paths: Sequence[str]) -> Iterator[list[str]]:
    """List, innermost last, which of some modules are running at any moment of the block."""
    inside: list[str] = []
    with ExitStack() as attached:
        for path in paths:
            attached.callback(_mark(model.module.get_submodule(path), path, inside))
        yield inside


@contextmanager
def watched(model: Model, tower: TowerName) -> Iterator[list[tuple[str, Attended]]]:
    """List what a tower attends to while the block is active.

    Every forward pass adds to the list: dotted path of the module, and the tensors, graph included
    where gradients are on.
    """
    seen: list[tuple[str, Attended]] = []
    with ExitStack() as attached:
        inside = attached.enter_context(inside_of(model, _attending(model, tower)))
        attached.enter_context(
            Watch(lambda call: seen.append((inside[-1] if inside else "", call)))
        )
        yield seen


def _mark(module: nn.Module, path: str, inside: list[str]) -> Any:
    """Keep the path of a module in `inside` while it runs; what is returned ends it."""

    def enter(module: nn.Module, args: Any) -> None:
        inside.append(path)

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        if path in inside:  # always called, even where the module did not get as far as running
            del inside[inside.index(path) :]

    handles = [
        module.register_forward_pre_hook(enter),
        module.register_forward_hook(leave, always_call=True),
    ]

    def detach() -> None:
        for handle in handles:
            handle.remove()

    return detach


def _attending(model: Model, tower: TowerName) -> list[str]:
    """Paths of the modules that call attention themselves, found by one trial on zeros."""
    known = _paths.setdefault(model, {})
    if tower not in known:
        found: dict[str, None] = {}
        paths = [path for path, _ in model.module.named_modules() if path]
        with ExitStack() as attached:
            inside = attached.enter_context(inside_of(model, paths))
            watch = Watch(lambda call: found.setdefault(inside[-1] if inside else ""))
            attached.enter_context(torch.no_grad())
            attached.enter_context(watch)
            model.run(tower, model.example(tower, BATCH))
        known[tower] = [path for path in found if path]
    return known[tower]


def _layers(model: Model, tower: TowerName, batch: Tensor) -> list[AttentionLayer]:
    with torch.no_grad():
        if len(batch) > 1:
            _check_size(model, tower, batch)
        with watched(model, tower) as seen:
            model.run(tower, batch)
    names = _names(model, tower, [path for path, _ in seen])
    return [
        _layer(model, tower, name, path, call)
        for name, (path, call) in zip(names, seen, strict=True)
    ]


def _layer(model: Model, tower: TowerName, name: str, path: str, call: Attended) -> AttentionLayer:
    keys = call.pattern.shape[-1]
    grid, prefix = None, 0
    if tower == "image":
        for count in dict.fromkeys((model.prefix_tokens, 1, 0)):
            grid = rectangle(keys - count, model.image_size)
            if grid is not None:
                prefix = count
                break
    arrays = {
        part: getattr(call, part).detach().float().cpu().numpy()
        for part in ("pattern", "q", "k", "v", "heads")
    }
    return AttentionLayer(name, path, tower, grid, prefix, **arrays)


def _names(model: Model, tower: TowerName, paths: list[str]) -> list[str]:
    """Friendly names: of the block that a layer is in, or of its own path without the tower's."""
    blocks = {s.path: s.name for s in model.sites if s.tower == tower and s.kind == "block"}
    inside: dict[str, str] = {}
    for path in paths:
        block = next(
            (b for b in sorted(blocks, key=len, reverse=True) if path.startswith(f"{b}.")), None
        )
        inside[path] = f"{blocks[block]}.attention" if block else _plain(path, tower)
    counts: dict[str, int] = {}
    for name in inside.values():  # two layers of one block go by their own names
        counts[name] = counts.get(name, 0) + 1
    named: list[str] = []
    ran: dict[str, int] = {}
    for path in paths:
        name = inside[path]
        if counts[name] > 1:
            name = f"{name.removesuffix('.attention')}.{path.rsplit('.', 1)[-1]}"
        ran[name] = ran.get(name, 0) + 1
        named.append(name if ran[name] == 1 else f"{name}.{ran[name]}")
    return named


def _plain(path: str, tower: TowerName) -> str:
    for prefix in ("visual.trunk.", "visual.", "text."):
        path = path.removeprefix(prefix)
    return f"{tower}.{path}"


def _check_size(model: Model, tower: TowerName, batch: Tensor) -> None:
    """Refuse what would not fit, before it is computed: one input tells how much all take."""
    with watched(model, tower) as one:
        model.run(tower, batch[:1])
    parts = ("pattern", "q", "k", "v", "heads")
    bytes_ = sum(4 * getattr(call, part).numel() for _, call in one for part in parts)
    check_fits(bytes_ * len(batch), f"The attention of {len(batch)} inputs", "take fewer at a time")
