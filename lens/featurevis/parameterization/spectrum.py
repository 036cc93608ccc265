"""Mean magnitude spectra of natural images, measured and kept: what MACO holds fixed.

``python -m lens.featurevis.parameterization.spectrum measure FOLDER --name photographs`` measures
the images of a folder (``glyphs`` in its place: the embedded stimuli) and writes the small file
that ships, with its provenance beside it.

The images are measured where the optimization lives: u = M^-1 logit(x), decorrelated and before
the sigmoid, so that sigmoid(M irfft2(R exp(i phi))) has the spectrum of a natural image.
"""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lens.errors import BadImage, BadInput, suggestion
from lens.featurevis.parameterization.colour import decorrelate

SHIPPED = ("photographs", "glyphs")
# Frequencies kept along each axis, from 0 to half a cycle a pixel.
BINS = 65
# Black and white are no finite logits.
_DARKEST = 1 / 32
_COMMAND = "python -m lens.featurevis.parameterization.spectrum measure"
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Spectrum:
    """Mean magnitudes of natural images over frequency, to be had at any size.

    Kept are the magnitudes times the frequency, which hardly change over the plane (photographs
    have a 1/f spectrum), for both axes from 0 to half a cycle a pixel; mirror images are equally
    likely, so that the other quadrant is the same.

    Attributes
    ----------
    packed
        ``BINS`` x ``BINS`` float16 numbers for each of the three decorrelated channels.
    """

    packed: bytes

    @classmethod
    def of(cls, magnitudes: Float[np.ndarray, "3 h half_w"] | Tensor) -> Spectrum:
        """From mean magnitudes as ``torch.fft.rfft2`` lays them out, of decorrelated logits.

        The images' means, at [:, 0, 0], are not looked at.

        Raises
        ------
        BadInput
            Where it isn't three channels of finite magnitudes of a size of at least 8 x 8.
        """
        R = torch.as_tensor(magnitudes, dtype=torch.float64)
        if R.ndim != 3 or len(R) != 3 or R.shape[1] < 8 or R.shape[2] < 5:
            raise BadInput(
                "a spectrum is an array of magnitudes (3, h, w // 2 + 1), at least (3, 8, 5), "
                f"not {tuple(R.shape)}."
            )
        if not (R.isfinite().all() and (R >= 0).all()):
            raise BadInput("the magnitudes of a spectrum are finite and not below zero.")
        height, width = R.shape[1], 2 * (R.shape[2] - 1)
        mirrored = (R + R.roll(-1, 1).flip(1)) / 2
        upper = mirrored[:, : height // 2 + 1] / (height * width) ** 0.5
        fy = torch.arange(upper.shape[1], dtype=torch.float64) / height
        fx = torch.arange(upper.shape[2], dtype=torch.float64) / width
        flat = upper * torch.hypot(fy[:, None], fx[None])
        flat[:, 0, 0] = (flat[:, 0, 1] + flat[:, 1, 0]) / 2  # where 1/f has no value
        if flat.shape[1:] != (BINS, BINS):
            flat = F.interpolate(flat[None], (BINS, BINS), mode="bilinear", align_corners=True)[0]
        return cls(flat.numpy().astype(np.float16).tobytes())

    def flat(self) -> Float[Tensor, "3 bins bins"]:
        """Magnitudes times frequency, (channel, vertical, horizontal frequency)."""
        kept = np.frombuffer(self.packed, np.float16).reshape(3, BINS, BINS)
        return torch.from_numpy(kept.astype(np.float32))

    def at(self, size: tuple[int, int]) -> Float[Tensor, "3 h half_w"]:
        """The magnitudes for images of this size, as ``irfft2`` wants them.

        A larger image is taken to show more, as sharp as before, as a larger cutting of a
        photograph does. Its mean, which no phase can change, is 0: mid-grey.
        """
        height, width = size
        fy, fx = torch.fft.fftfreq(height).abs(), torch.fft.rfftfreq(width)
        places = torch.stack(torch.meshgrid(fy, fx, indexing="ij")[::-1], -1) * 4 - 1
        between = F.grid_sample(self.flat()[None], places[None], align_corners=True)[0]
        frequency = torch.hypot(fy[:, None], fx[None])
        frequency[0, 0] = 1
        R = between / frequency * (height * width) ** 0.5
        R[:, 0, 0] = 0
        return R

    def recipe(self) -> dict[str, Any]:
        """JSON-able description."""
        return {"float16": base64.b64encode(self.packed).decode()}


def named(name: str) -> Spectrum:
    """A spectrum that ships, or one that the command of this module wrote to a file.

    Raises
    ------
    BadInput
        Where there is neither.
    """
    if name in SHIPPED:
        return _read(_HERE / f"{name}.safetensors")
    if not name.endswith(".safetensors") or not Path(name).is_file():
        raise BadInput(
            f"there is no spectrum {name!r}: it is {' or '.join(map(repr, SHIPPED))}, a "
            f".safetensors file or an array.{suggestion(name, SHIPPED)}"
        )
    return _read(Path(name))


def from_recipe(recipe: dict[str, Any]) -> Spectrum:
    """Build a spectrum from what its ``recipe()`` returned."""
    return Spectrum(base64.b64decode(recipe["float16"]))


@cache
def _read(path: Path) -> Spectrum:
    from safetensors.torch import load_file

    try:
        return Spectrum(load_file(path)["flat"].numpy().astype(np.float16).tobytes())
    except Exception as problem:  # safetensors has an exception of its own for a damaged file
        raise BadInput(f"{path.name!r} is no spectrum: {problem}.") from problem


def logits(pixels: Float[Tensor, "images 3 h w"]) -> Float[Tensor, "images 3 h w"]:
    """What the sigmoid and the colour matrix make these pixels of: M^-1 logit(x)."""
    return decorrelate(torch.logit(pixels.double(), eps=_DARKEST))


def measure(pictures: Iterable[Float[Tensor, "images 3 h w"]]) -> Spectrum:
    """Mean magnitude spectrum of batches of square pictures of one even size.

    They fade out towards their edges (Hann's window), without which the leap from each edge to the
    opposite one would count as detail and weave a cloth of lines into every image.

    Raises
    ------
    BadInput
        Where there are no pictures.
    """
    total, count = torch.zeros(()), 0
    for batch in pictures:
        plane = logits(batch)
        fade = torch.hann_window(plane.shape[-1], dtype=plane.dtype)
        window = fade[:, None] * fade
        window = window / window.square().mean().sqrt()  # what has no structure keeps its energy
        plane = (plane - plane.mean((2, 3), keepdim=True)) * window
        total = total + torch.fft.rfft2(plane).abs().sum(0)
        count += len(batch)
    if not count:
        raise BadInput("there are no pictures to measure a spectrum of.")
    return Spectrum.of(total / count)


def cuttings(image: Float[Tensor, "3 h w"], size: int = 128) -> Float[Tensor, "cuttings 3 s s"]:
    """Square cuttings all over an image, half overlapping, at every halving of its resolution.

    From the whole picture down to a detail: what is near and what is far are both there.
    """
    found = []
    while min(image.shape[1:]) >= size:
        tops, lefts = (_spread(extent, size) for extent in image.shape[1:])
        found += [image[:, y : y + size, x : x + size] for y in tops for x in lefts]
        half = (image.shape[1] // 2, image.shape[2] // 2)
        image = F.interpolate(image[None], half, mode="bilinear", antialias=True)[0]
    return torch.stack(found) if found else image.new_zeros(0, 3, size, size)


def _spread(extent: int, size: int) -> list[int]:
    count = -(-(extent - size) // (size // 2)) + 1
    return [round(place) for place in np.linspace(0, extent - size, count)]


def of_folder(folder: Path, size: int = 128) -> tuple[Spectrum, dict[str, int]]:
    """The spectrum of the images of a folder, each counting alike, and its cuttings by name.

    Raises
    ------
    BadImage
        Where a file is no image.
    BadInput
        Where there is no image large enough.
    """
    from PIL import Image

    totals, counts = [], {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in _IMAGES):
        try:
            with Image.open(path) as picture:
                array = np.array(picture.convert("RGB"))
        except OSError as problem:
            raise BadImage(f"{path.name!r} can't be read as an image: {problem}.") from problem
        found = cuttings(torch.from_numpy(array).movedim(-1, 0).float() / 255, size)
        if len(found):
            counts[path.name] = len(found)
            totals.append(measure([found]))
    if not totals:
        raise BadInput(f"there is no image of {size} x {size} or larger in {str(folder)!r}.")
    flat = torch.stack([each.flat() for each in totals]).mean(0)
    return Spectrum(flat.numpy().astype(np.float16).tobytes()), counts


def of_glyphs(size: int = 128, per_cell: int = 2) -> tuple[Spectrum, dict[str, int]]:
    """The spectrum of the embedded stimuli: drawn things on varied backgrounds."""
    from lens.data import glyphs

    stimuli = glyphs().stimuli(per_cell, seed=0, size=size).where(rendering=glyphs().pictures)

    def batches() -> Iterator[Tensor]:
        for start in range(0, len(stimuli), 64):
            rows = list(range(start, min(start + 64, len(stimuli))))
            yield torch.from_numpy(stimuli.pixels(rows)).movedim(-1, 1).float() / 255

    return measure(batches()), {"embedded stimuli": len(stimuli)}


def corner_share(image: Float[Tensor, "3 h w"]) -> float:
    """Share of an image's energy about its mean that lies about the corner where it wraps around.

    To be judged by ``corner_area``, which is the share that phases without a preference have there.
    """
    down, across = _reach(image.shape[1:])
    energy = (image - image.mean((1, 2), keepdim=True)).double().square().sum(0)
    corner = energy.roll((down, across), (0, 1))[: 2 * down + 1, : 2 * across + 1]
    return float(corner.sum() / energy.sum())


def corner_area(size: Sequence[int]) -> float:
    """Share of the area that ``corner_share`` looks at: about 0.5% at any size."""
    (height, width), (down, across) = size, _reach(size)
    return (2 * down + 1) * (2 * across + 1) / (height * width)


def _reach(size: Sequence[int]) -> tuple[int, int]:
    """How far the corner goes each way: 8 of 224 pixels."""
    return size[0] // 28, size[1] // 28


def main(arguments: list[str] | None = None) -> None:
    """The command line: measure a spectrum."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    tasks = parser.add_subparsers(dest="task", required=True)
    one = tasks.add_parser("measure", help="write NAME.safetensors and NAME.json")
    one.add_argument("source", help="a folder of images, or 'glyphs'")
    one.add_argument("--name", required=True, help="of the files, without their endings")
    one.add_argument("--sources", default="", help="JSON file: image name -> origin and licence")
    one.add_argument("--out", default=str(_HERE), help="folder to write to")
    _write(parser.parse_args(arguments))


def _write(args: argparse.Namespace) -> None:
    from safetensors.torch import save_file

    glyphs = args.source == "glyphs"
    spectrum, counts = of_glyphs() if glyphs else of_folder(Path(args.source))
    sources = json.loads(Path(args.sources).read_text("utf-8")) if args.sources else {}
    path = Path(args.out) / f"{args.name}.safetensors"
    save_file({"flat": spectrum.flat().half()}, path)
    about = {
        "what": "mean magnitude spectrum of decorrelated logits, times frequency",
        "bins": BINS,
        "command": f"{_COMMAND} {'glyphs' if glyphs else 'FOLDER'} --name {args.name}",
        "pictures": [
            {"name": name, "cuttings": count, **sources.get(name, {})}
            for name, count in counts.items()
        ],
    }
    path.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} kB from {sum(counts.values())} pictures")


_IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

if __name__ == "__main__":
    main()
