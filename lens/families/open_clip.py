"""open_clip: image towers (ModifiedResNet, VisionTransformer, timm) and its text towers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Int
from PIL import Image
from torch import Tensor, nn

from lens.errors import MissingOption, NotDownloaded
from lens.families.blocks import image_aliases, image_places, layer_places, text_places
from lens.families.family import Family, Place, Tower

__all__ = ["create", "describe", "is_member", "names", "tags", "tokenizer"]

# Libraries whose errors mean that something could not be fetched.
NETWORK = ("httpx", "huggingface_hub", "requests", "urllib3")
# What OpenAI normalised its pictures with; open_clip's own default.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def is_member(module: nn.Module) -> bool:
    """Tell whether a module is an open_clip model, by what it offers rather than by its class."""
    return (
        callable(getattr(module, "encode_image", None))
        and callable(getattr(module, "encode_text", None))
        and isinstance(getattr(module, "visual", None), nn.Module)
    )


def describe(module: nn.Module) -> Family:
    """Describe an open_clip CLIP, CustomTextCLIP or CoCa."""
    visual: Any = module.visual
    image_size = _pair(getattr(visual, "image_size", None) or 224)
    recipe = dict(getattr(visual, "preprocess_cfg", None) or {})
    mean = getattr(visual, "image_mean", None) or recipe.get("mean") or MEAN
    std = getattr(visual, "image_std", None) or recipe.get("std") or STD
    towers = [_image_tower(visual, image_size), _text_tower(module)]
    if getattr(module, "text_decoder", None) is not None:
        towers.append(_cross_tower(module, image_size))
    return Family(
        towers=tuple(towers),
        image_size=image_size,
        mean=tuple(float(m) for m in mean),
        std=tuple(float(s) for s in std),
        prefix_tokens=_prefix_tokens(visual),
        pooled_token=_pooled_token(module),
        preprocess=_preprocess(recipe, image_size, mean, std),
    )


def _image_tower(visual: Any, image_size: tuple[int, int]) -> Tower:
    trunk = getattr(visual, "trunk", None)  # a timm model in open_clip's adapter
    inside, prefix = (visual, "visual.") if trunk is None else (trunk, "visual.trunk.")
    places = list(image_places(inside, prefix))
    aliases = tuple(image_aliases(places))
    places.append(Place("image.embedding", "visual", "embedding"))
    return Tower(
        name="image",
        run=encode_image,
        example=lambda batch: torch.zeros(batch, 3, *image_size),
        places=tuple(places),
        aliases=aliases,
    )


def _text_tower(module: Any) -> Tower:
    own = getattr(module, "text", None)  # CLIP unpacks its text tower onto the root
    inside, prefix = (module, "") if own is None else (own, "text.")
    places = list(text_places(inside, prefix))
    # A projection that is a bare parameter leaves only the tower as a whole to look at.
    places.append(Place("text.embedding", "" if own is None else "text", "embedding"))
    return Tower(
        name="text",
        run=encode_text,
        example=lambda batch: torch.zeros(batch, context_length(module), dtype=torch.long),
        places=tuple(places),
    )


def _cross_tower(module: Any, image_size: tuple[int, int]) -> Tower:
    """CoCa's decoder: each block reads the text so far, and then the picture."""
    decoder = module.text_decoder
    places: list[Place] = []
    for number, (own, cross) in enumerate(zip(decoder.resblocks, decoder.cross_attn, strict=True)):
        name = f"cross.blocks.{number}"
        places += layer_places(own, f"{name}.self", f"text_decoder.resblocks.{number}")
        places += layer_places(cross, name, f"text_decoder.cross_attn.{number}")
    places.append(Place("cross.output", "text_decoder", "output"))

    def zeros(batch: int) -> dict[str, Tensor]:
        tokens = torch.zeros(batch, context_length(module), dtype=torch.long)
        return {"image": torch.zeros(batch, 3, *image_size), "text": tokens}

    return Tower(
        name="cross",
        run=caption,
        example=zeros,
        places=tuple(places),
        reads=(("image", "image"), ("text", "text")),
    )


