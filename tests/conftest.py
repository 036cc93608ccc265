"""Small models with random weights, built in milliseconds, shared by all tests."""

from __future__ import annotations

import os

# Tests that run at the same time share the cores; torch reads this when it is imported.
if AT_ONCE := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(AT_ONCE))))

import open_clip
import pytest
import torch
from open_clip.coca_model import CoCa
from open_clip.model import CLIP, CustomTextCLIP
from torch import nn

import lens

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
RN = {"layers": (1, 1, 1, 2), "width": 8, "head_width": 16, "image_size": 64}
VIT = {"layers": 3, "width": 32, "head_width": 16, "image_size": 32, "patch_size": 8}


def shaken(module: nn.Module) -> nn.Module:
    """Give batch norms something to do: open_clip starts some of them at zero."""
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            nn.init.uniform_(child.weight, 0.5, 1.5)
            nn.init.normal_(child.bias)
            nn.init.normal_(child.running_mean, std=0.1)
            nn.init.uniform_(child.running_var, 0.5, 1.5)
    return module.eval()


def built(make, *args, **kwargs) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = make(*args, **kwargs)
        if isinstance(module, CoCa):  # open_clip allocates this one and never fills it
            nn.init.normal_(module.text_decoder.text_projection)
        return shaken(module)


def opened(module: nn.Module, name: str, context_length: int = 16) -> lens.model.Model:
    tokenizer = open_clip.SimpleTokenizer(context_length=context_length)
    return lens.wrap(module, tokenizer=tokenizer, name=name)


@pytest.fixture(scope="session")
def build():
    """Build any module from a fixed seed: `build(ResNet, BasicBlock, [1, 1, 1, 2])`."""
    return built


@pytest.fixture(scope="session")
def fresh_clip():
    """Build a CLIP that a test may change: `fresh_clip("rn")`, the weights of `tiny_rn`."""
    return lambda kind: built(CLIP, 24, {"rn": RN, "vit": VIT}[kind], TEXT)


@pytest.fixture(scope="session")
def tiny_rn():
    return opened(built(CLIP, 24, RN, TEXT), "tiny-rn")


@pytest.fixture(scope="session")
def tiny_vit():
    return opened(built(CLIP, 24, VIT, TEXT), "tiny-vit")


@pytest.fixture(scope="session")
def tiny_custom():
    """A text tower of its own, read at an end token; a projection with a bias."""
    text = {**TEXT, "pool_type": "eos", "eos_id": 49407, "proj_bias": True}
    return opened(built(CustomTextCLIP, 24, VIT, text), "tiny-custom")


@pytest.fixture(scope="session")
def tiny_coca():
    vision = {**VIT, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    text = {**TEXT, "embed_cls": True, "output_tokens": True}
    decoder = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    # Its decoder reads the picture in the joint space, which therefore has the text's width.
    return opened(built(CoCa, 32, decoder, text, vision), "tiny-coca")


@pytest.fixture()
def small_names(monkeypatch):
    """Small architectures among open_clip's own: its loader is exercised, and takes no time."""
    text = {"hf_model_name": "roberta-base", "hf_tokenizer_name": "roberta-base"}
    coca = {"text_cfg": {**TEXT, "embed_cls": True}, "multimodal_cfg": {**TEXT, "layers": 1}}
    for name, config in {
        "small-rn": {"vision_cfg": RN, "text_cfg": TEXT},
        "small-roberta": {"vision_cfg": VIT, "text_cfg": text},
        "small-coca": {"vision_cfg": VIT, **coca},
    }.items():
        known = open_clip.factory._MODEL_CONFIGS
        monkeypatch.setitem(known, name, {"embed_dim": 24, **config, "custom_text": "coca" in name})


@pytest.fixture()
def pictures() -> torch.Tensor:
    """Five normalised pictures for `tiny_rn`."""
    return torch.randn(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture()
def small_pictures() -> torch.Tensor:
    """Five normalised pictures for the small transformers."""
    return torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))
