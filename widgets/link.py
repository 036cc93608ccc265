"""What units and pictures are called where views tell each other of a choice (`link.js`)."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from lens.neurons.overview import place
from lens.pictures import open_picture

if TYPE_CHECKING:
    from lens.model import Model

__all__ = ["named", "named_for", "place"]

#: Bytes of a picture's name.
SHORT = 8


def named(pixels: UInt8[np.ndarray, "height width 3"]) -> str:
    """Give one name for a picture wherever it comes from: a hash of what a model sees of it."""
    plain = np.ascontiguousarray(pixels, np.uint8)
    return blake2b(repr(plain.shape).encode() + plain.tobytes(), digest_size=SHORT).hexdigest()


def named_for(model: Model | None, picture: Any) -> str:
    """Name a picture as `model` sees it, resized and cropped; as it is where there is no model.

    Two views of one model so know a picture by the same name, were they given a file, an image or
    what the model's preprocessing made of it; and two models whose preprocessing is the same.
    """
    if model is None or "image" not in model.towers:
        return named(np.asarray(open_picture(picture)))
    from lens.attribution.explain import shown

    return named(shown(model, model.picture(picture)[None]))
