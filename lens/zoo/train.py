"""Train an embedded model: ``python -m lens.zoo.train glyph-rn``.

In-batch contrast alone barely learns at this size and never reads. So the image tower learns
first (words before pictures, small before large), with a linear classifier over the concepts that
all renderings share; then the text tower joins, with one caption of *every* concept at each step,
while the classifier fades out and the pictures become adversarial. Last, the text tower is locked,
pictures become many and varied, and each unit of the last stage learns to vote for few concepts: a
distributed code becomes units that stand for something. A transformer follows a teacher trained
like that. Seeded step by step: a run that is killed goes on from its last checkpoint with
the batches that it would have seen.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from lens.allocator import keep_freed_memory
from lens.data import glyphs
from lens.zoo import architectures
from lens.zoo.attack import pgd_l2
from lens.zoo.captions import Captions
from lens.zoo.recipes import RECIPES, Phase, Recipe
from lens.zoo.scenes import HELD_OUT_RENDERING, Scene, Scenes
from lens.zoo.student import Student
from lens.zoo.teacher import Teacher

CHECKPOINT_EVERY = 100
LOCKED_TEXTS = 16
WEIGHTS = Path(__file__).parent / "weights"


class Run:
    """One training run: the student, its optimizer, the running average, and where it stands."""

    def __init__(self, name: str, recipe: Recipe, folder: Path) -> None:
        torch.manual_seed(recipe.seed)
        self.name, self.recipe, self.folder = name, recipe, folder
        self.glyphs = glyphs()
        self.tags = sorted({t for tags in self.glyphs.tags.values() for t in tags})
        own = [[float(t in self.glyphs.tags[c]) for t in self.tags] for c in self.glyphs.concepts]
        self.has_tag = torch.tensor(own)
        self.student = Student(name, len(self.glyphs.concepts))
        self.student.clip.visual.to(memory_format=torch.channels_last)
        self.average = {k: v.clone() for k, v in self.student.clip.state_dict().items()}
        ballot = [self.student.votes, self.student.voice]
        others = [p for p in self.student.parameters() if not any(p is b for b in ballot)]
        decayed = [p for p in others if p.ndim > 1]
        plain = [p for p in others if p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": recipe.weight_decay},
            {"params": plain, "weight_decay": 0.0},
            {"params": ballot, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
        self.tokenizer = architectures.tokenizer()
        self.teacher = Teacher(recipe.teacher, self) if recipe.teacher else None
        self.locked: tuple[Phase | None, list[Tensor]] = (None, [])
        self.step, self.difficulty, self.reading = 0, 0.0, 0.0
        if self.checkpoint.exists():
            self._resume()

    @property
    def checkpoint(self) -> Path:
        """Where the run is kept."""
        return self.folder / f"{self.name}.pt"

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step,
            "difficulty": self.difficulty,
            "reading": self.reading,
            "seed": self.recipe.seed,
            "student": self.student.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
        }
        partial = self.checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def _resume(self) -> None:
        state = torch.load(self.checkpoint, weights_only=True)
        if state["seed"] != self.recipe.seed:
            raise SystemExit(f"{self.checkpoint} was made with another seed; remove it to restart.")
        self.step, self.difficulty = state["step"], state["difficulty"]
        self.reading = state["reading"]
        self.student.load_state_dict(state["student"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])

    def advance(self, scenes: Scenes) -> dict[str, float]:
        """One optimizer step; returns what there is to report."""
        r, student = self.recipe, self.student
        phase, into = r.at(self.step)
        g = torch.Generator().manual_seed(r.seed * 10_000_019 + self.step)
        share = phase.word_share[self.difficulty > 0]
        scene = scenes.draw(r.batch, g, self.difficulty, share, phase.variety)
        for group in self.optimizer.param_groups:
            group["lr"] = r.rate(self.step)
        # The classifier hands over to the text tower, not all at once.
        handed = min(1.0, max(0, r.text_since(self.step)) / r.handover)
        student.train()
        student.voting = phase.votes
        if phase.votes and not student.votes.any():
            student.elect()
        texts, pixels = None, scene.pixels
        if self.teacher is not None:
            texts = self.teacher.named(self.step)
        elif phase.text == "yes":
            texts = self._texts(g)
        elif phase.text == "locked":
            texts = self._locked_texts(phase)
        if phase.size != architectures.SIZE:
            pixels = F.interpolate(pixels, size=(phase.size, phase.size), mode="area")
        if phase.radius > 0:
            radius = phase.radius * min(1.0, (into + 1) / 300)
            pixels = self._attacked(scene, texts, handed, radius, phase, g)
        embedding, stage = student(pixels)
        loss = r.stage_weight * F.cross_entropy(stage, scene.concepts, label_smoothing=0.05)
        if self.teacher is not None and texts is not None:
            loss = loss + self.teacher.loss(student, embedding, pixels, scene.concepts, texts)
        else:
            if handed < 1 and embedding.numel():
                loss = loss + (1 - handed) * self._classify(embedding, scene)
            if texts is not None:
                loss = loss + self._name(embedding, scene, texts)
                if phase.text == "yes":
                    loss = loss + 0.25 * self._contrast(embedding, scene, g)
            elif phase.text == "introduced":
                loss = loss + self._introduce(g)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        self.optimizer.step()
        self._average()
        right = self._right(embedding, stage, scene, texts)
        self._harder(right["words"])
        self.step += 1
        return {"loss": float(loss.detach()), **right, "difficulty": self.difficulty}

    def _harder(self, words_read: float) -> None:
        """Once half of the easy words are read, make them harder, a little at a time."""
        self.reading += 0.05 * (words_read - self.reading)
        if self.difficulty > 0 or self.reading >= self.recipe.read_from:
            self.difficulty = min(1.0, self.difficulty + 1 / self.recipe.harder_within)

    def _classify(self, embedding: Tensor, scene: Scene) -> Tensor:
        logits = embedding @ F.normalize(self.student.prototypes, dim=-1).T
        return F.cross_entropy(logits * self.student.scale.exp(), scene.concepts)

    def _texts(self, g: torch.Generator) -> Tensor:
        """One caption of every concept, then one of every tag."""
        captions = Captions(self.glyphs.tags, g)
        written = [captions.of(c) for c in self.glyphs.concepts]
        return self.student.texts(written + [captions.of_tag(t) for t in self.tags], self.tokenizer)

    def _locked_texts(self, phase: Phase) -> Tensor:
        """Captions as the text tower has come to put them; a few of each serve a whole phase."""
        if self.locked[0] is not phase:
            g = torch.Generator().manual_seed(self.recipe.seed)
            with torch.no_grad():
                self.locked = phase, [self._texts(g) for _ in range(LOCKED_TEXTS)]
        return self.locked[1][self.step % LOCKED_TEXTS]

    def _introduce(self, g: torch.Generator) -> Tensor:
        """Teach captions, without pictures, which of the classifier's concepts they are about."""
        texts = self._texts(g)[: len(self.glyphs.concepts)]
        classes = F.normalize(self.student.prototypes.detach(), dim=-1)
        logits = self.student.clip.logit_scale.exp() * texts @ classes.T
        return F.cross_entropy(logits, torch.arange(len(texts)))

    def _name(self, embedding: Tensor, scene: Scene, texts: Tensor) -> Tensor:
        """Tell the concept among all of them, and the ideas among all that there are."""
        scale = self.student.clip.logit_scale.exp().clamp(max=100)
        count = len(self.glyphs.concepts)
        every = F.cross_entropy(scale * embedding @ texts[:count].T, scene.concepts)
        # Shared ideas, as a yes or no for each (as SigLIP does): positives count as much as the
        # many negatives together.
        target = self.has_tag[scene.concepts]
        logits = 12 * (embedding @ texts[count:].T) - 4
        ideas = F.binary_cross_entropy_with_logits(logits, target, pos_weight=torch.tensor(8.0))
        return every + 0.3 * ideas

    def _contrast(self, embedding: Tensor, scene: Scene, g: torch.Generator) -> Tensor:
        """CLIP's own loss, with captions in the style of each picture."""
        scale = self.student.clip.logit_scale.exp().clamp(max=100)
        captions = Captions(self.glyphs.tags, g)
        half = torch.arange(0, len(embedding), 2)
        own = [
            captions.of(self.glyphs.concepts[int(scene.concepts[i])], scene.renderings[int(i)])
            for i in half
        ]
        logits = scale * embedding[half] @ self.student.texts(own, self.tokenizer).T
        pairs = torch.arange(len(half))
        return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2

    def _attacked(
        self,
        scene: Scene,
        texts: Tensor | None,
        handed: float,
        radius: float,
        phase: Phase,
        g: torch.Generator,
    ) -> Tensor:
        """Some of the pictures, moved to where the student is most wrong about them."""
        student, count = self.student, len(self.glyphs.concepts)
        classes = F.normalize(student.prototypes, dim=-1).detach() * student.scale.exp().detach()
        if texts is not None:
            named = texts[:count].detach() * student.clip.logit_scale.exp().detach()
            classes = (1 - handed) * classes + handed * named
        n = len(scene.pixels)
        some = torch.arange(n)
        if phase.attacked < 1:
            some = torch.randperm(n, generator=g)[: round(n * phase.attacked)]
        pixels, concepts = scene.pixels.clone(), scene.concepts[some]

        def loss(pixels: Tensor) -> Tensor:
            embedding, _ = student(pixels)
            return F.cross_entropy(embedding @ classes.T, concepts, reduction="sum")

        student.eval()
        student.requires_grad_(False)
        try:
            pixels[some] = pgd_l2(
                loss, pixels[some], radius=radius, steps=phase.attack_steps, generator=g
            )
            return pixels
        finally:
            student.requires_grad_(True)
            student.train()

    def _average(self) -> None:
        # Young averages follow quickly: min(decay, (1 + t) / (10 + t)), as is customary.
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        for key, value in self.student.clip.state_dict().items():
            kept = self.average[key]
            if kept.is_floating_point():
                kept.lerp_(value, 1 - decay)
            else:
                kept.copy_(value)

    def _right(
        self, embedding: Tensor, stage: Tensor, scene: Scene, texts: Tensor | None
    ) -> dict[str, float]:
        """Share of the pictures and of the words whose concept is found."""
        with torch.no_grad():
            if texts is not None:
                logits = embedding @ texts[: len(self.glyphs.concepts)].T
            elif embedding.numel():
                logits = embedding @ F.normalize(self.student.prototypes, dim=-1).T
            else:
                logits = stage
            right = (logits.argmax(1) == scene.concepts).float()
            word = torch.tensor([r == "word" for r in scene.renderings])
        shares = {"pictures": right[~word], "words": right[word]}
        return {name: float(part.mean()) if len(part) else 0.0 for name, part in shares.items()}

    def export(self, path: Path) -> None:
        """Write the averaged weights in half precision as safetensors."""
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors: OrderedDict[str, Tensor] = OrderedDict()
        for key, value in self.average.items():
            if key == "attn_mask":
                continue
            tensors[key] = (value.half() if value.is_floating_point() else value).contiguous()
        save_file(tensors, str(path), metadata={"name": self.name, "steps": str(self.step)})


