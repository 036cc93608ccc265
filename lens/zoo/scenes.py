"""Training pictures: drawn things, written words and labelled things on seen backgrounds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from lens.data import Glyphs, compose, words

# A whole vendor's drawings are kept out of training, to test on.
HELD_OUT_RENDERING = "icon"
LABELLED_SHARE = 0.2


@dataclass(frozen=True)
class Scene:
    """A batch of training pictures in [0, 1], their concepts and their renderings."""

    pixels: Float[Tensor, "batch 3 size size"]
    concepts: Int[Tensor, " batch"]
    renderings: list[str]


class Scenes:
    """Draws training batches; everything random comes from the generator passed in."""

    def __init__(self, glyphs: Glyphs, size: int) -> None:
        self.glyphs, self.size = glyphs, size
        self.pictures = [r for r in glyphs.pictures if r != HELD_OUT_RENDERING]
        rows = [glyphs.pictures.index(r) for r in self.pictures]
        tiles = torch.from_numpy(glyphs.tiles[rows])
        self.tiles = torch.stack([compose.premultiplied(t, size) for t in tiles])
        self.clutter = self.tiles[:3].flatten(0, 1)
        fonts = words.fonts(held_out=False)
        self.ink = torch.empty(
            (len(fonts) * len(words.CASES), len(glyphs.concepts), 64, 128), dtype=torch.uint8
        )
        styles = [(font, case) for font in fonts for case in words.CASES.values()]
        for s, (font, case) in enumerate(tqdm(styles, desc="writing words", leave=False)):
            for c, concept in enumerate(glyphs.concepts):
                self.ink[s, c] = torch.from_numpy(words.mask(case(concept), font).copy())

    def draw(
        self,
        n: int,
        generator: Generator,
        difficulty: float = 1.0,
        word_share: float = 0.5,
        variety: float = 0.0,
    ) -> Scene:
        """`n` pictures; at difficulty 0 the words are clean and large, at 1 as varied as later.

        `variety` is the share of the drawn things that are bent, restyled or partly hidden.
        """
        g, count = generator, len(self.glyphs.concepts)
        concepts = torch.randint(count, (n,), generator=g)
        split = round(n * word_share)
        which = torch.randint(len(self.pictures), (n - split,), generator=g)
        parts = []
        if split > 0:
            parts.append(self._written(concepts[:split], g, difficulty))
        if split < n:
            parts.append(self._drawn(concepts[split:], which, g, difficulty, variety))
        renderings = ["word"] * split + [self.pictures[int(r)] for r in which]
        return Scene(_camera(torch.cat(parts), g, difficulty), concepts, renderings)

    def _written(self, concepts: Tensor, g: Generator, difficulty: float) -> Tensor:
        n, size = len(concepts), self.size
        below = compose.backgrounds(n, size, g, compose.SEEN, self.clutter)
        clean = torch.rand(n, generator=g) >= difficulty
        below[clean] = below[clean].mean((2, 3), keepdim=True)
        low, high = 0.95 - 0.3 * difficulty, 1.0
        ink = self._words(concepts, g)
        ink = compose.transform(
            ink,
            (size, size),
            scale=compose.uniform(n, low, high, g),
            angle=compose.uniform(n, -0.2, 0.2, g) * difficulty,
            shift=(torch.rand(n, 2, generator=g) * 2 - 1) * torch.tensor([0.05, 0.45]) * difficulty,
            shear=compose.uniform(n, -0.15, 0.15, g) * difficulty,
            aspect=compose.uniform(n, 0.85, 1.3, g),
        )
        return compose.over(below, compose.inked(ink, below, torch.rand(n, 3, generator=g)))

    def _drawn(
        self, concepts: Tensor, which: Tensor, g: Generator, difficulty: float, variety: float
    ) -> Tensor:
        n, size = len(concepts), self.size
        below = compose.backgrounds(n, size, g, compose.SEEN, self.clutter)
        tiles = self.tiles[which, concepts]
        mirrored = torch.rand(n, generator=g) < 0.5
        tiles[mirrored] = tiles[mirrored].flip(-1)
        line = which == self.pictures.index("drawing")
        warp = None
        if variety > 0:
            tiles = self._between_styles(tiles, concepts, mirrored, line, g, variety)
            tiles = _posterized(_partly_hidden(tiles, g, 0.3 * variety), g, 0.3 * variety)
            bend = 0.12 * variety * torch.rand(n, generator=g)
            warp = torch.randn(n, 2, 4, 4, generator=g) * bend[:, None, None, None]
        labelled = torch.rand(n, generator=g) < LABELLED_SHARE * difficulty
        shift = (torch.rand(n, 2, generator=g) * 2 - 1) * 0.2
        scale = compose.uniform(n, 0.6, 1.05, g)
        # Room for the label below or above the thing.
        side = torch.where(torch.rand(n, generator=g) < 0.5, 1.0, -1.0)
        shift[labelled, 1] = -0.3 * side[labelled]
        scale[labelled] *= 0.8
        tiles = compose.transform(
            tiles,
            (size, size),
            scale=scale,
            angle=compose.uniform(n, -0.35, 0.35, g),
            shift=shift,
            shear=compose.uniform(n, -0.2, 0.2, g),
            aspect=compose.uniform(n, 0.85, 1.18, g),
            warp=warp,
        )
        tiles = _recolored(tiles, g, turn=0.25 + 0.35 * variety)
        tiles[line] = compose.inked(tiles[line, 3:], below[line])
        scene = compose.over(below, tiles)
        if labelled.any():
            scene[labelled] = self._label(scene[labelled], concepts[labelled], side[labelled], g)
        return scene

    def _between_styles(
        self,
        tiles: Tensor,
        concepts: Tensor,
        mirrored: Tensor,
        line: Tensor,
        g: Generator,
        variety: float,
    ) -> Tensor:
        """Some things half in one artist's style and half in another's."""
        n = len(tiles)
        colored = torch.tensor([r != "drawing" for r in self.pictures]).nonzero()[:, 0]
        other = colored[torch.randint(len(colored), (n,), generator=g)]
        others = self.tiles[other, concepts]
        others[mirrored] = others[mirrored].flip(-1)
        mixed = (torch.rand(n, generator=g) < 0.4 * variety) & ~line
        weight = torch.rand(n, generator=g) * mixed
        return torch.lerp(tiles, others, weight[:, None, None, None])

    def _label(self, scene: Tensor, concepts: Tensor, side: Tensor, g: Generator) -> Tensor:
        """Write the thing's own name on the picture, half of the time on a strip."""
        n, size = len(concepts), self.size
        shift = torch.stack([torch.zeros(n), 0.62 * side], -1)
        scale = compose.uniform(n, 0.6, 0.95, g)
        ink = compose.transform(
            self._words(concepts, g),
            (size, size),
            scale=scale,
            angle=compose.uniform(n, -0.06, 0.06, g),
            shift=shift,
        )
        strip = torch.rand(n, generator=g) < 0.5
        rows = torch.linspace(-1, 1, size)[None, :]
        band = ((rows - shift[:, 1:]).abs() < 0.3) & strip[:, None]
        paper = torch.rand(n, 3, generator=g)[:, :, None, None]
        scene = torch.where(band[:, None, :, None], paper, scene)
        ground = torch.where(strip[:, None, None, None], paper, scene)
        return compose.over(scene, compose.inked(ink, ground, torch.rand(n, 3, generator=g)))

    def _words(self, concepts: Tensor, g: Generator) -> Tensor:
        style = torch.randint(len(self.ink), (len(concepts),), generator=g)
        return self.ink[style, concepts][:, None].float() / 255


