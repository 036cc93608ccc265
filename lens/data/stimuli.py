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
    and the font and case of a word. The stimuli of one concept in one rendering are drawn together
    from a seed of their own, so any subset drawn in any order has the same pixels.
    """

    def __init__(
        self,
        glyphs: Glyphs,
        table: pd.DataFrame,
        *,
        per_cell: int,
        size: int,
        seed: int,
        backgrounds: Sequence[str],
        faces: Sequence[str],
    ) -> None:
        self.glyphs, self.table, self.per_cell = glyphs, table, per_cell
        self.size, self.seed = size, seed
        self.backgrounds, self.faces = tuple(backgrounds), tuple(faces)

    @cached_property
    def key(self) -> str:
        """A short hash of everything the pixels depend on, to name caches by."""
        rows = self.table[["cell", "number"]].to_numpy(np.int64).tobytes()
        recipe = (self.size, self.seed, self.per_cell, self.backgrounds, self.faces)
        return hashlib.sha256(rows + repr(recipe).encode()).hexdigest()[:12]

    def pixels(
        self, indices: Sequence[int] | Int[np.ndarray, " n"]
    ) -> UInt8[np.ndarray, "n s s 3"]:
        """Draw the stimuli of the given rows."""
        indices = np.asarray(indices, dtype=int)
        out = np.empty((len(indices), self.size, self.size, 3), np.uint8)
        cells = self.table["cell"].to_numpy()[indices]
        numbers = self.table["number"].to_numpy()[indices]
        for cell in np.unique(cells):
            where = np.flatnonzero(cells == cell)
            drawn = self._draw(int(cell)).mul(255).round().byte().movedim(1, -1).numpy()
            out[where] = drawn[numbers[where]]
        return out

    def _draw(self, cell: int) -> Float[Tensor, "per_cell 3 size size"]:
        """All stimuli of one concept in one rendering."""
        r, c = divmod(cell, len(self.glyphs.concepts))
        rendering, concept = self.glyphs.renderings[r], self.glyphs.concepts[c]
        n, size, word = self.per_cell, self.size, rendering == "word"
        g = torch.Generator().manual_seed(self.seed * 1_000_003 + cell)
        below = compose.backgrounds(n, size, g, self.backgrounds, _strewn(self.glyphs, size))
        # Written words are wide: they may fill the frame and lie higher or lower, but turn less.
        reach = torch.tensor([0.04, 0.3] if word else [0.04, 0.1])
        where = {
            "scale": compose.uniform(n, 0.7, 0.98 if word else 0.95, g),
            "angle": compose.uniform(n, -1, 1, g) * (0.12 if word else 0.3),
            "shift": (torch.rand(n, 2, generator=g) * 2 - 1) * reach,
        }
        color = torch.rand(n, 3, generator=g)
        if word:
            styles = [_style(self.faces, cell, k, n) for k in range(n)]
            ink = [words.mask(words.CASES[case](concept), font) for font, case in styles]
            tiles = torch.from_numpy(np.stack(ink))[:, None].float() / 255
            moved = compose.transform(tiles, (size, size), **where)
            return compose.over(below, compose.inked(moved, below, color)).clamp(0, 1)
        tile = compose.premultiplied(torch.from_numpy(self.glyphs.tiles[r, c])[None], size)
        moved = compose.transform(tile.expand(n, -1, -1, -1), (size, size), **where)
        if rendering == "drawing":
            moved = compose.inked(moved[:, 3:], below)
        return compose.over(below, moved).clamp(0, 1)

    def where(self, **columns: str | Sequence[str]) -> Stimuli:
        """The stimuli whose row has the given values, e.g. ``rendering="word"``."""
        keep = pd.Series(True, index=self.table.index)
        for column, values in columns.items():
            keep &= self.table[column].isin([values] if isinstance(values, str) else list(values))
        table = self.table[keep].reset_index(drop=True)
        return Stimuli(
            self.glyphs,
            table,
            per_cell=self.per_cell,
            size=self.size,
            seed=self.seed,
            backgrounds=self.backgrounds,
            faces=self.faces,
        )

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, i: int) -> Image.Image:
        if not -len(self) <= i < len(self):
            raise IndexError(f"There are {len(self)} stimuli; there is no number {i}.")
        return Image.fromarray(self.pixels([i % len(self)])[0])

    def __repr__(self) -> str:
        concepts, renderings = (self.table[c].nunique() for c in ("concept", "rendering"))
        return (
            f"Stimuli({len(self)}: {concepts} concepts x {renderings} renderings, {self.size} px)"
        )


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
            # The cell is numbered within the whole set, so that a subset draws the same pixels.
            place = glyphs.renderings.index(rendering), glyphs.concepts.index(concept)
            cell = place[0] * len(glyphs.concepts) + place[1]
            for k in range(per_cell):
                split = "discovery" if k < per_cell // 2 else "held-out"
                styled = rendering == "word"
                font, case = _style(faces, cell, k, per_cell) if styled else ("", "")
                known = concept in glyphs.writing
                rows.append((concept, rendering, split, known, font, case, cell, k))
    columns = ["concept", "rendering", "split", "writing", "font", "case", "cell", "number"]
    return Stimuli(
        glyphs,
        pd.DataFrame(rows, columns=columns),
        per_cell=per_cell,
        size=size,
        seed=seed,
        backgrounds=backgrounds,
        faces=faces,
    )


def _style(faces: Sequence[str], cell: int, k: int, per_cell: int) -> tuple[str, str]:
    """Font and case of a written word; the two splits take turns with different faces."""
    half = faces[0::2] if k < per_cell // 2 else faces[1::2]
    own = half or faces
    cases = list(words.CASES)
    return own[(cell + k) % len(own)], cases[(cell // 7 + k) % len(cases)]


@lru_cache(maxsize=2)
def _strewn(glyphs: Glyphs, size: int) -> Float[Tensor, "tiles 4 size size"]:
    """Some tiles of every style to strew about in cluttered backgrounds."""
    tiles = glyphs.tiles.reshape(-1, *glyphs.tiles.shape[2:])[::37]
    return compose.premultiplied(torch.from_numpy(tiles.copy()), size)


def _known(names: Sequence[str] | None, all_names: list[str], what: str) -> list[str]:
    if names is None:
        return all_names
    for name in names:
        if name not in all_names:
            close = ", ".join(nearest(name, all_names))
            raise BadInput(f"There is no {what} {name!r}; the nearest are: {close}.")
    return list(names)
