"""Friendly names for stages, blocks and neurons, found by how a tower is built.

open_clip, timm, torchvision, transformers and diffusers spell the same few architectures
differently. What is told apart here: residual networks (`layer1` ... `layer4`), transformers (one
list of blocks), and staged networks (`stages`, each with `blocks`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from torch import nn

from lens.families.family import Place
from lens.sites import TowerName

__all__ = ["block_places", "image_aliases", "image_places", "layer_places", "text_places"]

# Where each library keeps the list of transformer blocks.
BLOCK_LISTS = (
    "transformer.resblocks",
    "blocks",
    "encoder.layers",
    "encoder.layer",
    "encoder.block",
    "encoder.blocks",
)
TEXT_LISTS = (
    *BLOCK_LISTS,
    "roberta.encoder.layer",
    "roberta.encoder.layers",
    "transformer.encoder.layer",
    "transformer.encoder.block",
    "transformer.block",
    "transformer.layers",
)
STAGE_LISTS = ("stages", "layers")
# What the first transformer block takes, whoever built it.
STEMS = (
    "ln_pre",
    "norm_pre",
    "pre_layrnorm",
    "pre_layernorm",
    "patch_embed",
    "conv_stem",
    "encoder.dropout",
    "embeddings",
)
# The last nonlinearity of a residual block: open_clip and timm number them, torchvision reuses one.
LAST_ACTIVATIONS = ("act3", "act2", "relu")
# Feed-forward layers whose two halves are multiplied: the neuron is the product, not the gate.
GATED = ("SwiGLU", "GluMlp", "GatedMlp")


def image_places(tower: nn.Module, prefix: str) -> Iterator[Place]:
    """Yield the named places of an image tower in the order of its forward pass.

    Parameters
    ----------
    tower : nn.Module
        The image tower.
    prefix : str
        Its own dotted path in the model, with a dot at the end, or an empty string.
    """
    if _child(tower, "layer1") is not None:
        yield from _residual(tower, prefix)
    elif (found := _first_list(tower, BLOCK_LISTS)) is not None:
        yield from _stem(tower, prefix, STEMS)
        yield from _transformer(*found, prefix=prefix, tower="image")
    elif (found := _first_list(tower, STAGE_LISTS)) is not None:
        yield from _stem(tower, prefix, ("stem", *STEMS))
        staged = any(_child(stage, "blocks") is not None for stage in found[0].children())
        if staged or found[1] == "stages":
            yield from _staged(*found, prefix=prefix)
        else:  # `layers` are stages to timm and blocks to transformers
            yield from _transformer(*found, prefix=prefix, tower="image")
    elif (features := _child(tower, "features")) is not None:
        yield from _features(features, prefix)


def image_aliases(places: list[Place]) -> Iterator[tuple[str, str]]:
    """Yield `image.layer4.pre_relu` for the last block's, and so on."""
    stages = {place.name for place in places if place.kind == "stage"}
    for stage in sorted(stages):
        inside = [p.name for p in places if p.kind == "pre-activation"]
        inside = [name for name in inside if name.startswith(f"{stage}.")]
        if inside:
            yield f"{stage}.pre_relu", inside[-1]


def text_places(tower: nn.Module, prefix: str) -> Iterator[Place]:
    """Yield the named places of a text tower in the order of its forward pass."""
    yield from block_places(tower, prefix, "text", TEXT_LISTS)


def block_places(
    tower: nn.Module, prefix: str, name: TowerName, lists: tuple[str, ...]
) -> Iterator[Place]:
    """Yield the blocks of the first of some lists that a tower has, and their neurons.

    Parameters
    ----------
    tower : nn.Module
        The module that the lists are in.
    prefix : str
        Its own dotted path in the model, with a dot at the end, or an empty string.
    name : {"image", "text", "cross"}
        What the places' names begin with.
    lists : tuple of str
        Dotted paths.
    """
    found = _first_list(tower, lists)
    if found is not None:
        yield from _transformer(*found, prefix=prefix, tower=name)


def layer_places(block: nn.Module, name: str, path: str) -> Iterator[Place]:
    """Yield one block under a name of its own, and its neurons before it."""
    yield from _block(block, name, path)


def _residual(tower: nn.Module, prefix: str) -> Iterator[Place]:
    # What leaves the stem is what leaves its pooling.
    yield from _stem(tower, prefix, ("maxpool", "avgpool"))
    number = 1
    while (stage := _child(tower, f"layer{number}")) is not None:
        name, path = f"image.layer{number}", f"{prefix}layer{number}"
        for key, block in stage.named_children():
            last = next((a for a in LAST_ACTIVATIONS if _child(block, a) is not None), None)
            if last is not None and isinstance(_child(block, last), nn.ReLU):
                yield Place(
                    f"{name}.{key}.pre_relu", f"{path}.{key}.{last}", "pre-activation", "input"
                )
            yield Place(f"{name}.{key}", f"{path}.{key}", "block")
        yield Place(name, path, "stage")
        number += 1


