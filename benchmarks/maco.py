"""Does MACO hide energy where its plane wraps around? ``python benchmarks/maco.py``

An image made from phases is periodic: its four corners are one place, where all waves begin. Phases
that are alike there, as those drawn from a normal distribution are, add up to a bright spot. The
energy about the image's mean in a small neighbourhood of that place, a fixed share of the image
whatever its size, is printed beside the neighbourhood's share of the area, which is what phases
without any preference have there on average; for

- the start, over many images, with the standard error of the mean: uniform phases, which are ours,
  and normal ones;
- finished images of units of glyph-rn, measured where the optimization lives (before the sigmoid,
  decorrelated), by MACO and by the default parameterization;
- the embedded stimuli, drawn things on varied backgrounds, in the same place.

``--check FOLDER`` measures the spectra that ship once more, the photographs' from the folder that
holds them, and says whether the numbers are the same.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import lens
from lens.data import glyphs
from lens.featurevis.parameterization import Fourier, Maco, spectrum
from lens.featurevis.parameterization.spectrum import corner_area, corner_share

AT_ONCE = 16


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[96, 128, 224])
    parser.add_argument("--images", type=int, default=512, help="at the start")
    parser.add_argument("--units", type=int, default=16, help="of glyph-rn's last stage")
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--check", type=Path, help="the folder with the seven photographs")
    options = parser.parse_args()

    for name in spectrum.SHIPPED:
        provenance(name)
        if options.check:
            checked(name, options.check)
    for name in spectrum.SHIPPED:
        print(f"\nthe start, spectrum {name}, {options.images} images")
        print("| px | corner, of the area | uniform phases | normal phases |\n|---|---|---|---|")
        for side in options.sizes:
            cells = [
                start(Maco(name), side, options.images, kind) for kind in ("uniform", "normal")
            ]
            print(f"| {side} | {corner_area((side, side)):.2%} | {' | '.join(cells)} |", flush=True)
    climbed(options)


def provenance(name: str) -> None:
    about = json.loads((Path(spectrum.__file__).parent / f"{name}.json").read_text("utf-8"))
    print(f"\nspectrum {name}: {about['what']}, measured by\n  {about['command']}")
    for each in about["pictures"]:
        origin = ", ".join(each[key] for key in ("from", "licence") if key in each)
        print(f"  {each['name']}: {each['cuttings']} cuttings{f' ({origin})' if origin else ''}")


def checked(name: str, folder: Path) -> None:
    made, _ = spectrum.of_glyphs() if name == "glyphs" else spectrum.of_folder(folder)
    kept = spectrum.named(name)
    far = (made.flat() - kept.flat()).abs().max() / kept.flat().abs().max()
    print(f"  measured again: {'the same bytes' if made == kept else f'off by {far:.1e}'}")


def start(maco: Maco, side: int, images: int, kind: str) -> str:
    size, shares = (side, side), []
    for first in range(0, images, AT_ONCE):
        own = [
            torch.Generator().manual_seed(first + i) for i in range(min(AT_ONCE, images - first))
        ]
        z = maco.start(size, own)
        if kind == "normal":
            z = torch.stack([torch.randn(z.shape[1:], generator=each) for each in own])
        shares += [corner_share(plane) for plane in maco.planes(z, size)]
    return summed(shares)


def summed(shares: list[float]) -> str:
    error = np.std(shares) / len(shares) ** 0.5
    return f"{np.mean(shares):.2%} +- {error:.2%}"


def climbed(options: argparse.Namespace) -> None:
    site = lens.load("glyph-rn").site("image.layer4")
    units = site.units(range(0, site.n_units, site.n_units // options.units))[: options.units]
    print(f"\nglyph-rn, {len(units)} units, {options.steps} steps, and 512 of the stimuli")
    print("| px | corner, of the area | MACO | Fourier | stimuli |\n|---|---|---|---|---|")
    for side in options.sizes:
        cells = []
        for source in (Maco(), Fourier()):
            made = lens.visualize(
                units, size=side, steps=options.steps, parameterization=source, progress=False
            )
            cells.append(summed(list(of_pixels(made.images))))
        stimuli = glyphs().stimuli(per_cell=2, seed=0, size=side).where(rendering=glyphs().pictures)
        rows = np.linspace(0, len(stimuli) - 1, 512).astype(int)
        cells.append(summed(list(of_pixels(stimuli.pixels(rows)))))
        print(f"| {side} | {corner_area((side, side)):.2%} | {' | '.join(cells)} |", flush=True)


def of_pixels(images: np.ndarray) -> Iterator[float]:
    for image in images:
        pixels: Tensor = torch.from_numpy(image).movedim(-1, 0)[None].float() / 255
        yield corner_share(spectrum.logits(pixels)[0])


if __name__ == "__main__":
    main()
