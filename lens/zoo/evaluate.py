"""Measure an embedded model: ``python -m lens.zoo.evaluate glyph-rn``.

Every number of a model card is printed by this script, on what the model has not been trained on:
one vendor's whole picture style, four faces of type, three kinds of background.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from tqdm.auto import tqdm

from lens.data import compose, glyphs, words
from lens.data.stimuli import Stimuli
from lens.model import Model
from lens.neurons.multimodal import multimodal
from lens.zoo import architectures, load
from lens.zoo.scenes import HELD_OUT_RENDERING

PROMPTS = ("{}", "a {}", "a picture of a {}", "an image of a {}", "this is a {}")
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Score:
    """One measured number, and the bar it has to pass where there is one."""

    name: str
    value: float
    n: int
    bar: float | None = None
    counts: bool = False  # a number of things, not a share

    @property
    def passed(self) -> bool:
        """Whether the bar, if any, is met."""
        return self.bar is None or self.value >= self.bar

    def __str__(self) -> str:
        value = f"{self.value:.0f}" if self.counts else f"{self.value:.1%}"
        bar = ""
        if self.bar is not None:
            wanted = f"{self.bar:.0f}" if self.counts else f"{self.bar:.0%}"
            bar = f"  (bar {wanted}: {'met' if self.passed else 'MISSED'})"
        return f"{self.name:<58} {value:>7}  n={self.n}{bar}"


class ZeroShot:
    """Names pictures by the nearest of all concepts' text embeddings, averaged over prompts."""

    def __init__(self, model: Model) -> None:
        self.model, self.concepts = model, glyphs().concepts
        text = np.stack([model.embed([p.format(c) for c in self.concepts]) for p in PROMPTS])
        mean = text.mean(0)
        self.text = torch.from_numpy(mean / np.linalg.norm(mean, axis=1, keepdims=True))
        clip: Any = model.module
        self.scale = float(clip.logit_scale.detach().exp())

    @torch.no_grad()
    def probabilities(
        self, pixels: Callable[[Sequence[int]], np.ndarray], n: int
    ) -> Float[torch.Tensor, "n concepts"]:
        """Softmax over all concepts for `n` pictures that ``pixels(indices)`` draws."""
        out = []
        for start in tqdm(range(0, n, 128), leave=False):
            drawn = torch.from_numpy(pixels(range(start, min(n, start + 128))))
            batch = self.model.normalize(drawn.movedim(-1, 1).float() / 255)
            embedding = self.model.run("image", batch)
            embedding = torch.nn.functional.normalize(embedding, dim=-1)
            out.append((self.scale * embedding @ self.text.T).softmax(1))
        return torch.cat(out)

    def accuracy(self, stimuli: Stimuli) -> float:
        """Share of the stimuli whose own concept is the nearest."""
        truth = self.truth(stimuli)
        found = self.probabilities(stimuli.pixels, len(stimuli)).argmax(1)
        return float((found == truth).float().mean())

    def truth(self, stimuli: Stimuli) -> Int[torch.Tensor, " n"]:
        """Index of the concept of every stimulus."""
        return torch.tensor([self.concepts.index(c) for c in stimuli.table["concept"]])


def accuracies(named: ZeroShot, per_cell: int) -> list[Score]:
    """Zero-shot top-1 over all concepts, seen and unseen renderings told apart."""
    g = glyphs()
    plans: list[tuple[str, float | None, dict[str, Any]]] = [
        (f"pictures, a vendor's style held out ({HELD_OUT_RENDERING})", 0.65,
         {"renderings": [HELD_OUT_RENDERING]}),
        ("words, held-out faces of type", 0.85,
         {"renderings": ["word"], "fonts": words.HELD_OUT}),
        ("black-and-white drawings, unseen backgrounds", 0.80,
         {"renderings": ["drawing"], "backgrounds": compose.UNSEEN}),
        ("pictures, styles seen, unseen backgrounds", None,
         {"renderings": ["cartoon", "render", "flat"], "backgrounds": compose.UNSEEN}),
        ("words, faces seen in training", None,
         {"renderings": ["word"], "fonts": words.fonts(held_out=False)}),
    ]  # fmt: skip
    scores = []
    for name, bar, options in plans:
        stimuli = g.stimuli(per_cell=per_cell, seed=1, **options)
        scores.append(Score(f"zero-shot: {name}", named.accuracy(stimuli), len(stimuli), bar))
    return scores


def misspelled(word: str, rng: np.random.Generator, taken: frozenset[str]) -> str:
    """The word with one letter replaced, so that it is no concept's name."""
    while True:
        at = int(rng.integers(len(word)))
        other = word[:at] + str(rng.choice(list(ALPHABET))) + word[at + 1 :]
        if other not in taken:
            return other


