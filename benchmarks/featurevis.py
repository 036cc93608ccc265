"""Feature visualization beside its peers, and how good its images are; all ratios from one run.

    python benchmarks/featurevis.py                        lens alone
    python benchmarks/featurevis.py --peers DIR            beside lucent and Horama, installed by
        pip install --no-deps --target DIR torch-lucent==0.1.8 kornia==0.4.1 decorator
        pip install --no-deps --target DIR horama==0.3.0 einops
    python benchmarks/featurevis.py --parts all            every unit of glyph-rn's last stage

Parts, which ``--parts`` chooses from:

- **speed**: RN50 of open_clip, full architecture and random weights, at 128 pixels, a quarter of
  the units and steps: units a second, and the values reached beside those of 96 glyphs.
- **peers**: glyph-rn, the same units, size and number of steps: units a second and how good the
  images are (see ``lens.featurevis.judged.quality``); ``--sheet`` saves them side by side.
- **parameterizations**: where images come from, by name, and how good they are.
- **naming**: shown a unit's image, does glyph-vit name the unit's concept? Beside another unit's
  image, and the unit's own best stimulus. glyph-vit was trained to embed pictures as glyph-rn does:
  it is a second model, not an independent one.
- **all**: all 1,024 units; the share of live ones at or above the 95th percentile of the stimuli.

lucent looks behind the last ReLU, as it does for any user; what is compared is the value before it,
under changes that neither of the two has trained with. Its images are also made in one batch, which
its authors offer, where all images share one draw of the transforms. Horama can't download its
spectrum here: it gets that of the stimuli, and crops to suit an image as small as the others'.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageDraw, ImageFont

import lens
from lens.capture.hooks import forward_to
from lens.featurevis import Visualization, naming, parameterization
from lens.featurevis.judged.quality import quality
from lens.featurevis.judged.reference import Reference, reference
from lens.model import Model
from lens.sites import Site

PARTS = ("speed", "peers", "parameterizations", "naming")
SHEET = ("lens", "lucent, one at a time", "lens, MACO", "Horama, MACO")
Pixels = np.ndarray  # (images, h, w, 3) uint8
Maker = Callable[[Site, Sequence[int], int, int], Pixels]


def ours(**settings: object) -> Maker:
    def make(site: Site, units: Sequence[int], size: int, steps: int) -> Pixels:
        return lens.visualize(
            site.units(units), size=size, steps=steps, progress=False, **settings
        ).images

    return make


def lucent(site: Site, units: Sequence[int], size: int, steps: int) -> Pixels:
    """One image at a time, lucent's own way."""
    return np.concatenate([_lucent(site, [unit], size, steps) for unit in units])


def _lucent(site: Site, units: Sequence[int], size: int, steps: int) -> Pixels:
    from lucent.optvis import objectives, param, render, transform

    model = site.model
    tower = site.path.split(".")[0]
    layer = site.path.removeprefix(f"{tower}.").replace(".", "_")
    aims = [objectives.channel(layer, unit, batch=i) for i, unit in enumerate(units)]
    found = render.render_vis(
        model.module.get_submodule(tower),
        sum(aims[1:], aims[0]),
        lambda: param.image(size, batch=len(units)),
        transforms=[*transform.standard_transforms, model.normalize],
        preprocess=False,
        thresholds=(steps,),
        progress=False,
        show_image=False,
        fixed_image_size=size,
    )
    return (found[-1] * 255).round().clip(0, 255).astype(np.uint8)


def horama(site: Site, units: Sequence[int], size: int, steps: int) -> Pixels:
    from horama import maco

    model = site.model
    mean, std = (v[:, None, None] for v in (model.mean, model.std))
    low, high = float((-mean / std).max()), float(((1 - mean) / std).min())
    images = []
    with tempfile.TemporaryDirectory() as folder, inside(folder):
        np.save("spectrum_decorrelated.npy", _spectrum(size))
        for unit in units:
            found, _ = maco(
                lambda seen, unit=unit: forward_to(site, seen, detach=False)[site.name][
                    :, unit
                ].mean(),
                total_steps=steps,
                image_size=size,
                model_input_size=size,
                values_range=(low, high),
                box_size=(0.6, 0.8),
                device="cpu",
            )
            images.append((found.detach() * std + mean).clamp(0, 1))
    return (torch.stack(images).permute(0, 2, 3, 1) * 255).round().byte().numpy()


@contextmanager
def inside(folder: str) -> Iterator[None]:
    """Horama reads its spectrum from the folder that it is run in."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _spectrum(size: int) -> np.ndarray:
    """Mean magnitudes of the stimuli's decorrelated channels, (3, size, size // 2 + 1)."""
    pixels = lens.data.glyphs().stimuli(per_cell=2).pixels(np.arange(0, 5000, 25)) / 255.0
    flat = pixels.reshape(-1, 3) - pixels.reshape(-1, 3).mean(0)
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    white = (flat @ vectors / np.sqrt(values)).reshape(pixels.shape)
    return np.abs(np.fft.rfft2(white[:, :size, :size], axes=(1, 2))).mean(0).transpose(2, 0, 1)


