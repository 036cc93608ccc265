"""transformers: models with an image and a text tower, with one of them, and encoder-decoders.

What is named lies where the friendly names of `lens.families.blocks` point to. A video tower is
an "image" tower whose inputs are normalised frames, (frames, 3, height, width) each; its tokens
are places in time and space, so they make no map. A Perceiver's blocks work on latents, which have
no place in the picture either.

Texts are token numbers. Where a text tower has to be told which of them are padding, these are the
model's own padding tokens; a mapping with an ``attention_mask`` says it in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lens.families.blocks import block_places, image_places, layer_places, text_places
from lens.families.family import Family, Place, Tower
from lens.families.processors import descends_from
from lens.families.trace import first_tensor
from lens.sites import Batch

__all__ = ["describe", "is_member"]

#: How many tokens a text is padded and cut to where the model would take more.
LONGEST = 128
# What the models' own processors normalise with; the configuration does not say.
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
NORMALISED = {
    "clip": (CLIP_MEAN, CLIP_STD),
    "chinese_clip": (CLIP_MEAN, CLIP_STD),
    "altclip": (CLIP_MEAN, CLIP_STD),
    "siglip": (HALF, HALF),
    "align": (HALF, HALF),
}
# Text towers that are trained to read their padding, or that never look at what follows.
UNMASKED = ("clip", "siglip")
# What a model's output calls its result, the most telling name first.
RESULTS = ("logits", "image_embeds", "text_embeds", "pooler_output", "last_hidden_state")


def is_member(module: nn.Module) -> bool:
    """Tell whether a module is one of transformers' models."""
    return descends_from(module, "transformers", "PreTrainedModel")


def describe(module: Any, example: Batch | None = None) -> Family:
    """Describe a model of transformers.

    Parameters
    ----------
    module : nn.Module
        CLIP and what is built like it, a model of pictures, videos or texts, or an encoder-decoder
        of texts.
    example : Tensor, optional
        Pictures or token numbers, where their size is not the configuration's.
    """
    config = module.config
    towers: list[Tower] = []
    if {"vision_model", "text_model"} <= module._modules.keys():
        towers = [_image_of_two(module), _text_of_two(module)]
    elif getattr(config, "is_encoder_decoder", False) and module.main_input_name == "input_ids":
        towers = [_encoder(module), _decoder(module)]
    elif module.main_input_name == "input_ids":
        towers = [_text_alone(module, example)]
    else:
        towers = [_image_alone(module, example)]
    sees = towers[0].name == "image"
    texts = _text_config(config)
    mean, std = _normalised(config)
    return Family(
        towers=tuple(towers),
        image_size=_size_of(towers[0]) if sees else (0, 0),
        mean=mean,
        std=std,
        prefix_tokens=_prefix_tokens(module) if sees else 0,
        pooled_token=None if len(towers) == 1 and sees else _pooled_token(module),
        pad_token=_pad_token(texts) if _is_masked(texts) else None,
    )


def _image_of_two(module: Any) -> Tower:
    config = module.config.vision_config
    patched = config.model_type.startswith("siglip2")
    height, width = _image_size(config)

    def run(module: Any, pictures: Tensor) -> Tensor:
        inputs = _patches(pictures, config.patch_size) if patched else {"pixel_values": pictures}
        return _result(module.get_image_features(**inputs), "pooler_output")

    places = list(image_places(module.vision_model, "vision_model."))
    # ALIGN's is reshaped after its last module, so that only the tower as a whole gives it.
    last = _present(module, "visual_projection", "vision_model.head")
    places.append(Place("image.embedding", last, "embedding"))
    return Tower(
        name="image",
        run=run,
        example=lambda batch: torch.zeros(batch, config.num_channels, height, width),
        places=tuple(places),
    )


def _text_of_two(module: Any) -> Tower:
    config = module.config.text_config

    def run(module: Any, batch: Batch) -> Tensor:
        return _result(module.get_text_features(**_text_inputs(batch, config)), "pooler_output")

    places = list(text_places(module.text_model, "text_model."))
    last = _present(module, "text_projection", "text_model.head")
    places.append(Place("text.embedding", last, "embedding"))
    return Tower("text", run, _tokens(config, module.text_model), tuple(places))


