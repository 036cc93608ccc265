"""A picture that an objective compares with, or that a run starts from; it travels in recipes."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from lens.pictures import open_picture, resized


@dataclass(frozen=True, eq=False)
class Picture:
    """Eight-bit RGB, (height, width, 3), never changed."""

    pixels: UInt8[np.ndarray, "h w 3"]

    @classmethod
    def of(cls, image: Any) -> Picture:
        """Take anything that shows one picture: a PIL image, a path, an array, a tensor in [0, 1].

        Raises
        ------
        BadImage
            Where it can't be read.
        """
        if isinstance(image, Picture):
            return image
        pixels = np.array(open_picture(image, "The image"))
        pixels.flags.writeable = False
        return cls(pixels)

    @classmethod
    def from_png(cls, text: str) -> Picture:
        """Read what ``png`` wrote."""
        return cls.of(Image.open(io.BytesIO(base64.b64decode(text))))

    def png(self) -> str:
        """The bytes of a PNG in base64, for JSON."""
        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, "PNG")
        return base64.b64encode(buffer.getvalue()).decode()

    def at_size(self, size: tuple[int, int]) -> Float[Tensor, "1 3 h w"]:
        """In [0, 1], scaled and cut to the middle where it has another size."""
        image = Image.fromarray(self.pixels)
        whole = image if (image.height, image.width) == tuple(size) else resized(image, size)
        return torch.from_numpy(np.array(whole)).permute(2, 0, 1)[None].float() / 255

    def __repr__(self) -> str:
        return f"<image of {self.pixels.shape[1]} x {self.pixels.shape[0]}>"
