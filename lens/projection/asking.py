"""What is asked of the space that a map shows: similarities, neighbours, activations, words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from lens.errors import BadInput, LensError
from lens.projection.gathering import Gathered
from lens.projection.points import Space
from lens.sites import Site, Unit

__all__ = ["Asked"]

# Values of a column that may be words to name clusters by.
LONGEST = 40


class Asked:
    """Answers from the original space; each text is embedded once.

    Parameters
    ----------
    gathered : Gathered
        The points, and the model of their space where there is one.
    space : Space
        Where neighbours are looked for.
    vocabulary : sequence of str, optional
        Words to name things by.
    """

    def __init__(
        self, gathered: Gathered, space: Space, vocabulary: Sequence[str] | None = None
    ) -> None:
        self._points, self._space = gathered.points, space
        self._model, self._source = gathered.model, gathered.source
        self._activations = dict(gathered.activations)
        self._words = vocabulary
        self._texts: dict[str, Float[np.ndarray, " dim"]] = {}

    # -- the joint space -------------------------------------------------------------------

    @property
    def reads(self) -> str:
        """Why texts cannot be compared with the points, in a sentence; "" where they can."""
        model, dim = self._model, self._points.vectors.shape[1]
        if model is None:
            return "Texts need the model of this space: lens.project(..., model=...)."
        if "text" not in model.towers or model.tokenizer is None:
            return f"{model.name} reads no text."
        if self._text_dim != dim:
            return (
                f"The points have {dim} numbers and {model.name} gives texts {self._text_dim}: "
                f"they are not in its joint space."
            )
        return ""

    @cached_property
    def _text_dim(self) -> int:
        assert self._model is not None
        try:
            return int(self._model.embed("a").shape[1])
        except LensError:  # a text tower that gives no single vector
            return -1

    def vectors(self, more: Any) -> tuple[Float[np.ndarray, "m dim"], str | None]:
        """Embed pictures or texts, or take vectors as they are; and say of what kind they are."""
        dim = self._points.vectors.shape[1]
        numbers = isinstance(more, np.ndarray) and more.ndim <= 2 and more.shape[-1:] == (dim,)
        numbers |= isinstance(more, Tensor) and more.ndim <= 2 and more.shape[-1] == dim
        if numbers:
            rows = np.atleast_2d(np.asarray(more, np.float32))
            if not np.isfinite(rows).all():
                raise BadInput("A vector to place has NaN or infinite values.")
            kinds = set(self._points.kinds.tolist())
            return rows, kinds.pop() if len(kinds) == 1 else "image" if "image" in kinds else None
        one = isinstance(more, (str, Path, Image.Image)) or getattr(more, "ndim", 0) in (2, 3)
        items = [more] if one else list(more)
        if not items:
            return np.zeros((0, dim), np.float32), None
        if isinstance(items[0], str):
            if self.reads:
                raise BadInput(self.reads)
            self._embed([str(item) for item in items])
            return np.stack([self._texts[str(item)] for item in items]), "text"
        if self._model is None:
            raise BadInput(
                f"This takes vectors of {dim} numbers; pictures need the model of this space: "
                f"lens.project(..., model=...)."
            )
        found = self._model.embed(items)
        if found.shape[1] != dim:
            raise BadInput(
                f"The points have {dim} numbers and {self._model.name} gives pictures "
                f"{found.shape[1]}: they are not in its joint space."
            )
        return found, "image"

    def similarity(self, query: Any) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Give each point's cosine with a text, picture or vector; and over its kind's mean."""
        vectors, _ = self.vectors(query)
        if len(vectors) != 1:
            raise BadInput(f"One thing is searched for at a time, not {len(vectors)}.")
        rows = self._points.vectors
        length = np.linalg.norm(rows, axis=1) * (np.linalg.norm(vectors[0]) or 1.0)
        cosine = (rows @ vectors[0]) / np.where(length > 0, length, 1)
        over = cosine.copy()
        for kind in set(self._points.kinds.tolist()):
            own = self._points.kinds == kind
            over[own] -= cosine[own].mean()
        return cosine.astype(np.float32), over.astype(np.float32)

    def vocabulary(
        self, words: Sequence[str] | None = None
    ) -> tuple[list[str], Float[np.ndarray, "words dim"] | None]:
        """Give words and their embeddings; None for these where the space has no texts."""
        if self.reads:
            return [], None
        chosen = words if words is not None else self._words
        if chosen is None:
            from lens.data import glyphs

            chosen = [*self._own_words(), *glyphs().concepts]
        unique = list(dict.fromkeys(str(word) for word in chosen))
        self._embed(unique)
        return unique, np.stack([self._texts[word] for word in unique]) if unique else None

    def _own_words(self) -> list[str]:
        """The values of the first column, and the texts that are on the map."""
        points = self._points
        first = next(iter(points.columns), None)
        told: list[str] = []
        if first is not None:
            told = points.columns[first].dropna().astype(str).unique().tolist()
        texts = [points.ids[i] for i in np.flatnonzero(points.kinds == "text")]
        found = [word for word in [*told, *texts] if any(c.isalpha() for c in word)]
        return [word for word in found if len(word) <= LONGEST][:2000]

    def _embed(self, texts: Sequence[str]) -> None:
        new = [text for text in dict.fromkeys(texts) if text not in self._texts]
        if new:
            assert self._model is not None
            self._texts.update(zip(new, self._model.embed(new), strict=True))

    # -- neighbours ------------------------------------------------------------------------

    def nearest(self, point: int, k: int) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
        """Give a point's nearest points and their cosines, or distances; nearest first."""
        if k < 1:
            raise BadInput(f"k, how many neighbours to find, is at least 1, not {k}.")
        rows = self._space.rows
        most = min(len(rows) - 1, 2 * k + 32)
        if most < 1:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        # Roughly and fast among all, then exactly among the nearest: maps of a million answer, too.
        rough = self._lengths - 2 * (rows @ rows[point])
        rough[point] = np.inf
        close = np.argpartition(rough, most - 1)[:most]
        squared = ((rows[close].astype(np.float64) - rows[point]) ** 2).sum(axis=1)
        order = np.lexsort((close, squared))[:k]
        near = squared[order]
        values = 1 - near / 2 if self._space.metric == "cosine" else np.sqrt(near)
        return close[order], values.astype(np.float32)

    @cached_property
    def _lengths(self) -> Float[np.ndarray, " n"]:
        return (self._space.rows**2).sum(axis=1)

    # -- units -----------------------------------------------------------------------------

    @property
    def units(self) -> list[str]:
        """Units whose activations are there."""
        return list(self._activations)

    def activation(self, unit: Unit | str) -> Float[np.ndarray, " n"]:
        """Give one unit's value for each point; from what was captured, or by looking again."""
        name, where, index = self._unit(unit)
        if name not in self._activations:
            self._activations[name] = self._computed(where, index)
        values = self._activations[name]
        out = np.full(len(self._points), np.nan, np.float32)
        seen = np.flatnonzero(self._points.kinds == "image")
        if self._source is not None:
            seen = np.arange(len(self._points))
        if len(values) != len(seen):
            raise BadInput(f"{name} has {len(values):,} values for {len(seen):,} pictures.")
        out[seen] = values
        return out

    def _unit(self, unit: Unit | str) -> tuple[str, Any, int]:
        if isinstance(unit, Unit):
            return f"{unit.site.name}/{unit.index}", unit.site, unit.index
        site, slash, number = str(unit).rpartition("/")
        if not slash or not number.isdigit():
            raise BadInput(f"A unit is called like 'image.layer4/17', not {unit!r}.")
        if self._source is not None and site in self._source:
            return str(unit), site, int(number)
        if self._model is None:
            raise BadInput(f"{unit} needs its model: lens.project(..., model=...).")
        where = self._model.site(site)
        return f"{where.name}/{int(number)}", where, where.unit(int(number)).index

    def _computed(self, where: Any, index: int) -> Float[np.ndarray, " rows"]:
        if self._source is not None and where in self._source:
            values = self._source.values_of(where)
            if not 0 <= index < values.shape[1]:
                raise BadInput(f"That site has the units 0 to {values.shape[1] - 1}, not {index}.")
            column = values[:, index]
            column = column[np.isfinite(column)] if len(column) != len(self._points) else column
            return np.asarray(column, np.float32)
        if not isinstance(where, Site) or self._points.pictures is None:
            raise BadInput(
                "Activations of units need the pictures and their model: lens.project(pictures, "
                "model=...)."
            )
        from lens.capture.run import capture

        seen = np.flatnonzero(self._points.kinds == "image")
        pictures = [self._points.pictures[int(row)] for row in self._points.rows[seen]]
        site = where.pre_activation
        found: Any = capture(where.model, pictures, site, reduce="mean", strict=True)
        # Whoever asks for one unit mostly asks for the next, too: it was all computed.
        values = np.asarray(found[site.name], np.float32)
        return values[:, index]
