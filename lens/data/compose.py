"""Put drawn and written things on backgrounds, many at once; all randomness from one generator.

Pixels are float in [0, 1], tiles are RGBA with premultiplied alpha, and every function works on a
batch, so that a training run spends its time in the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional as F

# What a model is trained on, and what is kept to test it on.
SEEN = ("plain", "gradient", "blobs", "shards", "specks", "clutter")
UNSEEN = ("stripes", "checks", "grain")

LUMINANCE = (0.299, 0.587, 0.114)


def premultiplied(tiles: Tensor, size: int) -> Float[Tensor, "batch 4 size size"]:
    """uint8 RGBA tiles (batch, h, w, 4) as float, alpha multiplied in, resized with antialias."""
    x = tiles.movedim(-1, 1).float() / 255
    x = torch.cat([x[:, :3] * x[:, 3:], x[:, 3:]], dim=1)
    return F.interpolate(x, size=(size, size), mode="bilinear", antialias=True)


def uniform(n: int, low: float, high: float, generator: Generator) -> Float[Tensor, " n"]:
    """`n` numbers in [low, high)."""
    return low + (high - low) * torch.rand(n, generator=generator)


def transform(
    tiles: Float[Tensor, "batch channels h w"],
    size: tuple[int, int],
    *,
    scale: Float[Tensor, " batch"],
    angle: Float[Tensor, " batch"],
    shift: Float[Tensor, "batch 2"],
    shear: Float[Tensor, " batch"] | None = None,
    aspect: Float[Tensor, " batch"] | None = None,
    warp: Float[Tensor, "batch 2 k k"] | None = None,
) -> Float[Tensor, "batch channels size size"]:
    """Scale, rotate (radians) and shift (in half frames) tiles within a frame of (h, w) `size`.

    At scale 1 the width of a tile fills the width of the frame. `warp` bends: by how much the
    places of a coarse grid over the frame move, in half tiles, smooth in between.
    """
    n, _, h, w = tiles.shape
    shear = torch.zeros(n) if shear is None else shear
    aspect = torch.ones(n) if aspect is None else aspect
    cos, sin = torch.cos(angle), torch.sin(angle)
    rotation = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], 1)
    shape = torch.zeros(n, 2, 2)
    shape[:, 0, 0], shape[:, 0, 1], shape[:, 1, 1] = scale, scale * shear, scale * aspect
    # grid_sample asks where in the tile each pixel of the frame comes from, both in [-1, 1];
    # in between, lengths are measured in half frame widths so that turning keeps right angles.
    frame = torch.diag(torch.tensor([1.0, size[0] / size[1]]))
    tile = torch.diag(torch.tensor([1.0, w / h]))
    matrix = tile @ torch.linalg.inv(rotation @ shape) @ frame
    theta = torch.cat([matrix, -matrix @ shift[..., None]], -1)
    grid = F.affine_grid(theta, [n, 1, *size], align_corners=False)
    if warp is not None:
        bent = F.interpolate(warp, size=size, mode="bicubic", align_corners=True)
        grid = grid + bent.movedim(1, -1)
    return F.grid_sample(tiles, grid, align_corners=False, padding_mode="zeros")


def over(
    below: Float[Tensor, "batch 3 h w"], above: Float[Tensor, "batch 4 h w"]
) -> Float[Tensor, "batch 3 h w"]:
    """Porter-Duff *over* for premultiplied tiles."""
    return below * (1 - above[:, 3:]) + above[:, :3]


def luminance(pixels: Float[Tensor, "batch 3 h w"]) -> Float[Tensor, " batch"]:
    """Mean luma (ITU-R BT.601) of every picture."""
    return (pixels.mean((2, 3)) * torch.tensor(LUMINANCE)).sum(1)


def inked(
    ink: Float[Tensor, "batch 1 h w"],
    below: Float[Tensor, "batch 3 h w"],
    color: Float[Tensor, "batch 3"] | None = None,
    contrast: float = 0.4,
) -> Float[Tensor, "batch 4 h w"]:
    """Coverage as premultiplied RGBA in a colour that can be told from what lies below.

    A colour whose luminance is nearer than `contrast` to the background's gives way to black or
    white, whichever is farther; None asks for that choice everywhere.
    """
    ground = luminance(below)
    plain = (ground < 0.5).float()[:, None].expand(-1, 3)
    if color is None:
        color = plain
    else:
        far = ((color * torch.tensor(LUMINANCE)).sum(1) - ground).abs() >= contrast
        color = torch.where(far[:, None], color, plain)
    return torch.cat([color[:, :, None, None] * ink, ink], dim=1)


def backgrounds(
    n: int,
    size: int,
    generator: Generator,
    kinds: Sequence[str] = SEEN,
    tiles: Float[Tensor, "tiles 4 h w"] | None = None,
) -> Float[Tensor, "n 3 size size"]:
    """Random backgrounds of the given kinds; ``clutter`` needs `tiles` to strew about."""
    pick = torch.randint(len(kinds), (n,), generator=generator)
    out = torch.empty(n, 3, size, size)
    for k, kind in enumerate(kinds):
        where = (pick == k).nonzero()[:, 0]
        if not len(where):
            continue
        if kind == "clutter":
            assert tiles is not None, "clutter is made of tiles"
            out[where] = _clutter(len(where), size, generator, tiles)
        else:
            out[where] = _PATTERNS[kind](len(where), size, generator)
    return out


def _colors(n: int, generator: Generator) -> Tensor:
    """Random colours; one in three near white, as pages are."""
    colors = torch.rand(n, 3, generator=generator)
    page = torch.rand(n, generator=generator) < 1 / 3
    return torch.where(page[:, None], 1 - 0.12 * colors, colors)


def _mix(weight: Tensor, n: int, generator: Generator) -> Tensor:
    """Blend two colours by a weight map (n, 1, h, w)."""
    a, b = (_colors(n, generator)[:, :, None, None] for _ in range(2))
    return a * (1 - weight) + b * weight


def _plain(n: int, size: int, generator: Generator) -> Tensor:
    return _colors(n, generator)[:, :, None, None].expand(-1, -1, size, size)


def _phase(n: int, size: int, generator: Generator) -> Tensor:
    """A coordinate in [-1, 1] along a random direction, as (n, 1, size, size)."""
    axis = torch.linspace(-1, 1, size)
    angle = uniform(n, 0, 2 * math.pi, generator)[:, None, None, None]
    return (torch.cos(angle) * axis + torch.sin(angle) * axis[:, None]) / math.sqrt(2)


def _gradient(n: int, size: int, generator: Generator) -> Tensor:
    return _mix((_phase(n, size, generator) + 1) / 2, n, generator)


def _blobs(n: int, size: int, generator: Generator) -> Tensor:
    noise = torch.rand(n, 1, 5, 5, generator=generator)
    smooth = F.interpolate(noise, size=(size, size), mode="bicubic").clamp(0, 1)
    return _mix(smooth, n, generator)


def _shards(n: int, size: int, generator: Generator) -> Tensor:
    """Flat cells with sharp borders: each pixel has the colour of the nearest of 12 points."""
    axis = torch.linspace(0, 1, size)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).reshape(1, -1, 2)
    nearest = torch.cdist(grid, torch.rand(n, 12, 2, generator=generator)).argmin(-1)
    shades = torch.rand(n, 12, generator=generator).gather(1, nearest)
    return _mix(shades.reshape(n, 1, size, size), n, generator)


def _specks(n: int, size: int, generator: Generator) -> Tensor:
    """Small squares scattered at random, coarse or fine."""
    cells = int(torch.randint(12, 33, (), generator=generator))
    noise = (torch.rand(n, 1, cells, cells, generator=generator) < 0.2).float()
    return _mix(F.interpolate(noise, size=(size, size)), n, generator)


def _stripes(n: int, size: int, generator: Generator) -> Tensor:
    waves = uniform(n, 3, 9, generator)[:, None, None, None]
    return _mix((torch.sin(waves * math.pi * _phase(n, size, generator)) > 0).float(), n, generator)


def _checks(n: int, size: int, generator: Generator) -> Tensor:
    squares = uniform(n, 3, 8, generator)[:, None, None]
    axis = torch.arange(size) / size
    cell = (squares * axis).floor() + (squares * axis[:, None]).floor()
    return _mix((cell % 2)[:, None], n, generator)


def _grain(n: int, size: int, generator: Generator) -> Tensor:
    """Fractal noise: octaves of halving strength."""
    total = torch.zeros(n, 1, size, size)
    for octave in range(5):
        noise = torch.rand(n, 1, 3 * 2**octave, 3 * 2**octave, generator=generator) - 0.5
        total += F.interpolate(noise, size=(size, size), mode="bilinear") / 2**octave
    return _mix((0.5 + total).clamp(0, 1), n, generator)


def _clutter(n: int, size: int, generator: Generator, tiles: Tensor) -> Tensor:
    """Large, pale, cropped things on a plain ground, as behind the writing on a package."""
    scene = _plain(n, size, generator)
    for _ in range(2):
        chosen = tiles[torch.randint(len(tiles), (n,), generator=generator)]
        strewn = transform(
            chosen,
            (size, size),
            scale=uniform(n, 0.8, 2.0, generator),
            angle=uniform(n, -0.6, 0.6, generator),
            shift=torch.rand(n, 2, generator=generator) * 1.6 - 0.8,
        )
        scene = over(scene, strewn * uniform(n, 0.3, 0.9, generator)[:, None, None, None])
    return scene


_PATTERNS = {
    "plain": _plain,
    "gradient": _gradient,
    "blobs": _blobs,
    "shards": _shards,
    "specks": _specks,
    "stripes": _stripes,
    "checks": _checks,
    "grain": _grain,
}
