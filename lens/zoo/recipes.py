"""How each embedded model is trained: every number that the training script uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Two phases: first the image tower with classifiers, then with captions and attacks."""

    batch: int = 128
    classify_steps: int = 1500
    caption_steps: int = 1600
    # In its last steps the first phase shows the text tower where the classifier's concepts are,
    # so that the second phase does not begin by forgetting.
    introduce_steps: int = 300
    # The text tower meets clean pictures first, so that it has something to hold on to.
    clean_steps: int = 150
    learning_rate: float = 2.5e-3
    weight_decay: float = 0.02
    warmup: int = 60
    radius: float = 1.2  # L2, pixels in [0, 1], at 96 px
    attack_steps: int = 2  # in the last third; one before that, which costs two thirds as much
    # Words start clean and large, and are three pictures in four, until half of them are read;
    # then they grow harder by a step at a time, and share the batch with the drawings.
    read_from: float = 0.5
    harder_within: int = 400
    word_share: tuple[float, float] = (0.75, 0.5)
    ema: float = 0.998
    stage_weight: float = 1.0  # the classifier on the last stage's channels
    seed: int = 0

    @property
    def steps(self) -> int:
        """Optimizer steps in all."""
        return self.classify_steps + self.caption_steps


RECIPES = {
    "glyph-rn": Recipe(),
    "glyph-vit": Recipe(
        classify_steps=2600,
        caption_steps=1000,
        warmup=300,
        radius=0.6,
        attack_steps=1,
        learning_rate=1e-3,
        weight_decay=0.05,
        seed=1,
    ),
}
