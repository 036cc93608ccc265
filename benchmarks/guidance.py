"""What guidance by text is worth: how often *another* model names what was asked for.

    python benchmarks/guidance.py

glyph-rn guides, glyph-vit names the images, one of 426 concepts each. Beside guided images stand
draws from the generator that nobody guided (for every text the same number), the best of 64 draws
by the text, and images of the same text made without a generator (Fourier). Both embedded models
learned from the same pictures, so agreement between them is easier here than elsewhere; for the
same reason the controls are what to compare with.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch

from lens import zoo
from lens.allocator import keep_freed_memory
from lens.data import glyphs
from lens.featurevis.guided.guide import guide
from lens.featurevis.guided.ranking import rank
from lens.featurevis.parameterization import Fourier
from lens.featurevis.parameterization.stylegan import stylegan
from lens.model import Model
from lens.zoo.evaluate import ZeroShot

PROMPT = "a picture of a {}"


def ways(model: Model, steps: int, copies: int, cutouts: int) -> dict[str, Callable]:
    generator = zoo.generator()
    options = {"steps": steps, "copies": copies, "cutouts": cutouts, "progress": False}

    def unguided(text: str, seed: int) -> np.ndarray:
        # Ranked as well, but all are kept, so the text has no say.
        return rank(model, generator, text, n=copies, seed=seed).images

    def best(text: str, seed: int) -> np.ndarray:
        return rank(model, generator, text, n=64, seed=seed).images[:copies]

    def guided(source: object, **more: object) -> Callable:
        return lambda text, seed: guide(model, text, source, seed=seed, **options, **more).images

    return {
        "unguided draws": unguided,
        "best of 64 draws": best,
        "guided in z": guided(stylegan(generator, space="z", truncation=1.0)),
        "guided in w": guided(stylegan(generator, space="w", truncation=1.0)),
        "no generator (Fourier)": guided(Fourier()),
        "guided in w, discriminator 0.02": guided(
            stylegan(generator, space="w", truncation=1.0), discriminator=0.02
        ),
    }


def named(judge: ZeroShot, images: np.ndarray, wanted: list[int]) -> tuple[float, float]:
    with torch.no_grad():
        p = judge.probabilities(lambda i: images[list(i)], len(images))
    hit = p.topk(5, 1).indices == torch.tensor(wanted)[:, None]
    return float(hit[:, 0].float().mean()), float(hit.any(1).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--concepts", type=int, default=24)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--cutouts", type=int, default=6)
    parser.add_argument("--sheet", help="write a PNG of the first images of every way")
    options = parser.parse_args()
    keep_freed_memory()
    model = zoo.load("glyph-rn")
    judges = [ZeroShot(zoo.load(name)) for name in ("glyph-vit", "glyph-rn")]
    concepts = glyphs().concepts
    chosen = np.random.default_rng(0).permutation(len(concepts))[: options.concepts]
    rows = []
    print("| images | glyph-vit top-1 | top-5 | glyph-rn top-1 | n | seconds an image |")
    print("|---|---|---|---|---|---|", flush=True)
    for name, make in ways(model, options.steps, options.copies, options.cutouts).items():
        start = time.perf_counter()
        made = [make(PROMPT.format(concepts[c]), int(c)) for c in chosen]
        spent = time.perf_counter() - start
        images = np.concatenate(made)
        wanted = [int(c) for c, part in zip(chosen, made, strict=True) for _ in part]
        (one, five), (own, _) = (named(judge, images, wanted) for judge in judges)
        cost = spent / len(images)
        print(
            f"| {name} | {one:.1%} | {five:.1%} | {own:.1%} | {len(images)} | {cost:.1f} |",
            flush=True,
        )
        rows.append(np.concatenate([part[0] for part in made[:12]], 1))
    if options.sheet:
        from PIL import Image

        Image.fromarray(np.concatenate(rows)).save(options.sheet)


if __name__ == "__main__":
    main()
