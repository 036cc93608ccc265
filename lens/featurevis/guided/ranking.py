"""Which of many images a text fits best: a batch of images, or of a generator's draws, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor, nn

from lens.errors import BadInput
from lens.featurevis import captioned
from lens.featurevis.guided import prompts
from lens.featurevis.guided.prompts import Prompts
from lens.featurevis.guided.source import as_source
from lens.featurevis.loop.optimize import generator
from lens.featurevis.parameterization import Parameterization
from lens.model import Model
from lens.pictures import open_picture, resized

if TYPE_CHECKING:
    import pandas as pd

_AT_ONCE = 32


@dataclass(frozen=True, eq=False, repr=False)
class Ranking:
    """Images from the best to the worst.

    Attributes
    ----------
    images
        Eight-bit RGB in the model's size, the best first.
    scores
        Of each, falling: the weighted cosines with the texts.
    order
        Where each stood among those given: ``given[ranking.order[0]]`` is the best.
    texts
        What they were ranked by.
    """

    images: UInt8[np.ndarray, "images h w 3"]
    scores: Float[np.ndarray, " images"]
    order: Int[np.ndarray, " images"]
    texts: tuple[str, ...]

    @property
    def table(self) -> pd.DataFrame:
        """One row an image, the best first: number among those given, and score."""
        import pandas as pd

        return pd.DataFrame({"number": self.order, "score": self.scores})

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Image.Image:
        return Image.fromarray(self.images[index])

    def sheet(self, columns: int = 8, count: int = 32) -> Image.Image:
        """The first ``count`` images with their scores below."""
        shown = list(self.images[:count])
        return captioned.grid(shown, [[f"{score:.3f}"] for score in self.scores[:count]], columns)

    def _repr_png_(self) -> bytes:
        return captioned.png(self.sheet())

    def _repr_html_(self) -> str:
        return captioned.figure(self.sheet(), repr(self))

    def __repr__(self) -> str:
        texts = ", ".join(repr(text) for text in self.texts)
        return (
            f"Ranking of {len(self)} images by {texts}: "
            f"scores {self.scores[0]:.3f} to {self.scores[-1]:.3f}"
        )


def rank(
    model: Model,
    images: Any,
    text: Prompts,
    n: int = 64,
    *,
    avoid: Prompts | None = None,
    truncation: float = 1.0,
    seed: int = 0,
) -> Ranking:
    """Order images by how well a text fits them.

    Parameters
    ----------
    model
        Any model with a joint space of images and texts.
    images
        Pictures (PIL, arrays, paths; a float tensor (images, 3, h, w) in [0, 1]), or what makes
        them: a generator module or a parameterization, of which ``n`` are drawn. None draws from
        the generator that ships.
    text, avoid
        As for ``guide``.
    n
        How many to draw from a generator.
    truncation
        Of a generator.
    seed
        Of a generator's draws; draw i is the same whatever n is.

    Raises
    ------
    BadInput
        Where there are no images or no text, or the generator makes none.
    """
    weights = prompts.weights(text, avoid)
    texts = model.embed(list(weights))
    size = (int(model.image_size[0]), int(model.image_size[1]))
    if images is None or isinstance(images, nn.Module) or hasattr(images, "start"):
        shown = _drawn(as_source(images, truncation), size, n, seed)
    else:
        shown = _given(images, size)
    scores = model.embed(list(shown)) @ texts.T @ np.fromiter(weights.values(), np.float32)
    order = np.argsort(-scores, kind="stable")
    return Ranking(shown[order], scores[order], order, tuple(weights))


def _given(images: Any, size: tuple[int, int]) -> UInt8[np.ndarray, "images h w 3"]:
    if isinstance(images, Tensor):
        if images.ndim != 4:
            raise BadInput(f"a tensor of images is (images, 3, h, w), not {tuple(images.shape)}.")
        images = images.detach().cpu().permute(0, 2, 3, 1).numpy()
    if isinstance(images, (str, bytes)) or not hasattr(images, "__iter__"):
        raise BadInput(
            f"rank takes a list of pictures or a generator, not {type(images).__name__}."
        )
    if isinstance(images, Image.Image):
        images = [images]
    # An item of a data set is (picture, label).
    pictures = [one[0] if isinstance(one, tuple) else one for one in images]
    listed = [open_picture(one, f"Image {i}") for i, one in enumerate(pictures)]
    if not listed:
        raise BadInput("there are no images to rank: the list is empty.")
    return np.stack([np.asarray(resized(one, size)) for one in listed])


def _drawn(
    source: Parameterization, size: tuple[int, int], n: int, seed: int
) -> UInt8[np.ndarray, "images h w 3"]:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise BadInput(f"n is a whole number of images, at least 1, not {n!r}.")
    rows: Sequence[range] = [range(i, min(i + _AT_ONCE, n)) for i in range(0, n, _AT_ONCE)]
    parts = []
    for row in rows:
        with torch.no_grad():
            z = source.start(size, [generator(seed, 0, i) for i in row])
            pixels = (source.pixels(z, size) * 255).round().to(torch.uint8)
        parts.append(pixels.permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(parts)
