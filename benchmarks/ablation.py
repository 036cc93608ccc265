"""Do the units that answer to a concept matter for it? ``python benchmarks/ablation.py``.

For some concepts: mean-ablate the units that tell the concept best in their weakest rendering, and
look at the zero-shot accuracy of the concept itself and of the other ones; beside it, as many
random units.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

import lens
from lens import edit
from lens.data import glyphs
from lens.data.stimuli import Stimuli
from lens.neurons import statistics
from lens.neurons.responses import Responses, responses
from lens.zoo.evaluate import ZeroShot


def main() -> None:
    """Print one line for each number of units: what the concept loses, and what the others do."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--concepts", type=int, default=16, help="how many are tried")
    parser.add_argument("--per-cell", type=int, default=4, help="stimuli a concept and rendering")
    parser.add_argument(
        "--units", type=int, nargs="+", default=[4, 16, 64], help="how many ablated"
    )
    args = parser.parse_args()

    model = lens.load()
    site = model.site("image.layer4").pre_activation
    rng = np.random.default_rng(0)
    everything = [c for c in glyphs().concepts if c not in glyphs().writing]
    concepts = [str(c) for c in rng.choice(everything, args.concepts, replace=False)]
    measured = responses(site, glyphs().stimuli(8))
    # Other draws than those that the units were chosen on.
    shown = glyphs().stimuli(args.per_cell, seed=7, concepts=concepts)
    typical = some_pictures(model)
    named = ZeroShot(model)
    truth = named.truth(shown)
    plain = right(named, shown, truth)
    print(f"{model.name} {site.name}: {len(concepts)} random concepts, {len(shown)} stimuli,")
    print(
        f"zero-shot accuracy over {len(named.concepts)} concepts {plain.mean():.1%}; mean-ablated:"
    )
    heads = ("the concept loses", "others lose", "random units: concept")
    print(f"{'units':>6}  {heads[0]:>18}  {heads[1]:>12}  {heads[2]:>22}")
    for count in args.units:
        lost = []
        for concept in concepts:
            own = (truth == named.concepts.index(concept)).numpy()
            best = ranking(measured, concept)[:count]
            control = rng.choice(site.n_units, count, replace=False)
            after, random = (
                ablated(named, shown, truth, edit.mean(site.units(units), typical))
                for units in (best, control)
            )
            spared = plain[~own].mean() - after[~own].mean()
            lost.append((plain[own].mean() - after[own].mean(), spared,
                         plain[own].mean() - random[own].mean()))  # fmt: skip
        own_, other, control_ = np.mean(lost, axis=0)
        print(f"{count:>6}  {own_:>18.1%}  {other:>12.1%}  {control_:>22.1%}", flush=True)


def ranking(measured: Responses, concept: str) -> np.ndarray:
    """Units, those first that tell the concept best in their weakest rendering (AUROC)."""
    areas = []
    for rows in measured.table.groupby("rendering").indices.values():
        is_it = (measured.table["concept"].iloc[rows] == concept).to_numpy()[None]
        areas.append(statistics.auroc(measured.values[rows], is_it)[:, 0])
    return np.argsort(-np.min(areas, axis=0), kind="stable")


def some_pictures(model: lens.model.Model) -> list[torch.Tensor]:
    """A hundred pictures of all kinds, for the mean."""
    others = glyphs().stimuli(2, seed=8)
    pixels = others.pixels(range(0, len(others), len(others) // 100))
    ready = model.normalize(torch.from_numpy(pixels).movedim(-1, 1).float() / 255)
    return list(ready)


def ablated(named: ZeroShot, shown: Stimuli, truth: torch.Tensor, change: edit.Edit) -> np.ndarray:
    """Whether each stimulus is named right while an edit is active."""
    with change:
        return right(named, shown, truth)


def right(named: ZeroShot, stimuli: Stimuli, truth: torch.Tensor) -> np.ndarray:
    """Whether each stimulus is named right."""
    found = named.probabilities(stimuli.pixels, len(stimuli)).argmax(1)
    return (found == truth).numpy()


if __name__ == "__main__":
    main()
