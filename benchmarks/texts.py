"""How often do the words that excite a multimodal unit name its concept?

    python benchmarks/texts.py --units 20

Units of glyph-rn that `lens.multimodal` finds (q <= 0.05), and as many other units of the same
site as a control, asked for the same concepts. The vocabulary is that of the embedded models'
captions. Then phrases for the multimodal units: does the best one, and one of the best five, hold
the concept, and how much is gained over the best single word? Takes about four minutes.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from PIL import Image

import lens
from lens.featurevis import texts
from lens.featurevis.wording.fluency import caption_words, words_in
from lens.featurevis.wording.scores import joint_direction


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--units", type=int, default=20)
    parser.add_argument("--concepts", type=int, default=60, help="concepts to find units among")
    parser.add_argument("--length", type=int, default=3)
    parser.add_argument("--beam", type=int, default=4)
    parser.add_argument("--proposals", type=int, default=32)
    options = parser.parse_args()
    start = time.perf_counter()
    model, glyphs = lens.load("glyph-rn"), lens.data.glyphs()
    site = model.site("image.layer4")
    drawn = [c for c in glyphs.concepts if c not in glyphs.writing]
    mixed = np.random.default_rng(0).permutation(drawn).tolist()
    stimuli = glyphs.stimuli(per_cell=12, concepts=mixed[: options.concepts])
    table = lens.multimodal(model, site, stimuli, progress=False)
    found = table[table["q"] <= 0.05]
    rows = found.drop_duplicates("concept").head(options.units)
    rng = np.random.default_rng(1)
    others = rng.permutation(sorted(set(range(site.n_units)) - set(found["unit"])))[: len(rows)]

    # What the units are linearised at: other stimuli of all concepts, alike for every unit.
    some = glyphs.stimuli(per_cell=2, seed=7)
    shown = np.sort(rng.permutation(len(some))[:384])
    images = [model.preprocess(Image.fromarray(pixels)) for pixels in some.pixels(shown)]
    words = caption_words()
    embedded = model.embed(words)

    def rank(unit: int, concept: str) -> int:
        one_hot = np.eye(1, site.n_units, unit)[0]
        scores = embedded @ joint_direction(site, one_hot, images=images)
        return int((scores > scores[words.index(concept)]).sum()) + 1

    concepts = rows["concept"].tolist()
    own = np.array([rank(u, c) for u, c in zip(rows["unit"], concepts, strict=True)])
    control = np.array([rank(int(u), c) for u, c in zip(others, concepts, strict=True)])
    count = len(words)
    print(
        f"{len(found)} of {len(table)} units are multimodal; {len(rows)} of them, {count} words\n"
    )
    print("| single words | n | concept first | among five | median place |")
    print("|---|---|---|---|---|")
    for name, ranks in (("multimodal units", own), ("control: other units", control)):
        print(
            f"| {name} | {len(ranks)} | {(ranks == 1).mean():.0%} | {(ranks <= 5).mean():.0%} | "
            f"{np.median(ranks):g} |"
        )
    print(f"| chance | | {1 / count:.1%} | {5 / count:.1%} | {(count + 1) / 2:g} |\n")

    first, five, gains, longer = [], [], [], []
    for unit, concept in zip(rows["unit"], concepts, strict=True):
        result = texts(
            site.unit(int(unit)),
            images=images,
            length=options.length,
            beam=options.beam,
            proposals=options.proposals,
        )
        best = [words_in(text) for text in result.table["text"].head(5)]
        first.append(concept in best[0])
        five.append(any(concept in text for text in best))
        gains.append(result.gain)
        longer.append(len(best[0]) > 1)
        print(f"unit {unit} ({concept}): {result.best!r}, gain {result.gain:+.2f} sd")
    print(
        f"\nphrases of up to {options.length} words: the best holds the concept for "
        f"{np.mean(first):.0%}, one of the best five for {np.mean(five):.0%}; the best is longer "
        f"than a word for {np.mean(longer):.0%}; gain over the best single word: median "
        f"{np.median(gains):+.2f} sd, from {min(gains):+.2f} to {max(gains):+.2f}"
    )
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
