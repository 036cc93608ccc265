"""Small models in double precision, so that independent computations agree to many digits."""

import open_clip
import pytest
import timm
import torch
import torchvision
from torchvision.models.resnet import BasicBlock, ResNet

import lens


@pytest.fixture(scope="session")
def exact(fresh_clip):
    """Open a double-precision model: `exact("rn")`."""

    def make(kind):
        tokenizer = open_clip.SimpleTokenizer(context_length=16)
        return lens.wrap(fresh_clip(kind).double(), tokenizer=tokenizer, name=f"exact-{kind}")

    return make


@pytest.fixture(scope="session")
def exact_rn(exact):
    return exact("rn")


@pytest.fixture(scope="session")
def exact_vit(exact):
    return exact("vit")


@pytest.fixture(scope="session")
def plain(build):
    """Classifiers without a text tower, from other libraries: in-place and shared ReLUs, GELUs."""
    vit = build(
        torchvision.models.VisionTransformer,
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=24,
        num_classes=6,
    )  # fmt: skip
    # torchvision starts the head at zero, where nothing depends on anything.
    g = torch.Generator().manual_seed(0)
    torch.nn.init.normal_(vit.heads.head.weight, generator=g)
    return {
        "torchvision-resnet": lens.wrap(build(ResNet, BasicBlock, [1, 1, 1, 1], num_classes=6)),
        "torchvision-vit": lens.wrap(vit),
        "timm-resnet": lens.wrap(build(timm.create_model, "resnet10t", num_classes=6)),
    }


@pytest.fixture()
def picture() -> torch.Tensor:
    return torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(3))


@pytest.fixture()
def small_picture() -> torch.Tensor:
    return torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(3))
