"""The embedded generator: 128 normal numbers become a picture of a glyph or a word.

It has the shape of a StyleGAN, ``mapping`` from z to w and ``synthesis`` from w to pixels. The
mapping looks up: z is compared with one key a concept and one a rendering, and the codes of what
is nearest are mixed, sharply, so that a draw of z from N(0, I) is a draw of a thing (with the wide
middle ground of an autoencoder's latent space most draws would be of nothing). The synthesis
decodes a code to a tile with its own opacity, and puts it on a backdrop; place, size and colours
are further numbers of w.

References
----------
Bojanowski, Joulin, Lopez-Paz, Szlam, "Optimizing the Latent Space of Generative Networks", ICML
2018 (codes that are learned with the decoder, and no encoder).
Karras, Laine, Aila, "A Style-Based Generator Architecture for Generative Adversarial Networks",
CVPR 2019 (mapping and synthesis, a code that modulates every layer, truncation in w).
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lens.data import compose
from lens.zoo.architectures import SIZE

CONTENT, RENDERING, SCENE = 100, 16, 12
Z = CONTENT + RENDERING + SCENE
CODE = 128
W = CODE + 1 + SCENE

# How sharply the mapping decides. With some 400 keys the nearest leads the second by 0.3 on
# average (normal draws), with five keys by 0.7.
CONTENT_SHARPNESS, RENDERING_SHARPNESS = 20.0, 8.0


class Generator(nn.Module):
    """Pictures of 96 x 96 in [0, 1] from z ~ N(0, I), (images, 128).

    Parameters
    ----------
    concepts
        How many things it draws.
    renderings
        How many renderings of each.
    """

    low: ClassVar[float] = 0.0
    high: ClassVar[float] = 1.0
    z_shape: ClassVar[tuple[int]] = (Z,)

    def __init__(self, concepts: int, renderings: int) -> None:
        super().__init__()
        self.mapping = Mapping(concepts, renderings)
        self.synthesis = Synthesis()

    @property
    def w_avg(self) -> Float[Tensor, " w"]:
        """The mean of w: where truncation leads to."""
        return self.mapping.average()

    def forward(
        self, z: Float[Tensor, "images z"], truncation: float = 1.0
    ) -> Float[Tensor, "images 3 size size"]:
        """Pictures in [0, 1]; ``truncation`` below 1 brings w nearer to its mean."""
        w = self.mapping(z)
        if truncation != 1:
            w = torch.lerp(self.w_avg, w, truncation)
        return self.synthesis(w)


class Mapping(nn.Module):
    """From z to w: which thing in which rendering, and the scene as it is.

    ``concept_keys`` and ``rendering_keys`` are fixed; ``codes`` is learned, (renderings, concepts,
    128). ``inked`` says which renderings are ink, in black or white as the ground asks for.
    """

    concept_keys: Tensor
    rendering_keys: Tensor
    inked: Tensor

    def __init__(self, concepts: int, renderings: int) -> None:
        super().__init__()
        keys = F.normalize(torch.randn(concepts, CONTENT), dim=1)
        self.register_buffer("concept_keys", keys)
        self.register_buffer("rendering_keys", torch.eye(renderings, RENDERING))
        self.register_buffer("inked", torch.zeros(renderings))
        self.codes = nn.Parameter(torch.randn(renderings, concepts, CODE))

    def forward(self, z: Float[Tensor, "images z"]) -> Float[Tensor, "images w"]:
        """Mix the codes of what z is nearest to."""
        content, rendering, scene = z.split([CONTENT, RENDERING, SCENE], 1)
        concepts = (CONTENT_SHARPNESS * _sized(content) @ self.concept_keys.T).softmax(1)
        renderings = (RENDERING_SHARPNESS * _sized(rendering) @ self.rendering_keys.T).softmax(1)
        code = torch.einsum("nc,nr,rcd->nd", concepts, renderings, self.codes)
        return torch.cat([code, renderings @ self.inked[:, None], scene], 1)

    def average(self) -> Float[Tensor, " w"]:
        """The mean of w over z, all things and renderings being equally near."""
        scene = self.codes.new_zeros(SCENE)
        return torch.cat([self.codes.mean((0, 1)), self.inked.mean()[None], scene])


class Synthesis(nn.Module):
    """From w to pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = Decoder()

    def forward(self, w: Float[Tensor, "images w"]) -> Float[Tensor, "images 3 size size"]:
        """Pictures in [0, 1]."""
        code, ink, scene = w.split([CODE, 1, SCENE], 1)
        return on_backdrop(self.decoder(code).float(), ink, scene)


