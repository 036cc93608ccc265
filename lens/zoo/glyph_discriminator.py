"""The embedded discriminator: how much a picture looks like the glyphs the generator learned from.

Trained against the finished generator's pictures and crosses of them, it tells clean things from
smeared and crossed ones. Its score can be mixed into the guidance of a generator.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lens.zoo.architectures import SIZE


class Discriminator(nn.Module):
    """One number a picture of any size, in logits: above 0 for a drawn glyph, below for a made one.

    It judges patches of about 40 pixels and takes the mean (Isola et al., CVPR 2017).
    """

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 72, 96)
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths)
        )
        self.last = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, pixels: Float[Tensor, "images 3 h w"]) -> Float[Tensor, " images"]:
        """Logits."""
        if pixels.shape[-2:] != (SIZE, SIZE):
            pixels = F.interpolate(pixels, (SIZE, SIZE), mode="bilinear", antialias=True)
        x = (2 * pixels - 1).contiguous(memory_format=torch.channels_last)
        for i, conv in enumerate(self.convs):
            x = conv(x) if i == 0 else F.group_norm(conv(x), 8)
            x = F.leaky_relu(x, 0.2)
        return self.last(x).float().mean((1, 2, 3))
