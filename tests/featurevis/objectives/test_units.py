"""Every objective looks at its own unit, whatever the family and the layout."""

import numpy as np
import open_clip
import pytest
import timm
import torch
import transformers
from torch import nn

import lens
from lens.capture.hooks import forward_to
from lens.featurevis import objectives as o
from lens.featurevis.objectives.looking import look, undisturbed
from lens.featurevis.objectives.measures import Scene, measure
from lens.featurevis.wording.scores import scorer
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
# Of the text towers: tokens of a text, and the number of the end-of-text token.
READS = {"modified-resnet": (8, 63), "open_clip-vit": (8, 63), "hugging-face": (20, 99)}


def words(length: int, end: int):
    def tokenize(texts: list[str]) -> torch.Tensor:
        rows = torch.zeros(len(texts), length, dtype=torch.long)
        for row, text in zip(rows, texts, strict=True):
            row[: len(text) + 1] = torch.tensor([*(1 + ord(c) % 60 for c in text), end])
        return rows

    return tokenize


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
            reader = words(*READS[name]) if name in READS else None
            made[name] = wrap(module, name=name, example=example, tokenizer=reader)
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


def maps(array: np.ndarray) -> np.ndarray:
    """Images, places, units of what a convolution gives."""
    return array.reshape(*array.shape[:2], -1).transpose(0, 2, 1)


def after(prefix: int):
    """Images, places, units of tokens, the picture's after those that stand first."""
    return lambda array: array[:, prefix:]


def row(array: np.ndarray) -> np.ndarray:
    return array[:, None]


# What the modules' own definitions say: which module has the numbers, on which side, and where the
# units are among its axes. Heads are what the layer takes that mixes them, one after the other.
OPENAI, HUB = "visual.transformer.resblocks", "vision_model.encoder.layers"
PLAIN = {
    ("modified-resnet", "image.stem"): ("visual.avgpool", "output", maps, 8),
    ("modified-resnet", "image.layer2"): ("visual.layer2.0.act3", "input", maps, 64),
    ("modified-resnet", "image.layer4"): ("visual.layer4.0.act3", "input", maps, 256),
    ("modified-resnet", "image.embedding"): ("visual", "output", row, 24),
    ("open_clip-vit", TOKENS[0]): (f"{OPENAI}.1", "output", after(1), 32),
    ("open_clip-vit", TOKENS[1]): (f"{OPENAI}.0.mlp.c_proj", "input", after(1), 128),
    ("timm-registers", TOKENS[0]): ("blocks.1", "output", after(4), 32),
    ("timm-registers", TOKENS[1]): ("blocks.0.mlp.fc2", "input", after(4), 128),
    ("timm-registers", TOKENS[2]): ("blocks.1.attn.proj", "input", after(4), 32),
    ("timm-no-class-token", TOKENS[0]): ("blocks.1", "output", after(0), 32),
    ("timm-no-class-token", TOKENS[2]): ("blocks.1.attn.proj", "input", after(0), 32),
    ("convnext", "image.stages.1"): ("stages.1", "output", maps, 12),
    ("hugging-face", TOKENS[0]): (f"{HUB}.1", "output", after(1), 32),
    ("hugging-face", TOKENS[1]): (f"{HUB}.0.mlp.fc2", "input", after(1), 48),
    ("hugging-face", TOKENS[2]): (f"{HUB}.1.self_attn.out_proj", "input", after(1), 32),
    ("hugging-face", "image.embedding"): ("visual_projection", "output", row, 24),
}
BLOCK, TEXT = "transformer.resblocks.0", "text_model.encoder.layers.0"
WORDS_PLAIN = {
    **{
        (family, name): place
        for family in ("modified-resnet", "open_clip-vit")
        for name, place in {
            "text.blocks.0": (BLOCK, "output", after(0), 32),
            "text.blocks.0.mlp.neurons": (f"{BLOCK}.mlp.c_proj", "input", after(0), 128),
        }.items()
    },
    ("hugging-face", "text.blocks.0"): (TEXT, "output", after(0), 32),
    ("hugging-face", "text.blocks.0.mlp.neurons"): (f"{TEXT}.mlp.fc2", "input", after(0), 40),
    ("hugging-face", "text.blocks.0.attention.heads"): (
        f"{TEXT}.self_attn.out_proj", "input", after(0), 32,
    ),
}  # fmt: skip