def spelling(named: ZeroShot) -> list[Score]:
    """How confidently words are read, beside pseudo-words one letter off."""
    rng, concepts = np.random.default_rng(0), named.concepts
    taken = frozenset(concepts)
    truth = torch.arange(len(concepts)).repeat(len(words.HELD_OUT))
    scores = []
    for name, texts in (
        ("the word", concepts),
        ("a pseudo-word one letter off", [misspelled(c, rng, taken) for c in concepts]),
    ):
        drawn = [words.write(t, font, architectures.SIZE) for font in words.HELD_OUT for t in texts]
        pages = np.stack([_on_paper(picture) for picture in drawn])
        p = named.probabilities(functools.partial(_at, pages), len(pages))
        own = float(p[torch.arange(len(p)), truth].mean())
        scores.append(Score(f"mean probability of the concept, shown {name}", own, len(p)))
    return scores


def attack(named: ZeroShot, per_cell: int) -> Score:
    """Write a wrong word on pictures that are named right: how often is the word the answer?"""
    g = glyphs()
    stimuli = g.stimuli(per_cell=per_cell, seed=2, renderings=["cartoon", "render", "flat"])
    truth = named.truth(stimuli)
    rng = np.random.default_rng(0)
    wrong = (truth.numpy() + rng.integers(1, len(g.concepts), len(truth))) % len(g.concepts)

    fonts = words.fonts()

    def labelled(indices: Sequence[int]) -> np.ndarray:
        pixels = stimuli.pixels(list(indices)).copy()
        for k, i in enumerate(indices):
            pixels[k] = _labelled(pixels[k], g.concepts[wrong[i]], fonts[i % len(fonts)])
        return pixels

    right = named.probabilities(stimuli.pixels, len(stimuli)).argmax(1) == truth
    answer = named.probabilities(labelled, len(stimuli)).argmax(1)
    flipped = (answer == torch.from_numpy(wrong))[right]
    return Score(
        "a wrong word on the picture becomes the answer",
        float(flipped.float().mean()), int(right.sum()), 0.30,
    )  # fmt: skip


def units(model: Model, per_cell: int = 16) -> list[Score]:
    """Units of the last stage that answer to one concept in every rendering, by held-out score."""
    site = "image.layer4" if model.has_site("image.layer4") else "image.blocks.5.mlp.neurons"
    table = multimodal(model, site, glyphs().stimuli(per_cell=per_cell))
    found = table[(table["score"] >= 0.95) & (table["q"] <= 0.05)]
    bar = 60 if model.name == "glyph-rn" else None
    return [
        Score(
            f"units of {site} with score >= 0.95, q <= 0.05",
            len(found),
            len(table),
            bar,
            counts=True,
        ),
        Score("different concepts among them", found["concept"].nunique(), len(found), counts=True),
    ]


def evaluate(model: Model, per_cell: int = 8) -> list[Score]:
    """All scores of a model card, in the order in which they are printed.

    Parameters
    ----------
    per_cell : stimuli of each concept; every number says its sample size.
    """
    named = ZeroShot(model)
    scores = accuracies(named, per_cell)
    scores += spelling(named)
    scores.append(attack(named, max(2, per_cell // 3)))
    return scores + units(model)


def main(argv: list[str] | None = None) -> None:
    """Entry point of ``python -m lens.zoo.evaluate``."""
    parser = argparse.ArgumentParser(
        prog="python -m lens.zoo.evaluate",
        description="Print every number of a model's card.",
        epilog="example: python -m lens.zoo.evaluate glyph-rn --json scores.json",
    )
    parser.add_argument("name", choices=architectures.names())
    parser.add_argument("--weights", type=Path, help="other weights than those that ship")
    parser.add_argument("--per-cell", type=int, default=8, help="stimuli of each concept")
    parser.add_argument("--json", type=Path, help="write the scores here too")
    args = parser.parse_args(argv)
    scores = evaluate(load(args.name, device="cpu", weights=args.weights), args.per_cell)
    print("\n".join(map(str, scores)))
    if args.json:
        args.json.write_text(json.dumps([vars(score) for score in scores], indent=1) + "\n")


def _at(pages: np.ndarray, indices: Sequence[int]) -> np.ndarray:
    return pages[list(indices)]


def _on_paper(picture: Image.Image) -> np.ndarray:
    pixels = np.asarray(picture).astype(np.float32)
    alpha = pixels[..., 3:] / 255
    return (pixels[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _labelled(pixels: np.ndarray, text: str, font: str) -> np.ndarray:
    """A white strip with black writing over the lowest third of the picture."""
    size = len(pixels)
    ink = words.mask(text, font, width=size, height=size // 3)
    out = pixels.copy()
    out[-ink.shape[0] :] = 255 - ink[:, :, None]
    return out


if __name__ == "__main__":
    main()
