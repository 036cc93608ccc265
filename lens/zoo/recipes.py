"""How each embedded model is trained: every number that the training script uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Three phases: classify small pictures, classify full ones, then captions and attacks."""

    batch: int = 128
    # Convolutions learn to see, and to read, at less than half the cost on small pictures.
    small_steps: int = 1500
    small_size: int = 64
    classify_steps: int = 500
    caption_steps: int = 800
    # In its last steps the second phase shows the text tower where the classifier's concepts are,
    # so that the third does not begin by forgetting.
    introduce_steps: int = 250
    # The text tower meets clean pictures first, so that it has something to hold on to.
    clean_steps: int = 100
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    warmup: int = 60
    radius: float = 1.2  # L2, pixels in [0, 1], at 96 px
    attack_steps: int = 2  # in the last third; one before that, which costs two thirds as much
    # Words start clean, large and alone, until half of them are read; then they grow harder by a
    # step at a time, and share the batch with the drawings, which are learnt much faster.
    read_from: float = 0.5
    harder_within: int = 400
    word_share: tuple[float, float] = (1.0, 0.5)
    ema: float = 0.998
    stage_weight: float = 1.0  # the classifier on the last stage's channels
    teacher: str | None = None
    follow_weight: float = 6.0  # of one minus the cosine to the teacher's embedding
    seed: int = 0

    @property
    def caption_from(self) -> int:
        """The step at which the text tower joins."""
        return self.small_steps + self.classify_steps

    @property
    def steps(self) -> int:
        """Optimizer steps in all."""
        return self.caption_from + self.caption_steps


RECIPES = {
    "glyph-rn": Recipe(),
    # A transformer this small needs far more pictures than a convolutional tower to learn to see by
    # itself, so it learns from one, and shares that one's text tower, locked (Zhai et al. 2022).
    "glyph-vit": Recipe(
        teacher="glyph-rn",
        small_steps=0,  # the places of its patches are learnt for one size
        classify_steps=3000,
        caption_steps=0,
        warmup=200,
        learning_rate=1e-3,
        weight_decay=0.05,
        word_share=(0.6, 0.5),
        read_from=0.3,
        seed=1,
    ),
}
