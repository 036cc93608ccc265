"""Train the embedded generator and its discriminator: ``python -m lens.zoo.train_generator``.

Every tile - a concept in a rendering - has a code of its own, which begins as the tile's principal
components and is learned together with the decoder (no encoder, no adversary). What a tile should
look like is judged by its pixels and by the first stages of glyph-rn. The discriminator learns
last, from the finished generator's pictures. Seeded step by step: a run that is killed goes on from
its last checkpoint with the batches that it would have seen, to the same bits.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from lens.allocator import keep_freed_memory
from lens.data import Glyphs, compose, glyphs, words
from lens.model import Model
from lens.precision import autocast, takes_bf16
from lens.zoo import WEIGHTS, load
from lens.zoo.architectures import SIZE
from lens.zoo.glyph_discriminator import Discriminator
from lens.zoo.glyph_generator import CODE, CONTENT, SCENE, Generator, Z, on_backdrop
from lens.zoo.scenes import HELD_OUT_RENDERING

CHECKPOINT_SECONDS = 100.0
INK = ("drawing", "word")
FONT = "open-sans-700"


@dataclass(frozen=True)
class Recipe:
    """Every number of the training."""

    steps: int = 2200
    batch: int = 32
    rate: float = 1.5e-3
    code_rate: float = 1e-2
    warmup: int = 50
    noise: float = 0.1  # added to the codes, in their standard deviations
    perceptual: float = 0.12
    ema: float = 0.995
    judge_steps: int = 400
    judge_rate: float = 1e-3
    seed: int = 0


class Tiles:
    """What there is to draw: every concept in every rendering but a vendor's that is held out."""

    def __init__(self, source: Glyphs) -> None:
        self.renderings = [r for r in source.renderings if r != HELD_OUT_RENDERING]
        self.concepts = list(source.concepts)
        drawn = [source.pictures.index(r) for r in self.renderings if r != "word"]
        parts = [compose.premultiplied(torch.from_numpy(source.tiles[row]), SIZE) for row in drawn]
        for part, name in zip(parts, self.renderings, strict=False):
            if name in INK:
                part[:, :3] = 0  # its darkness is its shape; the colour follows the ground
        ink = [words.mask(concept, FONT, SIZE, SIZE // 2) for concept in self.concepts]
        coverage = F.pad(torch.from_numpy(np.stack(ink)), (0, 0, SIZE // 4, SIZE // 4))
        word = torch.zeros(len(self.concepts), 4, SIZE, SIZE)
        word[:, 3] = coverage.float() / 255
        stacked = torch.stack([*parts, word])
        # Eight bits hold them in a quarter of the memory.
        self.pixels: UInt8[Tensor, "renderings concepts 4 size size"] = (
            (stacked * 255).round().to(torch.uint8)
        )
        self.inked = torch.tensor([float(r in INK) for r in self.renderings])

    def __getitem__(self, rows: Int[Tensor, " n"]) -> Float[Tensor, "n 4 size size"]:
        return self.pixels.flatten(0, 1)[rows].float() / 255

    def __len__(self) -> int:
        return self.pixels.shape[0] * self.pixels.shape[1]


class Run:
    """What is trained, its optimizer, and where it stands; kept whole in one file."""

    name: str
    module: nn.Module
    optimizer: torch.optim.Optimizer
    extra: dict[str, Tensor]

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder, self.step = recipe, folder, 0
        self.extra = {}

    @property
    def checkpoint(self) -> Path:
        """Where the run is kept."""
        return self.folder / f"{self.name}.pt"

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step,
            "seed": self.recipe.seed,
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "extra": self.extra,
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one."""
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, weights_only=True)
        if state["seed"] != self.recipe.seed:
            raise SystemExit(f"{self.checkpoint} was made with another seed; remove it to restart.")
        self.step = state["step"]
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.extra = state["extra"]

    def random(self) -> torch.Generator:
        """The random numbers of the step that comes."""
        return torch.Generator().manual_seed(self.recipe.seed * 10_000_019 + self.step)

    def advance(self) -> dict[str, float]:
        """One optimizer step; returns what there is to report."""
        raise NotImplementedError

    def rate(self, steps: int) -> float:
        """Share of the learning rate at this step: a rise, then half a cosine."""
        warm = min(1.0, (self.step + 1) / self.recipe.warmup)
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.step / steps)))


class Drawing(Run):
    """The generator's training."""

    name = "glyph-generator"

    def __init__(self, recipe: Recipe, folder: Path, tiles: Tiles, model: Model) -> None:
        super().__init__(recipe, folder)
        self.tiles, self.model = tiles, model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            self.module: Generator = Generator(len(tiles.concepts), len(tiles.renderings))
        mapping = self.module.mapping
        mapping.inked.copy_(tiles.inked)
        mapping.concept_keys.copy_(keys(model, tiles.concepts))
        with torch.no_grad():
            mapping.codes.copy_(first_codes(tiles).view_as(mapping.codes))
        decoder = list(self.module.synthesis.parameters())
        groups = [
            {"params": decoder, "rate": recipe.rate},
            {"params": [mapping.codes], "rate": recipe.code_rate},
        ]
        self.optimizer = torch.optim.Adam(groups, lr=recipe.rate, betas=(0.9, 0.98))
        self.module.to(memory_format=torch.channels_last)
        self.extra = {k: v.clone() for k, v in self.module.state_dict().items()}
        model.module.eval().requires_grad_(False)
        self.resume()

    def advance(self) -> dict[str, float]:
        """Draw some tiles and compare them."""
        r, g = self.recipe, self.random()
        rows = torch.randint(len(self.tiles), (r.batch,), generator=g)
        wanted = self.tiles[rows]
        codes = self.module.mapping.codes.flatten(0, 1)[rows]
        spread = self.module.mapping.codes.detach().std()
        codes = codes + r.noise * spread * torch.randn(codes.shape, generator=g)
        color = torch.rand(r.batch, 3, 1, 1, generator=g).expand(-1, -1, SIZE, SIZE)
        with autocast("cpu", takes_bf16("cpu")):
            drawn = self.module.synthesis.decoder(codes)
            plain = (drawn - wanted).abs().mean()
            seen = F.l1_loss(compose.over(color, drawn), compose.over(color, wanted))
            # Half of the batch is enough for what costs as much as the drawing itself.
            half = slice(r.batch // 2)
            deep = self._unlike(
                compose.over(color[half], drawn[half]), compose.over(color[half], wanted[half])
            )
        loss = plain + seen + r.perceptual * deep
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * self.rate(r.steps)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step()
        decay = min(r.ema, (1 + self.step) / (10 + self.step))
        for key, value in self.module.state_dict().items():
            self.extra[key].lerp_(value, 1 - decay)
        self.step += 1
        return {"plain": plain.item(), "deep": deep.item()}

    def _unlike(self, drawn: Tensor, wanted: Tensor) -> Tensor:
        """How far apart glyph-rn's first three stages see them, against what is there to see."""
        visual: Any = self.model.module.visual
        with torch.no_grad():
            targets = _stages(visual, self.model.normalize(wanted))
        found = _stages(visual, self.model.normalize(drawn))
        parts = [F.l1_loss(f, t) / t.abs().mean() for f, t in zip(found, targets, strict=True)]
        return torch.stack(parts).mean()

    def finished(self) -> Generator:
        """The averaged generator."""
        final = Generator(len(self.tiles.concepts), len(self.tiles.renderings))
        final.load_state_dict({key: value.half().float() for key, value in self.extra.items()})
        return final.eval().requires_grad_(False)


class Judging(Run):
    """The discriminator's training, against a generator that stays as it is."""

    name = "glyph-discriminator"

    def __init__(self, recipe: Recipe, folder: Path, tiles: Tiles, generator: Generator) -> None:
        super().__init__(recipe, folder)
        self.tiles, self.generator = tiles, generator
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed + 1)
            self.module: Discriminator = Discriminator()
        self.module.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(
            self.module.parameters(), lr=recipe.judge_rate, betas=(0.5, 0.98)
        )
        self.resume()

    def advance(self) -> dict[str, float]:
        """Tell drawn tiles from generated and crossed ones, in scenes drawn alike."""
        r, g = self.recipe, self.random()
        n = r.batch
        rows = torch.randint(len(self.tiles), (n,), generator=g)
        ink = self.tiles.inked[rows // len(self.tiles.concepts)][:, None]
        with torch.no_grad(), autocast("cpu", takes_bf16("cpu")):
            real = on_backdrop(self.tiles[rows], ink, torch.randn(n, SCENE, generator=g))
            w = self.generator.mapping(torch.randn(n, Z, generator=g))
            # Half of them crossed with another, up to the middle: what guidance in w can come to.
            share = 0.5 * torch.rand(n // 2, 1, generator=g)
            w[: n // 2] = torch.lerp(w[: n // 2], w[: n // 2].roll(1, 0), share)
            made = self.generator.synthesis(w)
        pixels = _blurred(torch.cat([real, made.float()]), g)
        target = torch.cat([torch.ones(n), torch.zeros(n)])
        with autocast("cpu", takes_bf16("cpu")):
            logits = self.module(pixels)
        # Soft targets keep the score from running away.
        loss = F.binary_cross_entropy_with_logits(logits, 0.9 * target + 0.05)
        self.optimizer.param_groups[0]["lr"] = r.judge_rate * self.rate(r.judge_steps)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        right = ((logits > 0) == (target > 0.5)).float().mean()
        return {"loss": loss.item(), "right": right.item()}


def keys(model: Model, concepts: list[str]) -> Float[Tensor, "concepts content"]:
    """One direction a concept: its text embedding, whitened, so that neighbours are alike."""
    texts = torch.as_tensor(model.embed(list(concepts))).double()
    scores = _principal(texts, min(CONTENT, len(texts) - 1))
    padded = F.pad(scores, (0, CONTENT - scores.shape[1]))
    return F.normalize(padded, dim=1).float()


def first_codes(tiles: Tiles) -> Float[Tensor, "tiles code"]:
    """Principal components of the tiles at a quarter of their size, half whitened."""
    small = [
        F.avg_pool2d(tiles[rows], 4).flatten(1) for rows in torch.arange(len(tiles)).split(256)
    ]
    scores = _principal(torch.cat(small).double(), min(CODE, len(tiles) - 1), power=0.5)
    return F.pad(scores, (0, CODE - scores.shape[1])).float()


def _principal(x: Float[Tensor, "n dims"], k: int, power: float = 1.0) -> Float[Tensor, "n k"]:
    """Scores on the first ``k`` components over their spread to the power, of mean square 1."""
    x = x - x.mean(0)
    if 2 * len(x) < x.shape[1]:  # the quicker way for a few rows
        _, spread, axes = torch.linalg.svd(x / len(x) ** 0.5, full_matrices=False)
        spread, axes = spread.square()[:k].clamp(min=1e-12), axes.T[:, :k]
    else:
        spread, axes = torch.linalg.eigh(x.T @ x / len(x))
        spread, axes = spread.flip(0)[:k].clamp(min=1e-12), axes.flip(1)[:, :k]
    # An eigenvector's sign is arbitrary: make its largest entry positive.
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    scores = x @ axes / spread ** (power / 2)
    return scores / scores.square().mean().sqrt()


def _stages(visual: Any, pixels: Tensor) -> list[Tensor]:
    one = visual.layer1(visual.stem(pixels.contiguous(memory_format=torch.channels_last)))
    two = visual.layer2(one)
    return [one, two, visual.layer3(two)]


def _blurred(pixels: Tensor, g: torch.Generator) -> Tensor:
    """A little blur and noise on all, so that one missing line of pixels doesn't tell."""
    soft = F.avg_pool2d(F.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    share = 0.5 * torch.rand(len(pixels), 1, 1, 1, generator=g)
    noise = 0.03 * torch.rand(len(pixels), 1, 1, 1, generator=g)
    return torch.lerp(pixels, soft, share) + noise * torch.randn(pixels.shape, generator=g)


def export(state: dict[str, Tensor], path: Path, **metadata: str) -> None:
    """Write weights in half precision as safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.detach().half().contiguous() for key, value in state.items()}
    save_file(tensors, str(path), metadata=metadata)


def finish(run: Run, steps: int) -> None:
    """Train to the last step, with a checkpoint every other minute."""
    smooth: dict[str, float] = {}
    saved = time.monotonic()
    with tqdm(total=steps, initial=run.step, desc=run.name, mininterval=10) as bar:
        while run.step < steps:
            for key, value in run.advance().items():
                smooth[key] = 0.97 * smooth.get(key, value) + 0.03 * value
            bar.set_postfix({k: f"{v:.4f}" for k, v in smooth.items()}, refresh=False)
            bar.update()
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                run.save()
                saved = time.monotonic()
    run.save()


def train(recipe: Recipe, folder: Path, out: Path) -> None:
    """Train the generator, then the discriminator, each from its checkpoint where there is one."""
    tiles = Tiles(glyphs())
    drawing = Drawing(recipe, folder, tiles, load("glyph-rn"))
    finish(drawing, recipe.steps)
    export(drawing.extra, out / f"{drawing.name}.safetensors", steps=str(drawing.step))
    judging = Judging(recipe, folder, tiles, drawing.finished())
    finish(judging, recipe.judge_steps)
    export(judging.module.state_dict(), out / f"{judging.name}.safetensors")


def main(argv: list[str] | None = None) -> None:
    """Entry point of ``python -m lens.zoo.train_generator``."""
    parser = argparse.ArgumentParser(
        prog="python -m lens.zoo.train_generator",
        description="Train the embedded generator; goes on from its checkpoint where there is one.",
        epilog="example: python -m lens.zoo.train_generator --runs runs",
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of checkpoints")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of the final weights")
    parser.add_argument("--steps", type=int, default=Recipe.steps, help="steps of the generator")
    parser.add_argument("--threads", type=int, default=None, help="threads (default: all cores)")
    args = parser.parse_args(argv)
    keep_freed_memory()
    if args.threads:
        torch.set_num_threads(args.threads)
    train(Recipe(steps=args.steps), args.runs, args.out)


if __name__ == "__main__":
    main()
