"""Every objective looks at its own unit, whatever the family and the layout."""

import numpy as np
import open_clip
import pytest
import timm
import torch
import transformers
from torch import nn

import lens
from lens.featurevis import objectives as o
from lens.featurevis.looking import look, undisturbed
from lens.featurevis.measures import measure
from lens.opening import wrap

VISION = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 2, "image_size": 32, "patch_size": 8,
}  # fmt: skip
WORDS = {
    "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 1, "num_attention_heads": 2,
    "vocab_size": 100, "max_position_embeddings": 20, "bos_token_id": 98, "eos_token_id": 99,
    "pad_token_id": 0,
}  # fmt: skip


def hugging_face() -> nn.Module:
    config = transformers.CLIPConfig(vision_config=VISION, text_config=WORDS, projection_dim=24)
    return transformers.CLIPModel(config)


def clip(vision: dict) -> nn.Module:
    text = {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1}
    return open_clip.CLIP(24, {**vision, "image_size": 32}, text)


def timm_vit(**options) -> nn.Module:
    return timm.models.VisionTransformer(
        img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, num_classes=5, **options
    )


TOKENS = ["image.blocks.1", "image.blocks.0.mlp.neurons", "image.blocks.1.attention.heads"]
FAMILIES = {
    "modified-resnet": (
        lambda: clip({"layers": (1, 1, 1, 1), "width": 8, "patch_size": None, "head_width": 64}),
        ["image.stem", "image.layer2", "image.layer4", "image.embedding"],
    ),
    "open_clip-vit": (
        lambda: clip({"layers": 2, "width": 32, "head_width": 16, "patch_size": 8}),
        [*TOKENS, "image.embedding"],
    ),
    "timm-registers": (lambda: timm_vit(reg_tokens=3), TOKENS),
    "timm-no-class-token": (lambda: timm_vit(class_token=False, global_pool="avg"), TOKENS),
    "convnext": (
        lambda: timm.models.ConvNeXt(depths=(1, 1, 1, 1), dims=(8, 12, 16, 24), num_classes=5),
        ["image.stages.1", "image.stages.3"],
    ),
    "hugging-face": (hugging_face, [*TOKENS, "image.embedding"]),
}


@pytest.fixture(scope="module")
def opened():
    made = {}

    def get(name: str) -> lens.model.Model:
        if name not in made:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                module = FAMILIES[name][0]()
                for part in module.modules():
                    if isinstance(part, nn.BatchNorm2d):  # open_clip starts some at zero
                        nn.init.uniform_(part.weight, 0.5, 1.5)
                    if hasattr(part, "gamma") and isinstance(part.gamma, nn.Parameter):
                        nn.init.ones_(part.gamma)  # ConvNeXt's layer scale starts at 1e-6
            example = None if hasattr(module, "encode_image") else torch.zeros(2, 3, 32, 32)
            example = None if name == "hugging-face" else example
            made[name] = wrap(module, name=name, example=example)
        return made[name]

    return get


def by_hand(site, array: np.ndarray, index: int) -> np.ndarray:
    """One unit's mean over the places of the picture, by plain indexing."""
    if site.layout == "BCHW":
        return array[:, index].mean((1, 2))
    if site.layout == "BHWC":
        return array[:, :, :, index].mean((1, 2))
    if site.layout == "BTD":
        return array[:, site.n_prefix :, index].mean(1)
    if site.layout == "TBD":
        return array[site.n_prefix :, :, index].mean(0)
    if site.layout == "BNTD":
        width = array.shape[3]
        return array[:, index // width, site.n_prefix :, index % width].mean(1)
    assert site.layout == "BD"
    return array[:, index]


CASES = [(family, name) for family, (_, names) in FAMILIES.items() for name in names]


@pytest.mark.parametrize(("family", "name"), CASES)
def test_a_unit_is_that_unit_and_no_other(opened, captured, family, name):
    model = opened(family)
    site = model.site(name)
    height, width = model.image_size
    images = torch.rand(3, 3, height, width, generator=torch.Generator().manual_seed(0))
    indices = [0, site.n_units // 2 + 1, site.n_units - 1]
    units = [o.unit(site.unit(i)) for i in indices]
    where = site.pre_activation
    with torch.no_grad():
        scene = look(model, units, images, images, torch.arange(3))
    got = measure(units, scene).numpy()
    array = captured(where, images)
    want = [by_hand(where, array, index)[row] for row, index in enumerate(indices)]
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("family", "name"), CASES)
def test_the_gradient_reaches_that_unit_and_no_other(opened, family, name):
    model = opened(family)
    site = model.site(name)
    height, width = model.image_size
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))
    index = site.n_units // 2 + 1
    unit = o.unit(site.unit(index))
    with undisturbed(model.module):
        image.requires_grad_(True)
        scene = look(model, [unit], image, image, torch.zeros(1, dtype=torch.long))
        (tensor,) = scene.activations.values()
        value = measure([unit], scene)
        (at_site,) = torch.autograd.grad(value, tensor, retain_graph=True)
        (at_image,) = torch.autograd.grad(value, image)
    share = at_site.detach().double().numpy()
    for other in range(site.n_units):
        reached = np.abs(by_hand(site.pre_activation, share, other)).sum()
        assert (reached > 0) == (other == index)
    assert at_image.abs().sum() > 0


def test_the_words_of_lucid(resnet, vit, captured, valued):
    layer, block = resnet.site("image.layer2"), vit.site("image.blocks.1")
    maps, tokens = captured(layer.pre_activation), captured(block)
    close = {"rtol": 1e-3, "atol": 1e-5}
    np.testing.assert_allclose(valued(o.channel(layer, 5)), maps[:, 5].mean((1, 2)), **close)
    middle = maps.shape[2] // 2
    np.testing.assert_allclose(valued(o.neuron(layer, 5)), maps[:, 5, middle, middle], **close)
    np.testing.assert_allclose(valued(o.neuron(layer, 5, (0, 1))), maps[:, 5, 0, 1], **close)
    np.testing.assert_allclose(valued(o.token(block, 7)), tokens[:, 0, 7], **close)
    np.testing.assert_allclose(valued(o.token(block, 7, 9)), tokens[:, 9, 7], **close)
