"""The embedded stimulus set: everyday concepts, each drawn in several renderings and written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from lens.data.words import write
from lens.errors import BadInput, nearest

if TYPE_CHECKING:
    import pandas as pd

    from lens.data.stimuli import Stimuli

HERE = Path(__file__).parent


class Glyphs:
    """About 400 concepts in six renderings with ground truth; a torch ``Dataset`` as it stands.

    An item is ``(image, concept index)``, a clean rendering on white, in the order of `table`.
    The pictures come from permissive emoji sets, see ``NOTICE.md`` beside this file.
    """

    @cached_property
    def _index(self) -> dict[str, Any]:
        return json.loads((HERE / "glyphs.json").read_text(encoding="utf-8"))

    @cached_property
    def concepts(self) -> list[str]:
        """One-word names, at most nine letters each."""
        return [row["name"] for row in self._index["concepts"]]

    @property
    def pictures(self) -> list[str]:
        """The renderings that are drawn, not written."""
        return list(self._index["renderings"])

    @property
    def renderings(self) -> list[str]:
        """``cartoon, icon, render, flat, drawing`` (pictures) and ``word``."""
        return [*self.pictures, "word"]

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a clean rendering: concept, rendering, group, tags, and whether it has writing.

        ``writing`` marks concepts whose *picture* contains letters or digits: a unit that
        answers to such a picture and to the word may only be reading.
        """
        import pandas as pd

        rows = self._index["concepts"]
        return pd.DataFrame(
            [
                (row["name"], rendering, row["group"], tuple(row["tags"]), row["writing"])
                for rendering in self.renderings
                for row in rows
            ],
            columns=["concept", "rendering", "group", "tags", "writing"],
        )

    @cached_property
    def tags(self) -> dict[str, tuple[str, ...]]:
        """Ideas that concepts share ("fruit", "music"), from the sets' own metadata."""
        return {row["name"]: tuple(row["tags"]) for row in self._index["concepts"]}

    @cached_property
    def writing(self) -> frozenset[str]:
        """Concepts whose picture contains letters or digits."""
        return frozenset(row["name"] for row in self._index["concepts"] if row["writing"])

    @cached_property
    def tiles(self) -> UInt8[np.ndarray, "renderings concepts size size 4"]:
        """Every drawn tile as RGBA, straight (not premultiplied) alpha."""
        index = self._index
        size, columns, count = index["tile"], index["columns"], len(self.concepts)
        atlas = _atlas(HERE / "glyphs.webp")
        rows = atlas.shape[0] // size
        tiles = atlas.reshape(rows, size, columns, size, 4).swapaxes(1, 2)
        tiles = tiles.reshape(rows * columns, size, size, 4)[: count * len(self.pictures)]
        return tiles.reshape(len(self.pictures), count, size, size, 4)

    def tile(self, concept: str, rendering: str) -> Image.Image:
        """One rendering as a transparent picture; a word is black, in the first font.

        Raises
        ------
        BadInput
            The concept or the rendering is not in the set; names the nearest ones.
        """
        c = self._position(concept, self.concepts, "concept")
        r = self._position(rendering, self.renderings, "rendering")
        if rendering == "word":
            return write(concept, size=self._index["tile"])
        return Image.fromarray(self.tiles[r, c])

    def images(
        self,
        concept: str | Sequence[str] | None = None,
        rendering: str | Sequence[str] | None = None,
    ) -> list[Image.Image]:
        """Clean renderings on white, in the order of `table`; None means all."""
        concepts = _listed(concept, self.concepts)
        renderings = _listed(rendering, self.renderings)
        return [on_white(self.tile(c, r)) for r in renderings for c in concepts]

    def stimuli(self, per_cell: int = 16, seed: int = 0, **options: Any) -> Stimuli:
        """Varied stimuli of every (concept, rendering): see `lens.data.stimuli.stimuli`."""
        from lens.data.stimuli import stimuli

        return stimuli(self, per_cell=per_cell, seed=seed, **options)

    def __len__(self) -> int:
        return len(self.concepts) * len(self.renderings)

    def __getitem__(self, i: int) -> tuple[Image.Image, int]:
        if not -len(self) <= i < len(self):
            raise IndexError(f"The glyphs have {len(self)} renderings; there is no number {i}.")
        r, c = divmod(i % len(self), len(self.concepts))
        return on_white(self.tile(self.concepts[c], self.renderings[r])), c

    def __repr__(self) -> str:
        return f"Glyphs({len(self.concepts)} concepts x {', '.join(self.renderings)})"

    @staticmethod
    def _position(name: str, names: list[str], what: str) -> int:
        if name not in names:
            close = ", ".join(nearest(name, names))
            raise BadInput(f"The glyphs have no {what} {name!r}; the nearest are: {close}.")
        return names.index(name)


@cache
def glyphs() -> Glyphs:
    """The embedded stimulus set (read from the package on first use, no network)."""
    return Glyphs()


def on_white(tile: Image.Image) -> Image.Image:
    """Composite a transparent picture on white."""
    page = Image.new("RGBA", tile.size, "white")
    page.alpha_composite(tile.convert("RGBA"))
    return page.convert("RGB")


def _atlas(path: Path) -> UInt8[np.ndarray, "height width 4"]:
    """Decode the atlas, in one go where torchvision can.

    The pixels are the same: both libraries decode by libwebp. Pillow keeps half a gigabyte of
    copies on the way, which a notebook in a gigabyte can't spare.
    """
    import torch

    try:
        from torchvision.io import ImageReadMode, decode_webp  # from torchvision 0.20 on

        packed = torch.from_numpy(np.fromfile(path, np.uint8))
        return decode_webp(packed, ImageReadMode.RGB_ALPHA).movedim(0, -1).numpy()
    except (ImportError, RuntimeError):  # RuntimeError: torchvision without its compiled part
        with Image.open(path) as image:
            return np.asarray(image.convert("RGBA"))


def _listed(names: str | Sequence[str] | None, everything: list[str]) -> list[str]:
    if names is None:
        return everything
    return [names] if isinstance(names, str) else list(names)