def train(name: str, recipe: Recipe, folder: Path, out: Path) -> None:
    """Train to the end of the recipe, from the last checkpoint where there is one."""
    run = Run(name, recipe, folder)
    scenes = Scenes(run.glyphs, architectures.SIZE)
    smooth: dict[str, float] = {}
    with tqdm(total=recipe.steps, initial=run.step, desc=name, mininterval=5) as bar:
        while run.step < recipe.steps:
            for key, value in run.advance(scenes).items():
                smooth[key] = 0.97 * smooth.get(key, value) + 0.03 * value
            bar.set_postfix({k: f"{v:.3f}" for k, v in smooth.items()}, refresh=False)
            bar.update()
            if run.step % CHECKPOINT_EVERY == 0:
                run.save()
                tqdm.write(
                    f"{name} {run.step} " + " ".join(f"{k} {v:.3f}" for k, v in smooth.items())
                )
    run.save()
    run.export(out / f"{name}.safetensors")
    print(f"wrote {out / name}.safetensors; pictures in the {HELD_OUT_RENDERING!r} style unseen")


def main(argv: list[str] | None = None) -> None:
    """Entry point of ``python -m lens.zoo.train``."""
    parser = argparse.ArgumentParser(
        prog="python -m lens.zoo.train",
        description="Train an embedded model; goes on from its checkpoint where there is one.",
        epilog="example: python -m lens.zoo.train glyph-rn --runs runs",
    )
    parser.add_argument("name", choices=architectures.names())
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of checkpoints")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder of the final weights")
    parser.add_argument("--threads", type=int, default=None, help="threads (default: all cores)")
    args = parser.parse_args(argv)
    keep_freed_memory()
    if args.threads:
        torch.set_num_threads(args.threads)
    train(args.name, RECIPES[args.name], args.runs, args.out)


if __name__ == "__main__":
    main()
