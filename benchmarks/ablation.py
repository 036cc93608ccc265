"""Do the units that answer to a concept matter for it? ``python benchmarks/ablation.py``.

For concepts that some units answer to in every rendering: mean-ablate those units, and look at the
zero-shot accuracy of the concept itself and of the other ones; beside it, as many random units.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import lens
from lens import edit
from lens.data import glyphs
from lens.zoo.evaluate import ZeroShot


def main() -> None:
    """Print one line for the ablated units and one for the control."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--concepts", type=int, default=24, help="how many are tried")
    parser.add_argument("--per-cell", type=int, default=4, help="stimuli a concept and rendering")
    parser.add_argument("--units", type=int, default=4, help="units ablated for each concept")
    args = parser.parse_args()

    model = lens.load()
    site = model.site("image.layer4").pre_activation
    table = lens.multimodal(model, site, glyphs().stimuli(12))
    concepts = list(table[table["q"] <= 0.05].drop_duplicates("concept")["concept"])
    concepts = concepts[: args.concepts]
    # Other draws than those that the units were chosen on.
    shown = glyphs().stimuli(args.per_cell, seed=7, concepts=concepts)
    named, others = ZeroShot(model), glyphs().stimuli(2, seed=8)
    pixels = [torch.from_numpy(p).movedim(-1, 0) for p in others.pixels(range(0, len(others), 25))]
    typical = [model.normalize(p[None].float() / 255)[0] for p in pixels]
    truth = named.truth(shown)
    plain = right(named, shown, truth)

    rng = np.random.default_rng(0)
    lost: dict[str, list[tuple[float, float]]] = {"its units": [], "random units": []}
    for concept in concepts:
        own = (truth == named.concepts.index(concept)).numpy()
        ranked = table[table["concept"] == concept]["unit"].head(args.units)
        for kind, units in (
            ("its units", ranked),
            ("random units", rng.choice(site.n_units, len(ranked), replace=False)),
        ):
            with edit.mean(site.units(units), typical):
                after = right(named, shown, truth)
            lost[kind].append((plain[own].mean() - after[own].mean(),
                               plain[~own].mean() - after[~own].mean()))  # fmt: skip

    print(f"{model.name} {site.name}: {len(concepts)} concepts, up to {args.units} units each,")
    print(f"{len(shown)} stimuli, zero-shot accuracy {plain.mean():.1%} before any ablation")
    for kind, pairs in lost.items():
        own, other = np.mean(pairs, axis=0)
        print(f"  {kind:<13} mean-ablated: the concept loses {own:6.1%}, the others {other:6.1%}")


def right(named: ZeroShot, stimuli, truth: torch.Tensor) -> np.ndarray:
    """Whether each stimulus is named right."""
    found = named.probabilities(stimuli.pixels, len(stimuli)).argmax(1)
    return (found == truth).numpy()


if __name__ == "__main__":
    main()
