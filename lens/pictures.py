"""One picture, however it comes: opened, checked, and turned into plain RGB."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor

from lens.errors import BadImage, BadInput, TooLarge

__all__ = ["MAX_PIXELS", "open_picture", "resized", "to_rgb"]

#: The largest picture that is decoded; about 270 MB as RGB.
MAX_PIXELS = 89_478_485


def open_picture(item: Any, label: str = "") -> Image.Image:
    """Open anything that shows one picture.

    Parameters
    ----------
    item : PIL image, path, ndarray or Tensor
        Arrays are (height, width), (height, width, channels); tensors (channels, height, width);
        uint8, or floats in [0, 1].
    label : str
        What to call it in a message.

    Returns
    -------
    PIL.Image.Image
        In mode RGB, upright, on white where it was transparent.

    Raises
    ------
    BadImage
        If it cannot be read, and why.
    TooLarge
        If it has more than `MAX_PIXELS`.
    """
    if isinstance(item, Image.Image):
        return _decoded(item, label or _filename(item) or "The picture")
    if isinstance(item, (str, Path)):
        return _opened(Path(item).expanduser())
    if isinstance(item, Tensor):
        array = item.detach().cpu().numpy()
        return from_array(np.moveaxis(array, 0, -1) if array.ndim == 3 else array, label)
    if isinstance(item, np.ndarray):
        return from_array(item, label)
    raise BadInput(
        f"{label or 'An input'} is of type {type(item).__name__}; a picture is a PIL image, "
        f"a path, an array or a tensor."
    )


def from_array(array: np.ndarray, label: str = "") -> Image.Image:
    """Turn an array (height, width) or (height, width, channels) into an RGB picture."""
    who = label or "An array"
    array = np.asarray(array)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4) or 0 in array.shape:
        raise BadImage(
            f"{who} has the shape {array.shape}; a picture is (height, width) or "
            f"(height, width, 3 or 4)."
        )
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif np.issubdtype(array.dtype, np.floating):
        array = _from_floats(array, who)
    elif array.dtype == np.uint16:
        array = (array // 257).astype(np.uint8)
    elif array.dtype != np.uint8:
        low, high = int(array.min()), int(array.max())
        if low < 0 or high > 255:
            raise BadImage(f"{who} has whole numbers from {low} to {high}; 0 to 255 is allowed.")
        array = array.astype(np.uint8)
    return to_rgb(Image.fromarray(np.ascontiguousarray(array)))


def _from_floats(array: np.ndarray, who: str) -> np.ndarray:
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise BadImage(f"{who} has {bad} NaN or infinite values; floats must be in [0, 1].")
    low, high = float(array.min()), float(array.max())
    if low < -1e-6 or high > 1 + 1e-6:
        raise BadImage(
            f"{who} has floats from {low:.4g} to {high:.4g}; they must be in [0, 1] "
            f"(a normalised tensor goes through as it is, an array does not)."
        )
    return np.round(np.clip(array, 0, 1) * 255).astype(np.uint8)


def to_rgb(image: Image.Image) -> Image.Image:
    """Turn a decoded picture of any mode into RGB, on white where it is transparent."""
    if image.mode in ("I;16", "I;16L", "I;16B", "I;16N", "I", "F"):
        return _from_deep(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        return Image.alpha_composite(white, clear).convert("RGB")
    return image.convert("RGB")


def _from_deep(image: Image.Image) -> Image.Image:
    """16-bit greys are scaled to 8; what is already within 0 ... 255 is left as it is."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise BadImage("it has NaN or infinite values")
    sixteen = image.mode.startswith("I;16")
    if image.mode == "F" and values.min() >= 0 and values.max() <= 1:
        values = values * 255
    elif sixteen or values.max() > 255:
        values = values / 257
    if values.min() < 0 or values.max() > 255.5:
        raise BadImage(f"its values run from {values.min():.4g} to {values.max():.4g}")
    return Image.fromarray(np.round(values).clip(0, 255).astype(np.uint8)).convert("RGB")


def resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scale the shorter side to fit, then cut the middle out: (height, width) pixels of RGB."""
    height, width = size
    scale = max(height / image.height, width / image.width)
    bigger = (max(width, round(image.width * scale)), max(height, round(image.height * scale)))
    image = image.resize(bigger, Image.Resampling.BICUBIC)
    left, top = (bigger[0] - width) // 2, (bigger[1] - height) // 2
    return image.crop((left, top, left + width, top + height))


def _opened(path: Path) -> Image.Image:
    if not path.exists():
        raise BadImage(f"There is no file {str(path)!r}.")
    if path.is_dir():
        raise BadImage(f"{str(path)!r} is a folder, not a picture.")
    if path.stat().st_size == 0:
        raise BadImage(f"{str(path)!r} is empty.")
    try:
        with warnings.catch_warnings():
            # Pillow only warns from one size on; `_decoded` refuses it.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return _decoded(image, repr(str(path)))
    except Image.DecompressionBombError as error:
        raise _too_large(repr(str(path)), _declared_size(path)) from error
    except BadInput:
        raise
    except Image.UnidentifiedImageError as error:
        raise BadImage(f"{str(path)!r} is not a picture in any format that is known.") from error
    except OSError as error:
        raise BadImage(f"{str(path)!r} cannot be read: {error}.") from error


def _decoded(image: Image.Image, who: str) -> Image.Image:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise _too_large(who, (width, height))
    if width == 0 or height == 0:
        raise BadImage(f"{who} is {width} x {height} pixels: there is nothing in it.")
    try:
        # A picture that is already plain comes back as it is: no copy, no decoding twice.
        return to_rgb(ImageOps.exif_transpose(image))
    except BadImage as error:
        raise BadImage(f"{who} cannot be shown: {error}.") from error
    except Exception as error:  # a decoder fed with broken data raises whatever it likes
        reason = str(error).strip() or type(error).__name__
        raise BadImage(f"{who} is damaged or cut short ({reason}).") from error


def _too_large(who: str, size: tuple[int, int] | None) -> TooLarge:
    shape = f"{size[0]:,} x {size[1]:,}" if size else "far too many"
    return TooLarge(
        f"{who} has {shape} pixels; at most {MAX_PIXELS:,} in all are decoded: scale it down first."
    )


def _declared_size(path: Path) -> tuple[int, int] | None:
    """Width and height as the file's header tells, nothing being decoded."""
    Image.init()
    with path.open("rb") as file:
        start = file.read(16)
        for factory, accept in Image.OPEN.values():
            if accept is None or accept(start) is not True:
                continue
            try:
                file.seek(0)
                return factory(file, str(path)).size
            except Exception:  # not this format after all
                continue
    return None


def _filename(image: Image.Image) -> str:
    name = getattr(image, "filename", "")
    return repr(str(name)) if name else ""
