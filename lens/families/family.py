"""What a family of models tells about one of its members, before anything has run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Int
from PIL import Image
from torch import Tensor, nn

from lens.sites import At, Batch, TowerName

__all__ = ["Family", "Place", "Tower"]


@dataclass(frozen=True)
class Place:
    """A named place whose shape is not known yet; the empty path is the tower as a whole."""

    name: str
    path: str
    kind: str
    at: At = "output"


@dataclass(frozen=True)
class Tower:
    """One way through a model: how to run it, and what to try it on.

    Attributes
    ----------
    name : {"image", "text", "cross"}
        Which tower this is.
    run : callable
        Runs it on a batch: a function of the module and the batch.
    example : callable
        Makes a batch of zeros of a given size.
    places : tuple of Place
        The places with friendly names, in the order of the forward pass.
    aliases : tuple of (str, str)
        Other names of these places.
    in_picture : bool
        Whether its tokens have places in the picture.
    reads : tuple of (str, {"image", "text"})
        Of a "cross" tower: what its inputs are called, and what each is made of. Empty where only
        tensors can be given.
    """

    name: TowerName
    run: Callable[[nn.Module, Any], Any]
    example: Callable[[int], Batch]
    places: tuple[Place, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    in_picture: bool = True
    reads: tuple[tuple[str, Literal["image", "text"]], ...] = ()


@dataclass(frozen=True)
class Family:
    """A member of a family, described.

    Attributes
    ----------
    towers : tuple of Tower
        The image tower first.
    image_size : tuple of int
        Height and width of the pictures that the image tower takes; zeros where there is none.
    mean, std : tuple of float
        What pixels in [0, 1] are normalised with.
    prefix_tokens : int
        Tokens of the image tower (class, registers) that have no place in the picture.
    pooled_token : callable, optional
        From token numbers (batch, tokens), the position whose vector stands for the text.
    preprocess : callable, optional
        From a PIL image to a normalised tensor (3, height, width).
    pad_token : int, optional
        The token number that the text tower reads as nothing, where it is built to.
    """

    towers: tuple[Tower, ...]
    image_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    prefix_tokens: int = 0
    pooled_token: Callable[[Int[Tensor, "batch tokens"]], Int[Tensor, " batch"]] | None = None
    preprocess: Callable[[Image.Image], Tensor] | None = None
    pad_token: int | None = None