def _posterized(tiles: Tensor, g: Generator, share: float) -> Tensor:
    """A few flat shades instead of many, as flat icons have them, for a share of the tiles."""
    n = len(tiles)
    steps = torch.randint(1, 5, (n,), generator=g)[:, None, None, None].float()
    alpha = tiles[:, 3:].clamp(min=1e-3)
    flat = (tiles[:, :3] / alpha * steps).round() / steps * tiles[:, 3:]
    chosen = (torch.rand(n, generator=g) < share)[:, None, None, None]
    return torch.cat([torch.where(chosen, flat, tiles[:, :3]), tiles[:, 3:]], dim=1)


def _partly_hidden(tiles: Tensor, g: Generator, share: float) -> Tensor:
    """Cut a rectangle out of a share of the tiles, so that no single part is relied upon."""
    n, size = len(tiles), tiles.shape[-1]
    axis = torch.linspace(-1, 1, size)
    middle = compose.uniform(2 * n, -0.9, 0.9, g).view(2, n, 1)
    half = compose.uniform(2 * n, 0.15, 0.45, g).view(2, n, 1)
    inside = (axis - middle).abs() < half
    hole = inside[0, :, :, None] & inside[1, :, None, :]
    hole &= (torch.rand(n, generator=g) < share)[:, None, None]
    return tiles * ~hole[:, None]


def _recolored(tiles: Tensor, g: Generator, turn: float) -> Tensor:
    """Turn the hue (radians, spread) and the saturation; premultiplied alpha stays valid."""
    n = len(tiles)
    angle = turn * torch.randn(n, generator=g)
    saturation = compose.uniform(n, 0.2, 1.4, g)
    gain = compose.uniform(n, 0.75, 1.15, g)
    # Rotation about the grey axis (Rodrigues), blended with the projection on it.
    eye, grey = torch.eye(3), torch.full((3, 3), 1 / 3)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    rotation = cos * eye + sin * cross + (1 - cos) * grey
    s = saturation[:, None, None]
    matrix = gain[:, None, None] * (s * rotation + (1 - s) * grey)
    color = torch.einsum("nij,njhw->nihw", matrix, tiles[:, :3])
    alpha = tiles[:, 3:]
    return torch.cat([torch.minimum(color.clamp(min=0), alpha), alpha], dim=1)


def _camera(pixels: Tensor, g: Generator, difficulty: float) -> Tensor:
    """Blur some, add noise to some, and change the exposure a little."""
    n = len(pixels)
    blurred = F.avg_pool2d(F.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    blur = compose.uniform(n, 0, 1, g) * (torch.rand(n, generator=g) < 0.4) * difficulty
    pixels = torch.lerp(pixels, blurred, blur[:, None, None, None])
    noise = 0.06 * torch.rand(n, generator=g) * (torch.rand(n, generator=g) < 0.5) * difficulty
    pixels = pixels + noise[:, None, None, None] * torch.randn(pixels.shape, generator=g)
    exposure = compose.uniform(n, 0.85, 1.15, g)[:, None, None, None]
    return (pixels * exposure).clamp(0, 1)
