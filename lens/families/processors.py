"""Processors and tokenizers of transformers, as the plain functions that `lens.wrap` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from lens.errors import BadInput
from lens.families.family import Family
from lens.families.trace import shapes

__all__ = ["descends_from", "fitted", "token_numbers"]


def descends_from(thing: object, package: str, *names: str) -> bool:
    """Tell whether an object is of one of a package's classes, without importing the package."""
    return any(
        kind.__name__ in names and kind.__module__.split(".")[0] == package
        for kind in type(thing).__mro__
    )


def fitted(family: Family, preprocess: Any, tokenizer: Any) -> tuple[Family, Any, Any]:
    """Turn processors and tokenizers of transformers into functions; others stay as they are.

    Parameters
    ----------
    family : Family
        Which gets the mean and the standard deviation that a processor uses.
    preprocess : object
        An image processor, a processor that has one, or anything else.
    tokenizer : object
        A tokenizer, a processor that has one, or anything else.

    Returns
    -------
    family, preprocess, tokenizer

    Raises
    ------
    BadInput
        If the tokenizer has nothing to pad with.
    """
    processor = getattr(preprocess, "image_processor", preprocess)
    if descends_from(processor, "transformers", "ImageProcessingMixin"):
        mean, std = (getattr(processor, key, None) for key in ("image_mean", "image_std"))
        family = replace(family, mean=tuple(mean or family.mean), std=tuple(std or family.std))
        preprocess = _preprocess(processor)
    if descends_from(tokenizer, "transformers", "ProcessorMixin"):
        tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
    if descends_from(tokenizer, "transformers", "PreTrainedTokenizerBase"):
        if tokenizer.pad_token_id is None:
            raise BadInput(
                f"{type(tokenizer).__name__} has no padding token, so texts make no batch; set its "
                f"pad_token first."
            )
        tokenizer = _tokenize(tokenizer, _length(family))
    return family, preprocess, tokenizer


def token_numbers(found: Any, family: Family) -> Int[Tensor, "batch tokens"]:
    """Make a batch of what a tokenizer gave, padded and cut to what the text tower takes.

    What a mask hides is set to the number that the tower reads as nothing: so the mask travels
    within the token numbers.

    Parameters
    ----------
    found : Tensor, mapping or sequence
        Token numbers, which stay as they are; ``input_ids``, mostly with an ``attention_mask``, as
        tensors or lists; or lists of numbers.
    family : Family
        Whose text tower reads them.

    Raises
    ------
    BadInput
        If there are no token numbers.
    """
    if isinstance(found, Tensor):
        return found
    mask = None
    if isinstance(found, Mapping):
        mask, found = found.get("attention_mask"), found.get("input_ids")
    if not isinstance(found, (Tensor, Sequence)) or isinstance(found, str):
        raise BadInput(
            f"The tokenizer gives {type(found).__name__}, not token numbers or their input_ids."
        )
    length, pad = _length(family), family.pad_token
    tokens = _rows(found, length, pad or 0)
    if mask is not None and pad is not None:
        tokens = tokens.masked_fill(_rows(mask, length, 0) == 0, pad)
    return tokens


def _preprocess(processor: Any) -> Callable[[Image.Image], Tensor]:
    def preprocess(image: Image.Image) -> Float[Tensor, "channels height width"]:
        made = processor(images=image.convert("RGB"), return_tensors="pt")
        return made["pixel_values"][0]

    return preprocess


def _tokenize(tokenizer: Any, length: int) -> Callable[[list[str]], Any]:
    def tokenize(texts: list[str]) -> Any:
        return tokenizer(
            texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
        )

    return tokenize


def _length(family: Family) -> int:
    """How many tokens a text has for this family: every batch has the same, to be stacked."""
    tower = next((tower for tower in family.towers if tower.name == "text"), None)
    if tower is None:
        raise BadInput("This model reads no text, so it has no use for a tokenizer.")
    return int(shapes(tower.example(1))[1])


def _rows(values: Any, length: int, fill: int) -> Int[Tensor, "batch tokens"]:
    if isinstance(values, Tensor) and values.shape[1] == length:
        return values.long()
    made = torch.full((len(values), length), fill, dtype=torch.long)
    for row, numbers in enumerate(values):
        kept = torch.as_tensor(numbers, dtype=torch.long)[:length]
        made[row, : len(kept)] = kept
    return made