def by_torch(model, tower, batch, place) -> np.ndarray:
    """Images, places, units by a hook of torch itself, in float64."""
    path, side, laid_out, width = place
    seen: list[torch.Tensor] = []

    def keep(module, args, output):
        found = args[0] if side == "input" else output
        seen.append((found[0] if isinstance(found, tuple) else found).detach().clone())

    def first(module, args):
        seen.append(args[0].detach().clone())

    part = model.module.get_submodule(path)
    in_place = side == "input"  # what an in-place ReLU overwrites is read before
    handle = part.register_forward_pre_hook(first) if in_place else part.register_forward_hook(keep)
    try:
        with torch.no_grad():
            model.run(tower, batch)
    finally:
        handle.remove()
    array = laid_out(seen[-1].numpy().astype(np.float64))
    assert array.ndim == 3 and array.shape[2] == width and len(array) == len(batch)
    return array


@pytest.mark.parametrize(("family", "name"), PLAIN)
def test_units_and_latents_are_those_that_torch_has_there(opened, family, name):
    model = opened(family)
    site = model.site(name)
    images = torch.rand(3, 3, *model.image_size, generator=torch.Generator().manual_seed(0))
    plain = by_torch(model, "image", model.normalize(images), PLAIN[family, name])
    assert plain.shape[2] == site.n_units
    relu = site.pre_activation != site  # autoencoders read what comes after it
    encoder = np.random.default_rng(0).normal(size=(site.n_units, 50))
    inside = np.maximum(plain, 0) if relu else plain
    for index in (0, site.n_units // 2 + 1, site.n_units - 1):
        aims = [
            o.unit(site.unit(index)),
            o.direction(site, np.eye(site.n_units)[index]),
            o.latents(site, encoder, index % 50),
        ]
        with torch.no_grad():
            scene = look(model, aims, images, images, torch.arange(3))
            got = [measure([aim] * 3, scene).numpy() for aim in aims]
        close = {"rtol": 1e-3, "atol": 1e-5}
        np.testing.assert_allclose(got[0], plain[:, :, index].mean(1), **close)
        np.testing.assert_allclose(got[1], plain[:, :, index].mean(1), **close)
        np.testing.assert_allclose(got[2], (inside @ encoder[:, index % 50]).mean(1), **close)


@pytest.mark.parametrize(("family", "name"), WORDS_PLAIN)
def test_units_of_text_towers_are_those_that_torch_has_there(opened, family, name):
    """A text has no picture to climb; its units are scored, at the token that stands for it."""
    model = opened(family)
    site, texts = model.site(name), ["dog", "a", "zebra", "cats"]
    tokens = model.tokens(texts)
    plain = by_torch(model, "text", tokens, WORDS_PLAIN[family, name])
    assert plain.shape[2] == site.n_units
    close = {"rtol": 1e-3, "atol": 1e-5}
    encoder = np.random.default_rng(0).normal(size=(site.n_units, 50))
    scene = Scene(torch.zeros(4, 3, 8, 8), forward_of(site, tokens), torch.arange(4))
    for index in (0, site.n_units // 2 + 1, site.n_units - 1):
        at_end = [plain[i, len(text), index] for i, text in enumerate(texts)]
        np.testing.assert_allclose(scorer(site.unit(index))(texts), at_end, **close)
        along = encoder[:, index % 50]
        want = [plain[i, len(text)] @ along for i, text in enumerate(texts)]
        np.testing.assert_allclose(scorer(o.direction(site, along))(texts), want, **close)
        largest = [plain[i, : len(text) + 1, index].max() for i, text in enumerate(texts)]
        np.testing.assert_allclose(scorer(site.unit(index), at="max")(texts), largest, **close)
        for objective, value in [
            (o.unit(site.unit(index), at=2), plain[:, 2, index]),
            (o.unit(site.unit(index)), plain[:, :, index].mean(1)),
            (o.latents(site, encoder, index % 50, at=2), plain[:, 2] @ along),
        ]:
            np.testing.assert_allclose(measure([objective] * 4, scene), value, **close)


def forward_of(site, batch) -> dict:
    with torch.no_grad():
        return {site: forward_to(site, batch)[site.name]}


def test_heads_that_no_module_takes_are_what_the_layer_mixes(opened, captured):
    """open_clip's attention has its last layer inside: its heads, mixed by it, are its output."""
    model = opened("open_clip-vit")
    heads = captured(model.site(TOKENS[2])).transpose(0, 2, 1, 3)
    attention = model.module.visual.transformer.resblocks[1].attn
    weight, bias = (t.detach().double().numpy() for t in attention.out_proj.parameters())
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    place = (f"{OPENAI}.1.attn", "output", after(0), 32)
    want = by_torch(model, "image", model.normalize(images), place)
    got = heads.reshape(*heads.shape[:2], -1) @ weight.T + bias
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-5)


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