def _transformer(blocks: nn.Module, where: str, *, prefix: str, tower: str) -> Iterator[Place]:
    for number, (key, block) in enumerate(blocks.named_children()):
        yield from _block(block, f"{tower}.blocks.{number}", f"{prefix}{where}.{key}")


def _staged(stages: nn.Module, where: str, *, prefix: str) -> Iterator[Place]:
    for number, (key, stage) in enumerate(stages.named_children()):
        name, path = f"image.stages.{number}", f"{prefix}{where}.{key}"
        blocks = _child(stage, "blocks")
        for key_, block in blocks.named_children() if blocks is not None else ():
            yield from _block(block, f"{name}.blocks.{key_}", f"{path}.blocks.{key_}")
        yield Place(name, path, "stage")


def _features(features: nn.Module, prefix: str) -> Iterator[Place]:
    """torchvision's staged networks: stem, stages and what shrinks between them, in one list."""
    stages = [(key, stage) for key, stage in features.named_children() if _is_stage(stage)]
    if not stages:
        return
    yield Place("image.stem", f"{prefix}features.0", "stem")
    for number, (key, stage) in enumerate(stages):
        name, path = f"image.stages.{number}", f"{prefix}features.{key}"
        for key_, block in stage.named_children():
            yield from _block(block, f"{name}.blocks.{key_}", f"{path}.{key_}")
        yield Place(name, path, "stage")


def _is_stage(module: nn.Module) -> bool:
    """A stage is made of blocks; what shrinks the picture is made of single layers."""
    children = list(module.children())
    return type(module) is nn.Sequential and bool(children) and bool(list(children[0].children()))


def _block(block: nn.Module, name: str, path: str) -> Iterator[Place]:
    if isinstance(block, nn.Sequential):  # a stage in all but name, as in EfficientNet
        for key, inner in block.named_children():
            yield from _block(inner, f"{name}.{key}", f"{path}.{key}")
        yield Place(name, path, "stage")
        return
    neurons = _neurons(block)
    if neurons is not None:
        yield Place(f"{name}.mlp.neurons", f"{path}.{neurons}", "neurons")
    yield Place(name, path, "block")


def _neurons(block: nn.Module) -> str | None:
    """Path, inside a block, of the module whose output is the neurons after the nonlinearity."""
    mlp = _child(block, "mlp")
    if mlp is not None:
        if any(word in type(mlp).__name__ for word in GATED) and _child(mlp, "drop1") is not None:
            return "mlp.drop1"
        for key in ("gelu", "act", "activation_fn", "activation", "intermediate_act_fn"):
            if _child(mlp, key) is not None:
                return f"mlp.{key}"
        return _between_layers(mlp, "mlp")
    if (inner := _child(block, "block")) is not None:  # torchvision's ConvNeXt
        return _between_layers(inner, "block")
    # BERT's and its descendants', then BART's, whose two layers lie in the block itself.
    for key in ("intermediate", "activation_fn"):
        if _child(block, key) is not None:
            return key
    for key in ("ff", "ffn"):  # diffusers' first part is layer and nonlinearity in one
        if _descendant(block, f"{key}.net.0") is not None:
            return f"{key}.net.0"
    # T5's last layer is the feed-forward one; gated or not, the neurons are what is dropped out.
    layers = _child(block, "layer")
    last = len(layers) - 1 if isinstance(layers, nn.ModuleList) else -1
    path = f"layer.{last}.DenseReluDense.dropout"
    return path if _descendant(block, path) is not None else None


def _between_layers(parts: nn.Module, where: str) -> str | None:
    """The GELU between two linear layers of a Sequential."""
    named = list(parts.named_children())
    for (_, first), (key, middle) in pairwise(named):
        if isinstance(first, nn.Linear) and isinstance(middle, nn.GELU):
            return f"{where}.{key}"
    return None


def _stem(tower: nn.Module, prefix: str, keys: tuple[str, ...]) -> Iterator[Place]:
    found = next((key for key in keys if _descendant(tower, key) is not None), None)
    if found is not None:
        yield Place("image.stem", f"{prefix}{found}", "stem")


def _first_list(tower: nn.Module, paths: tuple[str, ...]) -> tuple[nn.Module, str] | None:
    for path in paths:
        found = _descendant(tower, path)
        if isinstance(found, (nn.ModuleList, nn.Sequential)) and len(found):
            return found, path
    return None


def _descendant(module: nn.Module, path: str) -> nn.Module | None:
    for key in path.split("."):
        child = _child(module, key)
        if child is None:
            return None
        module = child
    return module


def _child(module: nn.Module, key: str) -> nn.Module | None:
    return module._modules.get(key)