def _image_alone(module: Any, example: Batch | None) -> Tower:
    config = module.config
    inner, prefix = _inside(module, "vision_model")
    latents = _present(inner, "encoder.self_attends")
    frames = None if latents else getattr(config, "num_frames", None)
    shape: tuple[int, ...] = (int(getattr(config, "num_channels", 3)), *_image_size(config))
    if frames is not None:
        shape = (int(frames), *shape)
    if latents:
        shape = (shape[0], *_perceived(inner, shape[1:]))
    if isinstance(example, Tensor):
        shape = tuple(example.shape[1:])

    def run(module: Any, pictures: Tensor) -> Tensor:
        return _result(module(**{module.main_input_name: pictures}), *RESULTS)

    places = _perceiver(inner, prefix) if latents else image_places(inner, prefix)
    return Tower(
        name="image",
        run=run,
        example=lambda batch: torch.zeros(batch, *shape),
        places=(*places, _last_place(module, "image", "visual_projection")),
        in_picture=frames is None and not latents,
    )


def _text_alone(module: Any, example: Batch | None) -> Tower:
    inner, prefix = _inside(module, "text_model")

    def run(module: Any, batch: Batch) -> Tensor:
        return _result(module(**_text_inputs(batch, module.config)), *RESULTS)

    places = (*text_places(inner, prefix), _last_place(module, "text", "text_projection"))
    tokens = _tokens(module.config, inner)
    if isinstance(example, Tensor):
        tokens = _tokens(module.config, inner, example.shape[1])
    return Tower("text", run, tokens, places)


def _encoder(module: Any) -> Tower:
    inner, prefix = _inside(module)

    def run(module: Any, batch: Batch) -> Tensor:
        encoder = module.get_encoder()
        return _result(encoder(**_text_inputs(batch, module.config)), "last_hidden_state")

    last = Place("text.embedding", f"{prefix}encoder", "embedding")
    places = (*text_places(inner, prefix), last)
    return Tower("text", run, _tokens(module.config, inner), places)


def _decoder(module: Any) -> Tower:
    """Reads a text and, a token later, the text that it is to say."""
    inner, prefix = _inside(module)
    tokens = _tokens(module.config, inner)

    def run(module: Any, batch: Mapping[str, Tensor]) -> Tensor:
        given = dict(batch)
        if "target" in given:
            target = given.pop("target")
            start = torch.full_like(target[:, :1], module.config.decoder_start_token_id or 0)
            given["decoder_input_ids"] = torch.cat([start, target[:, :-1]], 1)
        if "text" in given:
            given |= _text_inputs(given.pop("text"), module.config)
        return _result(module(**given, use_cache=False), *RESULTS)

    places = list(block_places(inner, prefix, "cross", ("decoder.block", "decoder.layers")))
    last = _present(module, "lm_head")
    places.append(Place("cross.output", last, "output"))
    return Tower(
        name="cross",
        run=run,
        example=lambda batch: {"text": tokens(batch), "target": tokens(batch)},
        places=tuple(places),
        reads=(("text", "text"), ("target", "text")),
    )


def _perceiver(inner: nn.Module, prefix: str) -> Iterator[Place]:
    """What reads the picture into the latents, then the blocks that work on these."""
    yield Place("image.stem", f"{prefix}input_preprocessor", "stem")
    reading = inner.get_submodule("encoder.cross_attention")
    yield from layer_places(reading, "image.cross", f"{prefix}encoder.cross_attention")
    yield from block_places(inner, prefix, "image", ("encoder.self_attends",))


def _perceived(inner: Any, size: tuple[int, ...]) -> tuple[int, ...]:
    """The size of the pictures, which Fourier features tell rather than the configuration."""
    reader = inner.input_preprocessor
    resolution = getattr(getattr(reader, "position_embeddings", None), "max_resolution", None)
    if resolution is None:
        return size
    shrunk = 4 if getattr(reader, "prep_type", "") == "conv" else 1
    return tuple(shrunk * side for side in resolution)


def _last_place(module: Any, tower: str, projection: str) -> Place:
    if "For" in type(module).__name__:
        return Place(f"{tower}.output", _present(module, "classifier"), "output")
    return Place(f"{tower}.embedding", _present(module, projection), "embedding")


def _inside(module: Any, *keys: str) -> tuple[nn.Module, str]:
    """The tower under a head and other wrappings, and its own dotted path with a dot."""
    prefix = ""
    for key in (getattr(module, "base_model_prefix", ""), *keys):
        if key and key in module._modules:
            module, prefix = module._modules[key], f"{prefix}{key}."
    return module, prefix


def _present(module: nn.Module, *paths: str) -> str:
    """The first of some dotted paths that a module has, or an empty one."""
    known = {path for path, _ in module.named_modules()}
    return next((path for path in paths if path in known), "")


def _result(output: Any, *names: str) -> Tensor:
    """The tensor that a model means, out of the outputs that it gives by name."""
    if isinstance(output, Tensor):  # as transformers 4 gave features
        return output
    found = next((output[name] for name in names if output.get(name) is not None), None)
    return first_tensor(output) if found is None else found  # type: ignore[return-value]