def timed(make: Maker, *asked: Any) -> tuple[Pixels, float]:
    # The peers draw from the global generators.
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make(asked[0], asked[1][:1], asked[2], 1)  # warms up
        torch.manual_seed(0)
        np.random.seed(0)
        start = time.perf_counter()
        made = make(*asked)
        return made, time.perf_counter() - start


def as_visualization(site: Site, units: Sequence[int], images: Pixels) -> Visualization:
    """Give anyone's images the form in which ours are judged."""
    plain = lens.visualize(
        site.units(units), size=images.shape[1:3], steps=1, batch_size=32, progress=False
    )
    return replace(plain, images=images)


def printed(title: str, rows: Sequence[dict[str, object]]) -> None:
    table = pd.DataFrame(rows)
    print(f"\n{title}\n\n| {' | '.join(table.columns)} |\n|{'---|' * len(table.columns)}")
    for row in table.itertuples(index=False):
        cells = [f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row]
        print("| " + " | ".join("" if cell == "nan" else cell for cell in cells) + " |")
    sys.stdout.flush()


def judged(vis: Visualization, known: Reference, draws: int = 2) -> dict[str, object]:
    found = quality(vis, known, draws=draws, progress=False)
    images = found.images
    numbers = {
        "held-out value": float(images["held_out"].mean()),
        "ratio to best": float(images["ratio"].median()),
        ">= 95th": f"{(images['percentile'] >= 95).mean():.1%}",
        "beats best": f"{images['beats_best'].mean():.1%}",
        "own unit first": f"{(images['rank'] == 1).mean():.1%}",
    }
    for name in ("agreement", "transfer"):
        if name in images:
            numbers[name] = float(images[name].median())
    return numbers


def spread(count: int, site: Site) -> list[int]:
    return list(range(0, site.n_units, math.ceil(site.n_units / count)))[:count]


def peers(options: argparse.Namespace) -> dict[str, Maker]:
    makers: dict[str, Maker] = {
        "lens": ours(),
        "lens, float32": ours(precision="fp32"),
        "lens, lucid's start": ours(parameterization=parameterization.Fourier(spread=0.01)),
    }
    if options.peers:
        makers |= {"lucent, one at a time": lucent, "lucent, one batch": _lucent}
    return makers


def compared(
    title: str,
    site: Site,
    count: int,
    size: int,
    steps: int,
    known: Reference,
    makers: dict[str, Maker],
    large: bool = False,
) -> dict[str, Visualization]:
    rows, made = [], {}
    for name, make in makers.items():
        # One image after the other takes the same time each; a few tell it for a large model.
        few = large and name.endswith("one at a time")
        units = spread(count, site)[: 3 if few else None]
        images, seconds = timed(make, site, units, size, steps)
        rows.append({"by": name, "units": len(units), "units a second": len(units) / seconds})
        made[name] = as_visualization(site, units, images)
        rows[-1] |= judged(made[name], known)
    for base in ("lucent, one at a time", "lucent, one batch"):
        rate = next((row["units a second"] for row in rows if row["by"] == base), None)
        for row in rows:
            if rate:
                row[f"times {base}"] = row["units a second"] / rate
    printed(f"{title}: {count} units, {steps} steps, {size} px", rows)
    return made


def side_by_side(made: dict[str, Visualization], path: Path) -> None:
    """The images of each, two by two."""
    sheets = [(name, vis.sheet(columns=8, captions=False)) for name, vis in made.items()]
    width, height = sheets[0][1].width + 16, sheets[0][1].height + 36
    page = Image.new("RGB", (2 * width, math.ceil(len(sheets) / 2) * height), "white")
    pen = ImageDraw.Draw(page)
    for place, (name, sheet) in enumerate(sheets):
        x, y = place % 2 * width, place // 2 * height
        pen.text((x + 8, y + 6), name, fill="black", font=ImageFont.load_default(18))
        page.paste(sheet, (x, y + 32))
    page.save(path)
    print(f"\nsaved {path}")


def sources(names: Sequence[str]) -> dict[str, object]:
    """Parameterizations by name or formula: ``Fourier``, ``Fourier(decay=1.5)``."""
    found = {}
    for name in names:
        called = name.split("(")[0]
        if not hasattr(parameterization, called):
            print(f"\nno parameterization is called {called}: left out")
            continue
        text = name if "(" in name else f"{name}()"
        found[name] = eval(text, {"__builtins__": {}}, {called: getattr(parameterization, called)})
    return found


