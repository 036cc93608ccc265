"""How each embedded model is trained: every number that the training script uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Two phases: first the image tower with a classifier, then with captions and attacks."""

    batch: int = 128
    classify_steps: int = 1400
    caption_steps: int = 2200
    # The text tower meets clean pictures first, so that it has something to hold on to.
    clean_steps: int = 200
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    warmup: int = 100
    radius: float = 1.2  # L2, pixels in [0, 1], at 96 px
    attack_steps: int = 2  # in the last third; one before that, which costs two thirds as much
    ease_until: int = 700  # words start clean and large
    ema: float = 0.998
    stage_weight: float = 0.5  # the classifier on the last stage's channels
    seed: int = 0

    @property
    def steps(self) -> int:
        """Optimizer steps in all."""
        return self.classify_steps + self.caption_steps


RECIPES = {
    "glyph-rn": Recipe(),
    "glyph-vit": Recipe(
        classify_steps=2600,
        caption_steps=1200,
        ease_until=1200,
        warmup=300,
        radius=0.6,
        learning_rate=1e-3,
        weight_decay=0.05,
        seed=1,
    ),
}
