"""A CLIP with random weights, small enough to look at a few hundred stimuli in a second."""

import pytest
import torch

from lens.data import glyphs
from lens.opening import wrap

CONCEPTS = ["dog", "pizza", "guitar", "volcano", "crown", "fish"]
RENDERINGS = ["cartoon", "drawing", "word"]


def tiny_clip(vision):
    from open_clip.model import CLIP

    from lens.zoo.architectures import tokenizer

    text = {"context_length": 32, "vocab_size": 8192, "width": 16, "heads": 2, "layers": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = CLIP(24, {"image_size": 32, **vision}, text).eval()
    return wrap(module, tokenizer=tokenizer(), name="tiny")


@pytest.fixture(scope="session")
def model():
    return tiny_clip({"layers": [1, 1, 1, 1], "width": 8})


@pytest.fixture(scope="session")
def vit():
    return tiny_clip({"layers": 2, "width": 32, "head_width": 16, "patch_size": 8})


@pytest.fixture(scope="session")
def stimuli():
    return glyphs().stimuli(per_cell=4, size=32, concepts=CONCEPTS, renderings=RENDERINGS)
