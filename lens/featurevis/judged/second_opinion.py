"""The plainest test of a visualization: shown it, does another model name the unit's concept?"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from lens.errors import BadInput, suggestion
from lens.pictures import open_picture

if TYPE_CHECKING:
    from lens.model import Model

PROMPTS = ("{}", "a {}", "a picture of a {}")


@dataclass(frozen=True, eq=False, repr=False)
class Naming:
    """What another model calls some images.

    Attributes
    ----------
    table
        A row an image: ``concept`` (the right name), ``answer`` (the model's), ``rank`` of the
        right name (1: it is the answer), and ``control_rank``, the rank of the same name for the
        image of another concept, drawn at random.
    model
        Who was asked.
    among
        From how many names it could choose.
    """

    table: pd.DataFrame
    model: str
    among: int

    def top(self, count: int = 1, column: str = "rank") -> float:
        """Share of images with the right name among the first ``count``."""
        return float((self.table[column] <= count).mean())

    def __repr__(self) -> str:
        shares = ", ".join(
            f"{self.top(n):.1%} in the top {n} (another's image: {self.top(n, 'control_rank'):.1%})"
            for n in (1, 5)
        )
        return f"Naming of {len(self.table)} images by {self.model} among {self.among}: {shares}"

    def _repr_html_(self) -> str:
        table = self.table.to_html(index=False, max_rows=64)
        return f"<div><p>{html.escape(repr(self))}</p>{table}</div>"


class Namer:
    """A model asked for names; the names are embedded once.

    Parameters
    ----------
    model
        A model with an image and a text tower.
    names
        The names to choose from; all concepts of the embedded glyphs by default.
    prompts
        Sentences to embed a name in, with ``{}`` for it; their embeddings are averaged.

    Raises
    ------
    BadInput
        Where the model reads no text or sees no pictures, or there are no names.
    """

    def __init__(
        self, model: Model, names: Sequence[str] | None = None, prompts: Sequence[str] = PROMPTS
    ) -> None:
        self.model = model
        self.names = list(dict.fromkeys(_all_concepts() if names is None else names))
        if not {"image", "text"} <= set(model.towers):
            raise BadInput(f"{model.name} can name nothing: it needs an image and a text tower.")
        if not self.names or not prompts:
            raise BadInput("a model needs one name and one prompt or more to choose from.")
        sentences = [prompt.format(name) for prompt in prompts for name in self.names]
        rows = model.embed(sentences).reshape(len(prompts), len(self.names), -1).mean(0)
        self._embedded = rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def scores(self, images: Sequence[Any]) -> Float[np.ndarray, "images names"]:
        """Cosine of every image with every name."""
        return self.model.embed(images) @ self._embedded.T

    def answers(self, images: Sequence[Any]) -> list[str]:
        """The nearest name of every image."""
        return [self.names[best] for best in self.scores(images).argmax(1)]


def naming(
    images: Any,
    concepts: Sequence[str],
    other: Model,
    *,
    among: Sequence[str] | None = None,
    prompts: Sequence[str] = PROMPTS,
    seed: int = 0,
) -> Naming:
    """Ask a model for the name of every image, by the nearest of all names' text embeddings.

    Parameters
    ----------
    images
        A Visualization, or pictures.
    concepts
        The right name for each image.
    other
        A model with an image and a text tower; one that the images were not made with.
    among
        The names to choose from; all concepts of the embedded glyphs by default.
    prompts
        Sentences to embed a name in, with ``{}`` for it; their embeddings are averaged.
    seed
        Of the control: which other image each name is tried on.

    Raises
    ------
    BadInput
        Where names are missing, aren't among those to choose from, or all are the same (there is
        no control then), or the model reads no text.
    """
    pictures = [open_picture(image, f"Image {i}") for i, image in enumerate(images)]
    concepts = list(concepts)
    if len(concepts) != len(pictures):
        raise BadInput(f"{len(pictures)} images need as many concepts, not {len(concepts)}.")
    namer = Namer(other, among, prompts)
    names = namer.names
    for concept in concepts:
        if concept not in names:
            raise BadInput(
                f"{concept!r} is not among the {len(names)} names.{suggestion(concept, names)}"
            )
    right = np.array([names.index(concept) for concept in concepts])
    strangers = _strangers(right, np.random.default_rng(seed))
    scores = namer.scores(pictures)
    table = pd.DataFrame(
        {
            "concept": concepts,
            "answer": [names[best] for best in scores.argmax(1)],
            "rank": _ranks(scores, right),
            "control_rank": _ranks(scores[strangers], right),
        }
    )
    return Naming(table, other.name, len(names))


def _ranks(
    scores: Float[np.ndarray, "images names"], right: Int[np.ndarray, " images"]
) -> Int[np.ndarray, " images"]:
    own = scores[np.arange(len(right)), right]
    return 1 + (scores > own[:, None]).sum(1)


def _strangers(
    right: Int[np.ndarray, " images"], random: np.random.Generator
) -> Int[np.ndarray, " images"]:
    """For each image a random one of another concept."""
    if len(set(right.tolist())) < 2:
        raise BadInput("the control needs images of two concepts or more.")
    return np.array([random.choice(np.flatnonzero(right != own)) for own in right])


def _all_concepts() -> list[str]:
    from lens.data import glyphs

    return glyphs().concepts
