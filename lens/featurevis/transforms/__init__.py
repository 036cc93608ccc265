"""What an image has to withstand at every step, drawn for every image by itself.

``moves`` of ``jitter``, ``scale`` and ``rotate`` in one resampling (``standard`` is lucid's
recipe); ``crops`` and ``cutouts``, several views of each image; ``blur``, ``noise``, ``colour``,
``cutout``. ``compose`` does any of them one after another: all are immutable values with a
``recipe``.
"""

from lens.featurevis.transforms.composed import Composed, Transform, compose, from_recipe, maco
from lens.featurevis.transforms.crops import Crops, crops
from lens.featurevis.transforms.cutouts import Cutouts, cutouts
from lens.featurevis.transforms.geometry import (
    GREY,
    Move,
    Moves,
    jitter,
    moves,
    rotate,
    scale,
    standard,
)
from lens.featurevis.transforms.pixels import (
    Blur,
    Colour,
    Cutout,
    Noise,
    blur,
    colour,
    cutout,
    noise,
)

__all__ = [
    "GREY",
    "Blur",
    "Colour",
    "Composed",
    "Crops",
    "Cutout",
    "Cutouts",
    "Move",
    "Moves",
    "Noise",
    "Transform",
    "blur",
    "colour",
    "compose",
    "crops",
    "cutout",
    "cutouts",
    "from_recipe",
    "jitter",
    "maco",
    "moves",
    "noise",
    "rotate",
    "scale",
    "standard",
]