def _text_inputs(batch: Batch, config: Any) -> dict[str, Tensor]:
    """Token numbers as a model takes them, with the mask that keeps it from reading padding."""
    if isinstance(batch, Mapping):
        return dict(batch)
    pad = _pad_token(config)
    if pad is None or not _is_masked(config):
        return {"input_ids": batch}
    kept = batch != pad
    kept = kept | ~kept.any(1, keepdim=True)  # a text of nothing is read as it is
    return {"input_ids": batch, "attention_mask": kept.long()}


def _tokens(
    config: Any, text: nn.Module, length: int | None = None
) -> Callable[[int], Int[Tensor, "batch tokens"]]:
    """Texts to try a tower on: none of their tokens is padding."""
    most = length or min(LONGEST, _positions(config, text))
    number = 1 if _pad_token(config) == 0 else 0
    return lambda batch: torch.full((batch, most), number, dtype=torch.long)


def _positions(config: Any, text: nn.Module) -> int:
    """How many tokens a text tower has places for."""
    known = getattr(config, "max_position_embeddings", None)
    if known is None:
        return LONGEST
    for path, child in text.named_modules():
        if path.endswith("position_embeddings") and getattr(child, "padding_idx", None) is not None:
            return int(known) - int(child.padding_idx) - 1  # RoBERTa counts from behind its padding
    return int(known)


def _pooled_token(module: Any) -> Callable[[Int[Tensor, "batch tokens"]], Int[Tensor, " batch"]]:
    """Where each text tower reads its sentence."""
    config = _text_config(module.config)
    kind, eos = config.model_type, int(getattr(config, "eos_token_id", None) or 0)
    first = any(path.endswith("word_embeddings") for path, _ in module.named_modules())
    pad = _pad_token(config)

    def positions(tokens: Int[Tensor, "batch tokens"]) -> Int[Tensor, " batch"]:
        last = torch.full_like(tokens[:, 0], tokens.shape[1] - 1)
        if kind.startswith("siglip"):
            return last
        if kind.startswith("clip"):  # configurations from before transformers 4.31 say 2
            return tokens.argmax(1) if eos == 2 else tokens.eq(eos).int().argmax(1)
        if first:  # BERT and its descendants
            return torch.zeros_like(last)
        if pad is None:
            return last
        return last - tokens.ne(pad).flip(1).int().argmax(1)  # the last that is no padding

    return positions


def _patches(
    pictures: Float[Tensor, "batch channels height width"], patch: int
) -> dict[str, Tensor]:
    """SigLIP 2 takes patches, each a row of pixels with their channels last, and their grid."""
    rows, columns = pictures.shape[2] // patch, pictures.shape[3] // patch
    cut = pictures.unflatten(3, (columns, patch)).unflatten(2, (rows, patch))
    values = cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
    shape = torch.tensor([[rows, columns]], device=pictures.device).expand(len(pictures), 2)
    mask = torch.ones(values.shape[:2], dtype=torch.long, device=pictures.device)
    return {"pixel_values": values, "pixel_attention_mask": mask, "spatial_shapes": shape}


def _image_size(config: Any) -> tuple[int, int]:
    size = getattr(config, "image_size", None)
    if size is None and getattr(config, "num_patches", None):
        size = round(config.num_patches**0.5) * config.patch_size
    size = size or 224
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


def _size_of(tower: Tower) -> tuple[int, int]:
    example = tower.example(1)
    assert isinstance(example, Tensor)
    return int(example.shape[-2]), int(example.shape[-1])


def _normalised(config: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    recipe = getattr(config, "pretrained_cfg", None) or {}  # timm's, in transformers' wrapper
    names = [name for name in NORMALISED if config.model_type.startswith(name)]
    mean, std = NORMALISED[names[0]] if names else (IMAGENET_MEAN, IMAGENET_STD)
    return tuple(recipe.get("mean") or mean), tuple(recipe.get("std") or std)


def _prefix_tokens(module: nn.Module) -> int:
    """Class and register tokens, which models keep as parameters of these names."""
    owned = dict(module.named_parameters())
    named = {path.rsplit(".", 1)[-1]: parameter for path, parameter in owned.items()}
    count = sum(key in named for key in ("class_embedding", "cls_token"))
    return count + (named["register_tokens"].shape[1] if "register_tokens" in named else 0)


def _text_config(config: Any) -> Any:
    return getattr(config, "text_config", None) or config


def _pad_token(config: Any) -> int | None:
    pad = getattr(config, "pad_token_id", None)
    return None if pad is None else int(pad)


def _is_masked(config: Any) -> bool:
    return not config.model_type.startswith(UNMASKED)
