"""A small open_clip model with random weights, and a few stimuli."""

from __future__ import annotations

import open_clip
import pytest
import torch

import lens
from lens.data import glyphs
from lens.model import Model


@pytest.fixture(scope="session")
def random_clip() -> open_clip.CLIP:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return open_clip.CLIP(
            embed_dim=32,
            vision_cfg={"layers": [1, 1, 1, 1], "width": 8, "image_size": 64, "patch_size": None},
            text_cfg={
                "context_length": 16,
                "vocab_size": 49408,
                "width": 32,
                "heads": 2,
                "layers": 1,
            },
        ).eval()


@pytest.fixture
def tiny(random_clip) -> Model:
    return lens.wrap(
        random_clip,
        tokenizer=lambda texts: open_clip.tokenize(texts, context_length=16),
        name="tiny-rn",
    )


@pytest.fixture(scope="session")
def few():
    return glyphs().stimuli(per_cell=4, size=64, concepts=glyphs().concepts[:10])
