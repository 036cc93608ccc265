"""Small real models with random weights, shared by the tests of this room."""

from collections.abc import Iterator
from contextlib import contextmanager

import open_clip
import pytest
import torch
from torch import nn

from lens.model import Model
from lens.opening import wrap


@contextmanager
def alone() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny tensors: a second thread costs more than it brings."""
    with alone():
        yield


def clip(vision: dict, size: int) -> open_clip.CLIP:
    # The same to the bit whichever test asks first, and nobody else's random numbers.
    with alone(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return built(vision, size)


def built(vision: dict, size: int) -> open_clip.CLIP:
    text = {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1}
    model = open_clip.CLIP(embed_dim=24, vision_cfg={**vision, "image_size": size}, text_cfg=text)
    for part in model.modules():
        if isinstance(
            part, nn.BatchNorm2d
        ):  # open_clip starts some at zero: no gradients, no units
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.2)
    model.train()
    with torch.no_grad():
        for _ in range(10):
            model.encode_image(torch.randn(8, 3, size, size))
    return model.eval()


@pytest.fixture(scope="session")
def small_clip():
    """Build a CLIP with this image tower, of images of this size."""
    return clip


@pytest.fixture(scope="session")
def letters():
    """A tokenizer: a number a letter."""
    return tokenized


@pytest.fixture(scope="session")
def resnet() -> Model:
    vision = {"layers": (1, 1, 1, 1), "width": 8, "patch_size": None, "head_width": 64}
    return wrap(clip(vision, 32), tokenizer=tokenized, name="small-rn")


@pytest.fixture(scope="session")
def vit() -> Model:
    vision = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
    return wrap(clip(vision, 32), name="small-vit")


@pytest.fixture
def colours() -> Model:
    """Three units, each the redness, greenness or blueness of the picture; ReLU at the end."""
    conv = nn.Conv2d(3, 3, 1, bias=False)
    conv.weight.data = (1.5 * torch.eye(3) - 0.5)[:, :, None, None]
    return wrap(nn.Sequential(conv, nn.ReLU()), name="colours", example=torch.zeros(2, 3, 16, 16))


def tokenized(texts: list[str]) -> torch.Tensor:
    rows = torch.zeros(len(texts), 8, dtype=torch.long)
    for row, text in zip(rows, texts, strict=True):
        codes = [1 + ord(c) % 60 for c in text[:6]]
        row[: len(codes) + 1] = torch.tensor([*codes, 63])
    return rows