def caption(module: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Run CoCa as a whole: how likely each token is to follow, given the picture."""
    return module(image=batch["image"], text=batch["text"])["logits"]


def encode_image(module: Any, images: Tensor) -> Tensor:
    """Run the image tower; its output is not normalised (CoCa would, unasked)."""
    return module.encode_image(images, normalize=False)


def encode_text(module: Any, tokens: Tensor) -> Tensor:
    """Run the text tower; its output is not normalised."""
    return module.encode_text(tokens, normalize=False)


def context_length(module: Any) -> int:
    """How many tokens the text tower takes."""
    text = getattr(module, "text", None)
    for holder in (text, module):
        length = getattr(holder, "context_length", None)
        if isinstance(length, int) and length:  # none where a language model counts no places
            # A language model of transformers counts places that its padding takes, and open_clip's
            # tokenizers give it no more than they give to others.
            return min(length, 77) if hasattr(text, "config") else length
    return 77


def _prefix_tokens(visual: Any) -> int:
    trunk = getattr(visual, "trunk", None)
    if trunk is not None:
        return int(getattr(trunk, "num_prefix_tokens", 0))
    return 1 if getattr(visual, "class_embedding", None) is not None else 0


def _pooled_token(module: Any) -> Callable[[Int[Tensor, "batch tokens"]], Int[Tensor, " batch"]]:
    """Where each text tower reads its sentence, by open_clip's own rules."""
    text = getattr(module, "text", None)
    unpacked = text is None
    pool = getattr(module, "text_pool_type", "argmax")
    pool = pool if unpacked else getattr(text, "pool_type", "argmax")
    eos = getattr(module, "text_eos_id", None) if unpacked else getattr(text, "eos_id", None)
    appended = not unpacked and getattr(text, "cls_emb", None) is not None

    def positions(tokens: Int[Tensor, "batch tokens"]) -> Int[Tensor, " batch"]:
        length = tokens.shape[1]
        if appended:  # CoCa appends a class token, and reads it
            return torch.full_like(tokens[:, 0], length)
        if pool == "first":
            return torch.zeros_like(tokens[:, 0])
        if pool == "eos" and eos is not None:
            return torch.eq(tokens, eos).int().argmax(dim=-1)
        if pool == "argmax":  # the end-of-text token has the largest number
            return tokens.argmax(dim=-1)
        return torch.full_like(tokens[:, 0], length - 1)

    return positions


def _preprocess(
    recipe: dict[str, Any], image_size: tuple[int, int], mean: Any, std: Any
) -> Callable[[Image.Image], Tensor]:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    known = {key: recipe[key] for key in PreprocessCfg.__dataclass_fields__ if key in recipe}
    known.update(size=image_size, mean=tuple(mean), std=tuple(std))
    return image_transform_v2(PreprocessCfg(**known), is_train=False)


def _pair(size: Any) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


def names() -> list[str]:
    """Every architecture that open_clip can build."""
    import open_clip

    return list(open_clip.list_models())


def tags(name: str) -> list[str]:
    """The tags of pretrained weights of an architecture, the default one first."""
    import open_clip

    found = open_clip.list_pretrained_tags_by_model(name)
    return sorted(found, key=lambda tag: tag != "openai")


def create(name: str, tag: str | None, *, random: bool = False, seed: int = 0) -> nn.Module:
    """Build a model with open_clip's own loader, in eval mode on the CPU.

    Parameters
    ----------
    name : str
        One of `names()`, or "hf-hub:..." or "local-dir:...", which bring their own weights.
    tag : str or None
        One of `tags(name)`, or a file of weights.
    random : bool
        Random weights instead.
    seed : int
        Of random weights; torch's own generators are left as they were.

    Raises
    ------
    NotDownloaded
        If the weights could not be fetched.
    MissingOption
        If a text tower needs a package that is not installed.
    """
    import open_clip

    # Nothing pretrained in a random model, a language model under its text tower included.
    options: dict[str, Any] = {"pretrained_hf": not random}
    if random and is_elsewhere(name):
        options["load_weights"] = False
    what = f"{name} ({tag})" if tag else name
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(seed)
        try:
            module = open_clip.create_model(name, pretrained=tag, **options)
        except Exception as error:
            raise _explained(error, f"The weights of {what}") from error
        if random:
            _fill_in(module)
    return module.eval()


def is_elsewhere(name: str) -> bool:
    """Tell whether a name points to a place that brings its own weights."""
    return name.startswith(("hf-hub:", "local-dir:"))


def _fill_in(module: Any) -> None:
    """Give CoCa's decoder the random projection that open_clip allocates and never fills."""
    decoder = getattr(module, "text_decoder", None)
    if decoder is not None:
        nn.init.normal_(decoder.text_projection, std=decoder.width**-0.5)


def tokenizer(name: str) -> Callable[[list[str]], Tensor]:
    """Return the tokenizer of an architecture; it is built when it is first called.

    Some are fetched over the network, and looking at pictures needs none.
    """
    built: list[Callable[[list[str]], Tensor]] = []

    def tokenize(texts: list[str]) -> Tensor:
        if not built:
            import open_clip

            try:
                built.append(open_clip.get_tokenizer(name))
            except Exception as error:
                raise _explained(error, f"The tokenizer of {name}") from error
        return built[0](texts)

    return tokenize


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep open_clip from logging what the caller knows, or is told by an exception."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _explained(error: Exception, what: str) -> Exception:
    """Turn what open_clip raises into a sentence, where the cause lies outside of the code."""
    if "pip install transformers" in str(error):
        return MissingOption(f"{what} need the package transformers: pip install transformers.")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) or type(cause).__module__.split(".")[0] in NETWORK:
            return NotDownloaded(
                f"{what} could not be fetched ({type(cause).__name__}): without a network, "
                f"lens.load() opens the embedded model, and pretrained=None gives random weights."
            )
        cause = cause.__cause__ or cause.__context__
    return error
