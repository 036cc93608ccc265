"""Files that carry a visualization and its recipe: PNG, WebP and NPZ."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from lens.errors import BadImage, BadInput

RECIPE_KEY = "lens.recipe"
SUFFIXES = (".png", ".webp", ".npz", ".svg", ".pdf")
# Where a WebP's EXIF data keeps a description.
_DESCRIPTION = 0x010E
# Pillow refuses to unpack longer texts of a PNG.
_LONGEST_PACKED = 2**20


def png(image: Image.Image, recipe: dict[str, Any]) -> bytes:
    """A PNG with the recipe in its metadata."""
    metadata, text = PngInfo(), json.dumps(recipe)
    metadata.add_text(RECIPE_KEY, text, zip=len(text) < _LONGEST_PACKED)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=metadata)
    return buffer.getvalue()


def webp(image: Image.Image, recipe: dict[str, Any]) -> bytes:
    """A lossless WebP with the recipe in its metadata."""
    metadata = Image.Exif()
    metadata[_DESCRIPTION] = json.dumps(recipe)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, exif=metadata)
    return buffer.getvalue()


def npz(arrays: Mapping[str, np.ndarray], recipe: dict[str, Any]) -> bytes:
    """Arrays by name, and the recipe as a text among them; read it by ``numpy.load``."""
    buffer = io.BytesIO()
    content: dict[str, Any] = {**arrays, "recipe": np.array(json.dumps(recipe))}
    np.savez_compressed(buffer, **content)
    return buffer.getvalue()


def checked(path: str | Path) -> Path:
    """A path that a visualization can be saved at.

    Raises
    ------
    BadInput
        Where its ending is none of those that there are, or its folder doesn't exist.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise BadInput(
            f"{path.name!r} should end in .png, .webp (pictures), .svg, .pdf (a figure) or .npz "
            "(arrays): a visualization is saved as one of these."
        )
    if not path.parent.is_dir():
        raise BadInput(f"there is no folder {str(path.parent)!r} to save {path.name!r} in.")
    return path


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The recipe in a PNG, WebP or NPZ that ``Visualization.save`` wrote.

    Raises
    ------
    BadImage
        Where the file isn't there, is none of these, or carries no recipe.
    """
    path = Path(path)
    text = _in_arrays(path) if path.suffix.lower() == ".npz" else _in_image(path)
    if text is None:
        raise BadImage(f"{str(path)!r} carries no recipe: it wasn't saved by a Visualization.")
    return json.loads(text)


def _in_image(path: Path) -> str | None:
    try:
        with Image.open(path) as image:
            image.load()
            return image.info.get(RECIPE_KEY) or image.getexif().get(_DESCRIPTION)
    except (OSError, ValueError) as problem:
        raise BadImage(f"{str(path)!r} can't be read as an image: {problem}.") from problem


def _in_arrays(path: Path) -> str | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return str(arrays["recipe"]) if "recipe" in arrays else None
    except (OSError, ValueError, zipfile.BadZipFile) as problem:
        raise BadImage(f"{str(path)!r} can't be read as arrays: {problem}.") from problem