class Decoder(nn.Module):
    """From a code to a tile: RGBA of 96 x 96, alpha multiplied in."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Linear(CODE, 144 * 6 * 6)
        self.blocks = nn.ModuleList(
            [
                Styled(144, 144, 2), Styled(144, 144), Styled(144, 128, 2), Styled(128, 96),
                Styled(96, 64, 2), Styled(64, 48),
            ]
        )  # fmt: skip
        # Every size adds to the picture, coarse to fine (Karras et al. 2020, output skips).
        self.coarse = nn.Conv2d(96, 4, 1)
        self.middle = nn.Conv2d(48, 4, 1)
        self.fine = nn.Conv2d(48, 16, 3, padding=1)

    def forward(self, code: Float[Tensor, "images code"]) -> Float[Tensor, "images 4 size size"]:
        """Tiles with values in [0, 1]."""
        x = F.leaky_relu(self.start(code), 0.2).unflatten(1, (144, 6, 6))
        x = x.contiguous(memory_format=torch.channels_last)
        for block in self.blocks[:4]:
            x = block(x, code)
        small = self.coarse(x)
        for block in self.blocks[4:]:
            x = block(x, code)
        medium = self.middle(x) + F.interpolate(small, scale_factor=2, mode="bilinear")
        large = F.pixel_shuffle(self.fine(x), 2)
        logits = large + F.interpolate(medium, scale_factor=2, mode="bilinear")
        color, alpha = logits.float().sigmoid().split([3, 1], 1)
        return torch.cat([color * alpha, alpha], 1)


class Styled(nn.Module):
    """A convolution, normalized, whose channels the code scales and shifts; may double the size."""

    def __init__(self, n_in: int, n_out: int, larger: int = 1) -> None:
        super().__init__()
        self.larger = larger
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.style = nn.Linear(CODE, 2 * n_out)
        nn.init.kaiming_normal_(self.conv.weight, 0.2)
        nn.init.normal_(self.style.weight, std=0.1 / math.sqrt(CODE))
        nn.init.zeros_(self.style.bias)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """One layer."""
        if self.larger > 1:
            x = F.interpolate(x, scale_factor=self.larger)
        scale, shift = self.style(code)[:, :, None, None].chunk(2, 1)
        x = F.group_norm(self.conv(x), 8)
        return F.leaky_relu(x * (1 + scale) + shift, 0.2)


def on_backdrop(
    tiles: Float[Tensor, "images 4 size size"],
    ink: Float[Tensor, "images 1"],
    scene: Float[Tensor, "images scene"],
) -> Float[Tensor, "images 3 size size"]:
    """Put tiles on backdrops, as twelve normal numbers say; differentiable in everything.

    Six numbers are the colours of the backdrop's top and bottom (alike, mostly), two the place,
    one the size, one the angle, one turns the hue and one is the tile's brightness.
    """
    colors, place, size, angle, hue, gain = scene.split([6, 2, 1, 1, 1, 1], 1)
    top = _uniform(colors[:, :3])
    bottom = _uniform(0.8 * colors[:, :3] + 0.6 * colors[:, 3:])
    down = torch.linspace(0, 1, SIZE, device=tiles.device)[:, None]
    below = torch.lerp(top[:, :, None, None], bottom[:, :, None, None], down)
    below = below.expand(-1, -1, -1, SIZE)
    ground = (0.5 * (top + bottom) * top.new_tensor(compose.LUMINANCE)).sum(1, keepdim=True)
    light = ink * torch.sigmoid(20 * (0.5 - ground))
    tiles = _posed(tiles, 0.12 * place.tanh(), 0.9 + 0.12 * size.tanh(), 0.2 * angle.tanh())
    color, alpha = tiles.split([3, 1], 1)
    color = _turned(color, 0.35 * hue.tanh()) * torch.exp(0.15 * gain.tanh())[:, :, None, None]
    color = color + light[:, :, None, None] * (alpha - color)
    return (below * (1 - alpha) + color).clamp(0, 1)


def _sized(x: Float[Tensor, "images n"]) -> Float[Tensor, "images n"]:
    """As long as a draw from N(0, I) is on average, so that only the direction decides."""
    return F.normalize(x, dim=1) * math.sqrt(x.shape[1])


def _uniform(normal: Tensor) -> Tensor:
    """The normal distribution's cumulative function: uniform in [0, 1] for normal numbers."""
    return 0.5 * (1 + torch.erf(normal / math.sqrt(2)))


def _posed(tiles: Tensor, place: Tensor, size: Tensor, angle: Tensor) -> Tensor:
    """Shift (in half frames), scale and turn (radians)."""
    cos, sin = (angle.cos() / size)[:, 0], (angle.sin() / size)[:, 0]
    turn = torch.stack([torch.stack([cos, sin], 1), torch.stack([-sin, cos], 1)], 1)
    theta = torch.cat([turn, -turn @ place[:, :, None]], 2)
    grid = F.affine_grid(theta, list(tiles.shape), align_corners=False)
    return F.grid_sample(tiles, grid, align_corners=False, padding_mode="zeros")


def _turned(color: Float[Tensor, "images 3 h w"], angle: Tensor) -> Float[Tensor, "images 3 h w"]:
    """Turn the hue about the grey axis (Rodrigues)."""
    eye = torch.eye(3, device=color.device)
    cross = color.new_tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    cos, sin = angle.cos()[:, :, None], angle.sin()[:, :, None]
    matrix = cos * eye + sin * cross + (1 - cos) / 3
    return torch.einsum("nij,njhw->nihw", matrix, color).clamp(min=0)