def named(
    options: argparse.Namespace, site: Site, known: Reference, stimuli: object, other: Model
) -> None:
    table = lens.multimodal(known.values, table=stimuli.table, progress=False)
    best = table.sort_values("score", ascending=False).drop_duplicates("concept")
    best = best.head(2 * options.units)
    units, concepts = best["unit"].tolist(), best["concept"].tolist()
    rows = []
    real = [stimuli[int(known.top(unit, 1)[0])] for unit in units]
    shown: dict[str, object] = {"its best stimulus": real}
    for name, source in sources(options.parameterizations).items():
        shown[f"lens, {name}"] = lens.visualize(
            site.units(units), steps=options.steps, parameterization=source, progress=False
        )
    if options.peers:
        shown["lucent, one batch"] = list(
            timed(_lucent, site, units, site.model.image_size[0], options.steps)[0]
        )
    for name, images in shown.items():
        found = naming(images, concepts, other)
        rows.append(
            {
                "shown": name,
                "top 1": f"{found.top(1):.1%}",
                "top 5": f"{found.top(5):.1%}",
                "another unit's: top 1": f"{found.top(1, 'control_rank'):.1%}",
                "top 5 ": f"{found.top(5, 'control_rank'):.1%}",
            }
        )
    low = best["score"].min()
    printed(
        f"{other.name} names the concept of {len(units)} units (score {low:.2f} or above) "
        f"among {len(lens.data.glyphs().concepts)}",
        rows,
    )


def everything(options: argparse.Namespace, site: Site, known: Reference) -> None:
    stimuli = lens.data.glyphs().stimuli(per_cell=2)
    seen = lens.capture(
        site.model,
        (stimuli.pixels(np.arange(i, i + 64)) for i in range(0, len(stimuli) - 63, 64)),
        [site],
        reduce="max",
        precision="auto",
        progress=False,
    )
    live = seen[site].max(0) > 0
    start = time.perf_counter()
    vis = lens.visualize(site, steps=options.steps)
    seconds = time.perf_counter() - start
    images = quality(vis, known, draws=2).images[live]
    printed(
        f"all {len(vis)} units of {site.name}, {options.steps} steps",
        [
            {
                "seconds": seconds,
                "units a second": len(vis) / seconds,
                "live": int(live.sum()),
                ">= 95th percentile": f"{(images['percentile'] >= 95).mean():.1%}",
                "beats the best stimulus": f"{images['beats_best'].mean():.1%}",
                "own unit first": f"{(images['rank'] == 1).mean():.1%}",
                "agreement": float(images["agreement"].median()),
                "transfer": float(images["transfer"].median()),
            }
        ],
    )
    worst = images.sort_values("percentile").head(8)
    print("\nlowest:", ", ".join(f"{r.unit} at {r.percentile:.1f}" for r in worst.itertuples()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, help="folder with lucent and Horama")
    parser.add_argument("--parts", nargs="+", choices=(*PARTS, "all"), default=PARTS)
    parser.add_argument("--units", type=int, default=32)
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--size", type=int, help="pixels a side; the model's own by default")
    parser.add_argument("--per-cell", type=int, default=2, help="stimuli a concept and rendering")
    parser.add_argument("--sheet", type=Path, help="a PNG of the images side by side")
    parser.add_argument(
        "--parameterizations", nargs="+", default=["Fourier", "Pixel", "Pyramid", "Maco"]
    )
    options = parser.parse_args()
    if options.peers:
        sys.path.append(str(options.peers.resolve()))
    print(f"{os.cpu_count()} CPUs, {torch.get_num_threads()} threads, torch {torch.__version__}")

    if "speed" in options.parts:
        large = lens.load("RN50", pretrained=None, device="cpu")
        count, steps = max(2, options.units // 4), max(2, options.steps // 4)
        site = large.site("image.layer4")
        glyphs = lens.data.glyphs()
        some = glyphs.stimuli(per_cell=2, concepts=glyphs.concepts[:8])
        known = reference(site, some, progress=False)
        compared("RN50, random weights", site, count, 128, steps, known, peers(options), large=True)
    if set(options.parts) <= {"speed"}:
        return
    model, other = lens.load("glyph-rn"), lens.load("glyph-vit")
    site, size = model.site("image.layer4"), options.size or model.image_size[0]
    stimuli = lens.data.glyphs().stimuli(per_cell=options.per_cell)
    known = reference(site, stimuli, other=other, progress=False)
    if "peers" in options.parts:
        makers = peers(options)
        if options.peers:
            # A step of Horama's shows every image several times.
            makers["lens, MACO"] = ours(parameterization=parameterization.Maco())
            makers["Horama, MACO"] = lambda s, u, z, t: horama(s, u, z, max(1, t // 4))
        made = compared("glyph-rn", site, options.units, size, options.steps, known, makers)
        if options.sheet:
            side_by_side({name: made[name] for name in SHEET if name in made}, options.sheet)
    if "parameterizations" in options.parts:
        rows = []
        for name, source in sources(options.parameterizations).items():
            units = spread(2 * options.units, site)
            make = ours(parameterization=source)
            images, seconds = timed(make, site, units, size, options.steps)
            found = judged(as_visualization(site, units, images), known)
            rows.append({"parameterization": name, "units a second": len(units) / seconds} | found)
        printed(f"glyph-rn: {2 * options.units} units, {options.steps} steps, {size} px", rows)
    if "naming" in options.parts:
        named(options, site, known, stimuli, other)
    if "all" in options.parts:
        everything(options, site, known)


if __name__ == "__main__":
    main()
