"""How each embedded model is trained: every number that the training script uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """A stretch of training: what is shown, and what is asked.

    Attributes
    ----------
    steps
        Optimizer steps.
    rate
        Learning rate at its first and its last step, straight in between.
    size
        Pixels; below the model's own size only the convolutions and their classifier learn.
    word_share
        Share of written words in a batch, before and after words begin to grow harder.
    text
        Whether the text tower takes part: "no", "introduced" (it is shown, without pictures, where
        the classifier's concepts are), "yes", or "locked" (it stays as it is, and pictures learn to
        lie where it puts their names).
    radius, attack_steps, attacked
        Of the adversarial pictures: L2, pixels in [0, 1], 0 leaves the pictures as they are; steps
        of the attack; share of the batch.
    variety
        Share of the drawn things that are bent, restyled or partly hidden.
    votes
        Whether the last stage's units vote for concepts, instead of a plain linear classifier.
    """

    steps: int
    rate: tuple[float, float]
    size: int = 96
    word_share: tuple[float, float] = (0.5, 0.5)
    text: str = "yes"
    radius: float = 0.0
    attack_steps: int = 1
    attacked: float = 1.0
    variety: float = 0.0
    votes: bool = False


@dataclass(frozen=True)
class Recipe:
    """Phases, one after the other, and what holds in all of them."""

    phases: tuple[Phase, ...]
    batch: int = 128
    weight_decay: float = 0.02
    warmup: int = 60
    # Words start clean, large and alone, until half of them are read; then they grow harder by a
    # step at a time, and share the batch with the drawings, which are learnt much faster.
    read_from: float = 0.5
    harder_within: int = 400
    handover: int = 400  # steps with text after which the embedding's classifier is gone
    ema: float = 0.998
    stage_weight: float = 1.0  # of the classifier on the last stage's channels
    teacher: str | None = None
    follow_weight: float = 6.0  # of one minus the cosine to the teacher's embedding
    hint_weight: float = 4.0  # of the same between the two models' maps
    seed: int = 0

    @property
    def steps(self) -> int:
        """Optimizer steps in all."""
        return sum(phase.steps for phase in self.phases)

    def at(self, step: int) -> tuple[Phase, int]:
        """The phase of a step, and how far into that phase it is."""
        for phase in self.phases:
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        raise ValueError(f"The recipe has {self.steps} steps.")

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        phase, into = self.at(step)
        first, last = phase.rate
        warm = min(1.0, (step + 1) / self.warmup)
        return warm * (first + (last - first) * into / phase.steps)

    def text_since(self, step: int) -> int:
        """How many steps the text tower has taken part; negative before it does."""
        with_text = [phase.text in ("yes", "locked") for phase in self.phases]
        begin = sum(phase.steps for phase in self.phases[: with_text.index(True)])
        return step - begin


RECIPES = {
    "glyph-rn": Recipe(
        phases=(
            # Convolutions learn to see, and to read, at less than half the cost on small pictures.
            Phase(1500, (4e-3, 2.6e-3), size=64, word_share=(1.0, 0.5), text="no"),
            Phase(250, (2.6e-3, 2.2e-3), text="no"),
            Phase(250, (2.2e-3, 1.8e-3), text="introduced"),
            Phase(100, (1.4e-3, 1.3e-3)),
            # Gradients worth looking at, then pictures again, in all that they stand before.
            Phase(430, (1.3e-3, 2e-4), radius=1.2),
            Phase(270, (2e-4, 4e-5), radius=1.2, attack_steps=2),
            Phase(800, (1.2e-3, 1e-5), word_share=(0.3, 0.3), radius=0.5),
            # Far more pictures, more varied, while units learn to stand for concepts.
            Phase(2400, (2e-3, 8e-4), word_share=(0.3, 0.3), text="locked", variety=1, votes=True),
            Phase(
                1500,
                (8e-4, 1e-5),
                word_share=(0.3, 0.3),
                text="locked",
                radius=0.8,
                attacked=0.5,
                variety=1,
                votes=True,
            ),
        )
    ),
    # A transformer this small needs far more pictures than a convolutional tower to learn to see by
    # itself, so it learns from one, and shares that one's text tower, locked (Zhai et al. 2022).
    "glyph-vit": Recipe(
        phases=(
            Phase(4500, (1.5e-3, 1e-3), word_share=(0.5, 0.4), text="locked"),
            Phase(4500, (1e-3, 1e-5), word_share=(0.4, 0.4), text="locked", variety=1),
        ),
        warmup=200,
        weight_decay=0.05,
        read_from=0.6,
        harder_within=3000,
        teacher="glyph-rn",
        seed=1,
    ),
}
