"""timm's and torchvision's spelling of stages, blocks and neurons, all under the same names."""

import pytest
import timm
import torch
import torchvision
from torchvision.models import convnext, efficientnet, resnet, swin_transformer

import lens
from lens.capture.hooks import forward_to
from lens.sites import by_position, unit_maps

SMALL = {"depth": 2, "embed_dim": 32, "num_heads": 2}
STAGES = {"layers": (1, 1, 1, 1), "embed_dims": (8, 16, 32, 64)}


def of_timm(name, **options):
    return lambda: timm.create_model(name, **options)


def mb(out, stride):
    return efficientnet.MBConvConfig(2, 3, stride, 8 if out == 16 else 16, out, 1)


MAKERS = {
    "registers": of_timm("vit_small_patch14_reg4_dinov2", img_size=56, **SMALL),
    "eva02": of_timm("eva02_tiny_patch14_224", img_size=56, depth=2, num_classes=0),
    "so400m": of_timm("vit_so400m_patch14_siglip_224", img_size=56, **SMALL),
    "pe_core": of_timm("vit_pe_core_tiny_patch16_384", img_size=64, **SMALL),
    "mobileclip": of_timm("fastvit_mci0", **STAGES),
    "convnext": of_timm("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 16, 24, 32)),
    "swin": of_timm(
        "swin_tiny_patch4_window7_224", depths=(1, 1, 1, 1), embed_dim=24, img_size=112
    ),
    "torchvision swin": lambda: torchvision.models.SwinTransformer(
        [4, 4], 24, [1, 1, 1, 1], [1, 2, 2, 4], [7, 7]
    ),
    "torchvision swin v2": lambda: torchvision.models.SwinTransformer(
        [4, 4], 24, [1, 1], [1, 2], [8, 8],
        block=swin_transformer.SwinTransformerBlockV2,
        downsample_layer=swin_transformer.PatchMergingV2,
    ),
    "torchvision convnext": lambda: torchvision.models.ConvNeXt(
        [convnext.CNBlockConfig(8, 16, 1), convnext.CNBlockConfig(16, None, 2)]
    ),
    "torchvision efficientnet": lambda: torchvision.models.EfficientNet(
        [mb(16, 2), mb(24, 2)], dropout=0.0
    ),
    "torchvision resnet": lambda: resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1]),
    "torchvision vit": lambda: torchvision.models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=24
    ),
}  # fmt: skip


@pytest.fixture(scope="session")
def tower(build):
    opened = {}

    def get(name):
        if name not in opened:
            opened[name] = lens.wrap(build(MAKERS[name]), name=name)
        return opened[name]

    return get


# The last block and what there is of it: units of the block and of its neurons, class and register
# tokens.
LAST = {
    "registers": ("image.blocks.1", 32, 128, 5),
    "eva02": ("image.blocks.1", 192, 512, 1),
    "so400m": ("image.blocks.1", 32, 119, 0),
    "pe_core": ("image.blocks.1", 32, 128, 1),
    "mobileclip": ("image.stages.3.blocks.0", 64, 192, 0),
    "convnext": ("image.stages.3.blocks.0", 32, 128, 0),
    "swin": ("image.stages.3.blocks.0", 192, 768, 0),
    "torchvision swin": ("image.stages.3.blocks.0", 192, 768, 0),
    "torchvision swin v2": ("image.stages.1.blocks.0", 48, 192, 0),
    "torchvision convnext": ("image.stages.1.blocks.1", 16, 64, 0),
    "torchvision efficientnet": ("image.stages.1.blocks.0", 24, None, 0),
    "torchvision resnet": ("image.layer4.0", 512, None, 0),
    "torchvision vit": ("image.blocks.1", 16, 24, 1),
}


@pytest.mark.parametrize("name", LAST)
def test_the_last_block_and_its_neurons(tower, name):
    model = tower(name)
    where, width, neurons, prefix = LAST[name]
    site = model.site(where)
    assert (site.n_units, site.n_prefix) == (width, prefix)
    assert model.has_site("image.stem")
    assert [s.name for s in model.sites if s.kind == "block"][-1] == where
    assert model.has_site(f"{where}.mlp.neurons") == (neurons is not None)
    if neurons is not None:
        assert model.site(f"{where}.mlp.neurons").n_units == neurons


@pytest.mark.parametrize("name", LAST)
def test_every_site_is_what_its_module_computed(tower, name):
    """Against plain hooks, its axes named by hand."""
    model = tower(name)
    pictures = torch.randn(2, 3, *model.image_size, generator=torch.Generator().manual_seed(0))
    sites = [s for s in model.sites if s.path and s.at == "output" and s.calls == 1]
    seen = {}
    handles = [
        s.module.register_forward_hook(lambda m, a, o, path=s.path: seen.update({path: o.clone()}))
        for s in sites
    ]
    with torch.no_grad():
        model.module(pictures)
    for handle in handles:
        handle.remove()
    taken = forward_to(sites, pictures)
    for site in sites:
        torch.testing.assert_close(taken[site.name], seen[site.path], rtol=1e-5, atol=1e-5)
        placed = by_position(site, taken[site.name])
        unit = seen[site.path].movedim(site.unit_axis, -1).reshape(2, -1, site.n_units)
        torch.testing.assert_close(placed, unit, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LAST)
def test_places_of_the_stem_are_places_of_the_picture(tower, name):
    """What changes up on the right changes the map up on the right, and not down on the left."""
    model = tower(name)
    stem = model.site("image.stem")
    height, width = model.image_size
    pictures = torch.zeros(2, 3, height, width)
    pictures[1, :, : height // 4, -(width // 4) :] = 1
    maps = unit_maps(stem, forward_to(stem, pictures)[stem.name])
    moved = (maps[0] - maps[1]).abs().amax(0)
    rows, columns = moved.shape
    assert moved[0, -1] > 0
    assert not moved[rows // 2 :, : columns // 2].any()


def test_neurons_are_what_the_last_layer_of_the_mlp_takes(tower):
    for name, neurons, mixes, out in [
        ("torchvision swin", "image.stages.1.blocks.0.mlp.neurons", "features.3.0.mlp.3",
         "features.3.0.mlp"),
        ("torchvision convnext", "image.stages.1.blocks.1.mlp.neurons", "features.3.1.block.5",
         "features.3.1.block.5"),
        ("mobileclip", "image.stages.2.blocks.0.mlp.neurons", "stages.2.blocks.0.mlp.fc2",
         "stages.2.blocks.0.mlp"),
    ]:  # fmt: skip
        model = tower(name)
        sites = [model.site(neurons), model.site(out)]
        taken = forward_to(sites, torch.randn(2, 3, *model.image_size))
        with torch.no_grad():
            mixed = model.module.get_submodule(mixes)(taken[neurons])
        torch.testing.assert_close(mixed, taken[out], rtol=1e-5, atol=1e-5)
