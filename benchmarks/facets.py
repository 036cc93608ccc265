"""Does the word facet of a multimodal unit look like writing, and its picture facet not?

    python benchmarks/facets.py --units 12

Units of glyph-rn that `lens.multimodal` finds (q <= 0.05) are shown in every facet. None of the
judges has guided: probes of both embedded models, trained on other concepts, faces of type and
backgrounds than the guiding one, and glyph-vit's zero-shot answer - "the word dog" against "a
cartoon of a dog" and "a drawing of a dog", each facet with all its captions. How well each judge
does on real stimuli is printed first. The images come from noise of another seed than the probes.
Takes about three minutes on two cores.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
import torch

import lens
from lens.data import compose, words
from lens.featurevis import facets
from lens.featurevis.faceted import probes
from lens.featurevis.faceted.run import looks_like
from lens.featurevis.objectives.facets import UNGUIDED
from lens.zoo.captions import STYLES

FACETS = {"picture": ("cartoon", "render", "flat"), "drawing": ("drawing",), "word": ("word",)}
NAMES = tuple(FACETS)


def sets(concepts: list[str], seed: int, faces: tuple[str, ...], below: tuple[str, ...]):
    glyphs = lens.data.glyphs()
    options = {"fonts": faces, "backgrounds": below, "seed": seed, "concepts": concepts}
    return glyphs.stimuli(per_cell=4, renderings=[m for f in FACETS.values() for m in f], **options)


def captions(model, concepts: list[str]) -> np.ndarray:
    """(concepts, facets, dim): the mean of each facet's captions."""
    means = []
    for renderings in FACETS.values():
        templates = [t for rendering in renderings for t in STYLES[rendering]]
        each = np.stack([model.embed([t.format(c=c) for c in concepts]) for t in templates]).mean(0)
        means.append(each / np.linalg.norm(each, axis=1, keepdims=True))
    return np.stack(means, 1)


def zero_shot(model, images: np.ndarray, concepts: list[str]) -> np.ndarray:
    """(images, facets): which caption of its concept an image is given."""
    known = sorted(set(concepts))
    text = captions(model, known)[[known.index(c) for c in concepts]]
    scale = float(model.module.logit_scale.detach().exp())
    logits = torch.from_numpy(np.einsum("nd,nfd->nf", model.embed(list(images)), text) * scale)
    return logits.softmax(1).numpy()


def named(model, images: np.ndarray, concepts: list[str], top: int) -> np.ndarray:
    """Whether the concept is among the nearest names."""
    every = lens.data.glyphs().concepts
    nearest = np.argsort(-model.embed(list(images)) @ model.embed(every).T, axis=1)[:, :top]
    return np.array([every.index(c) in row for c, row in zip(concepts, nearest, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--units", type=int, default=12)
    parser.add_argument("--concepts", type=int, default=60, help="concepts to find units among")
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--strength", type=float, nargs="+", default=[0.3, 1.0])
    parser.add_argument("--sheet", help="write the sheet here, a .png")
    options = parser.parse_args()
    start = time.perf_counter()
    model, other = lens.load("glyph-rn"), lens.load("glyph-vit")
    glyphs = lens.data.glyphs()
    drawn = [c for c in glyphs.concepts if c not in glyphs.writing]
    mixed = np.random.default_rng(0).permutation(drawn).tolist()
    chosen, rest = mixed[: options.concepts], mixed[options.concepts :]

    table = lens.multimodal(
        model, "image.layer4", glyphs.stimuli(per_cell=12, concepts=chosen), progress=False
    )
    found = table[table["q"] <= 0.05]
    rows = found.drop_duplicates("concept").head(options.units)
    units = model.site("image.layer4").units(rows["unit"].tolist())
    print(
        f"{len(found)} of {len(table)} units are multimodal (q <= 0.05, {len(chosen)} concepts); "
        f"{len(units)} of them, the best of a concept each, are shown."
    )

    early = model.site("image.layer2"), other.site("image.blocks.2")
    half = len(rest) // 2
    guiding = sets(rest[:half], 0, words.fonts(held_out=False), compose.SEEN)
    judging = sets(rest[half:], 1, words.HELD_OUT, compose.UNSEEN)
    guide = probes.train(early[0], guiding, FACETS)
    judges = [probes.train(site, judging, FACETS, seed=1) for site in early]
    print("guide:", guide)
    for judge in judges:
        print("judge:", judge)
    real = sets(chosen, 2, words.HELD_OUT, compose.UNSEEN)
    shown = np.random.default_rng(2).permutation(len(real))[:600]
    truth = [next(f for f in FACETS if r in FACETS[f]) for r in real.table["rendering"].iloc[shown]]
    said = zero_shot(other, real.pixels(shown), real.table["concept"].iloc[shown].tolist())
    right = said.argmax(1) == np.array([NAMES.index(f) for f in truth])
    shares = ", ".join(f"{f} {right[np.array(truth) == f].mean():.0%}" for f in FACETS)
    print(f"judge: captions of glyph-vit on {len(shown)} real stimuli: {shares} (chance 33%)\n")

    made = facets(
        units,
        probes=[guide],
        strengths=options.strength,
        steps=options.steps,
        seed=1,
        progress=False,
    )
    result = made.table
    concept = dict(zip(rows["unit"].astype(str), rows["concept"], strict=True))
    concepts = [concept[unit] for unit in result["unit"]]
    images = made.visualization.images
    looks = [looks_like(images, [judge])[:, NAMES.index("word")] for judge in judges]
    result["probe"], result["other probe"] = looks
    result["captions"] = zero_shot(other, images, concepts)[:, NAMES.index("word")]
    result["own name"], result["other name"] = (
        named(m, images, concepts, 5) for m in (model, other)
    )
    columns = {
        "share": "activation / unguided",
        "probe": "glyph-rn probe: word",
        "other probe": "glyph-vit probe: word",
        "captions": "glyph-vit captions: word",
        "own name": "named by glyph-rn, top 5",
        "other name": "named by glyph-vit, top 5",
    }
    print("| facet | strength | n | " + " | ".join(columns.values()) + " |")
    print("|---|---|---|" + "---|" * len(columns))
    for (facet, strength), part in result.groupby(["facet", "strength"], sort=False):
        # An image is writing for a judge that gives the word more than half.
        values = [
            part["share"].median()
            if name == "share"
            else float((part[name] > 0.5).mean() if part[name].dtype != bool else part[name].mean())
            for name in columns
        ]
        said = " | ".join(f"{value:.0%}" for value in values)
        print(f"| {facet} | {strength:g} | {len(part)} | {said} |")
    print(f"| chance | | | - | 33% | 33% | 33% | {5 / 426:.1%} | {5 / 426:.1%} |\n")
    summary(result)
    if options.sheet:
        made.save(options.sheet)
    print(f"{time.perf_counter() - start:.0f} s")


def summary(result: pd.DataFrame) -> None:
    """Mean probability of writing, beside the same units' other images."""
    for strength in sorted(set(result["strength"]) - {0.0}):
        shown = result[result["strength"].isin([0.0, strength])]
        for judge in ("probe", "other probe", "captions"):
            mean = shown.groupby("facet")[judge].mean()
            print(
                f"strength {strength:g}, {judge}: p(word) {mean['word']:.2f} in the word facet, "
                f"{mean['word'] / max(mean[UNGUIDED], 1e-3):.1f} times the unguided image's "
                f"{mean[UNGUIDED]:.2f}, {mean['word'] * 3:.1f} times chance; "
                f"{mean['picture']:.2f} in the picture facet"
            )


if __name__ == "__main__":
    main()
