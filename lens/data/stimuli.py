"""Varied stimuli with ground truth: every concept, in every rendering, several times over."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from lens.data import compose, words
from lens.data.glyphs import Glyphs
from lens.errors import BadInput, nearest


class Stimuli:
    """A table of stimuli and their pixels, drawn when asked for; a torch ``Dataset`` as it stands.

    `table` has one row a stimulus: concept, rendering, split ("discovery" or "held-out"), writing,
    and the font of a word. A stimulus' pixels depend on the seed and on its own row alone, so any
    subset drawn in any order is the same.
    """

    def __init__(
        self,
        glyphs: Glyphs,
        table: pd.DataFrame,
        *,
        size: int,
        seed: int,
        backgrounds: Sequence[str],
    ) -> None:
        self.glyphs, self.table = glyphs, table
        self.size, self.seed, self.backgrounds = size, seed, tuple(backgrounds)

    @cached_property
    def key(self) -> str:
        """A short hash of everything the pixels depend on, to name caches by."""
        rows = pd.util.hash_pandas_object(self.table.drop(columns=["group", "tags"], errors="ignore"))
        recipe = repr((self.size, self.seed, self.backgrounds, int(rows.sum())))
        return hashlib.sha256(recipe.encode()).hexdigest()[:12]

    def pixels(self, indices: Sequence[int] | Int[np.ndarray, "n"]) -> UInt8[np.ndarray, "n s s 3"]:
        """Draw the stimuli of the given rows."""
        indices = np.asarray(indices, dtype=int)
        if len(indices) == 0:
            return np.empty((0, self.size, self.size, 3), np.uint8)
        drawn = [self._draw(int(i)) for i in indices]
        return torch.stack(drawn).mul(255).round().byte().movedim(1, -1).numpy()

    def _draw(self, i: int) -> Float[Tensor, "3 size size"]:
        row, size = self.table.iloc[i], self.size
        g = torch.Generator().manual_seed(self.seed * 1_000_003 + int(row["number"]))
        below = compose.backgrounds(1, size, g, self.backgrounds, _tiles(self.glyphs, size))
        word = row["rendering"] == "word"
        # Written words are wide: they may fill the frame, but turn less.
        where = dict(
            scale=compose.uniform(1, 0.7, 0.98 if word else 0.95, g),
            angle=compose.uniform(1, -0.12, 0.12, g) if word else compose.uniform(1, -0.3, 0.3, g),
            shift=(torch.rand(1, 2, generator=g) * 2 - 1) * torch.tensor([0.04, 0.3 if word else 0.1]),
        )
        color = torch.rand(1, 3, generator=g)
        if word:
            text = words.CASES[row["case"]](row["concept"])
            ink = torch.from_numpy(words.mask(text, row["font"]).copy())[None, None] / 255
            ink = compose.transform(ink, (size, size), **where)
            above = compose.inked(ink, below, color)
        else:
            r = self.glyphs.renderings.index(row["rendering"])
            c = self.glyphs.concepts.index(row["concept"])
            tile = _tiles(self.glyphs, size)[r * len(self.glyphs.concepts) + c][None]
            above = compose.transform(tile, (size, size), **where)
            if row["rendering"] == "drawing":
                above = compose.inked(above[:, 3:], below)
        return compose.over(below, above)[0].clamp(0, 1)

    def where(self, **columns: str | Sequence[str]) -> Stimuli:
        """The stimuli whose row has the given values, e.g. ``rendering="word"``."""
        keep = pd.Series(True, index=self.table.index)
        for column, values in columns.items():
            keep &= self.table[column].isin([values] if isinstance(values, str) else list(values))
        table = self.table[keep].reset_index(drop=True)
        return Stimuli(
            self.glyphs, table, size=self.size, seed=self.seed, backgrounds=self.backgrounds
        )

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, i: int) -> Image.Image:
        if not -len(self) <= i < len(self):
            raise IndexError(f"There are {len(self)} stimuli; there is no number {i}.")
        return Image.fromarray(self.pixels([i % len(self)])[0])

    def __repr__(self) -> str:
        concepts, renderings = (self.table[c].nunique() for c in ("concept", "rendering"))
        return f"Stimuli({len(self)}: {concepts} concepts x {renderings} renderings, {self.size} px)"


def stimuli(
    glyphs: Glyphs,
    *,
    per_cell: int = 16,
    seed: int = 0,
    size: int = 96,
    concepts: Sequence[str] | None = None,
    renderings: Sequence[str] | None = None,
    backgrounds: Sequence[str] = compose.SEEN + compose.UNSEEN,
    fonts: Sequence[str] | None = None,
) -> Stimuli:
    """Every (concept, rendering) `per_cell` times: on random backgrounds, turned, shifted, scaled.

    Parameters
    ----------
    per_cell : stimuli of each concept in each rendering, half of them in each split.
    size : side in pixels.
    concepts, renderings : a subset; None means all.
    backgrounds : kinds to draw from, `compose.SEEN` in training or `compose.UNSEEN` only here.
    fonts : faces of the written words; None means all that ship. The two splits use different
        faces, so that a unit that knows one face cannot pass the held-out test.

    Raises
    ------
    BadInput
        A concept, rendering or font that is not there, or fewer than two stimuli a cell.
    """
    concepts = _known(concepts, glyphs.concepts, "concept")
    renderings = _known(renderings, glyphs.renderings, "rendering")
    faces = _known(fonts, list(words.fonts()), "font")
    if per_cell < 2:
        raise BadInput(f"Each cell needs 2 stimuli or more, a half in each split; got {per_cell}.")
    rows = []
    for rendering in renderings:
        for concept in concepts:
            # The number names the cell within the whole set, so a subset draws the same pixels.
            cell = glyphs.renderings.index(rendering) * 10_000 + glyphs.concepts.index(concept)
            for k in range(per_cell):
                discovery = k < per_cell // 2
                font = case = ""
                if rendering == "word":
                    font = _turn(faces[0::2] if discovery and len(faces) > 1 else faces[-1::-2], cell + k)
                    case = _turn(list(words.CASES), cell // 7 + k)
                split = "discovery" if discovery else "held-out"
                number = cell * 1000 + k
                rows.append((concept, rendering, split, concept in glyphs.writing, font, case, number))
    columns = ["concept", "rendering", "split", "writing", "font", "case", "number"]
    table = pd.DataFrame(rows, columns=columns)
    return Stimuli(glyphs, table, size=size, seed=seed, backgrounds=backgrounds)


def _turn(values: Sequence[str], k: int) -> str:
    return values[k % len(values)]


@lru_cache(maxsize=2)
def _tiles(glyphs: Glyphs, size: int) -> Float[Tensor, "tiles 4 size size"]:
    tiles = torch.from_numpy(glyphs.tiles.reshape(-1, *glyphs.tiles.shape[2:]))
    parts = [compose.premultiplied(part, size) for part in tiles.split(256)]
    return torch.cat(parts)


def _known(names: Sequence[str] | None, all_names: list[str], what: str) -> list[str]:
    if names is None:
        return all_names
    for name in names:
        if name not in all_names:
            close = ", ".join(nearest(name, all_names))
            raise BadInput(f"There is no {what} {name!r}; the nearest are: {close}.")
    return list(names)
