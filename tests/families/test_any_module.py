import pytest
import timm
import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

import lens
from lens.capture.hooks import forward_to
from lens.errors import BadInput
from lens.sites import unit_maps


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_torchvision_uses_one_relu_many_times_and_the_last_is_meant(build, block):
    module = build(ResNet, block, [1, 1, 1, 2])
    model = lens.wrap(module)
    pictures = torch.randn(2, 3, 64, 64)
    stage, before = model.site("image.layer4"), model.site("image.layer4").pre_activation
    assert before.name == "image.layer4.1.pre_relu"
    assert before.calls == (2 if block is BasicBlock else 3)
    taken = forward_to([stage, before], pictures)
    assert torch.equal(taken[stage.name], taken[before.name].relu())
    assert (taken[before.name] < 0).any()


def test_a_timm_resnet(build):
    model = lens.wrap(build(timm.create_model, "resnet10t"))
    taken = forward_to(
        model.sites(["image.layer2", "image.layer2.pre_relu"]), torch.randn(2, 3, 64, 64)
    )
    assert torch.equal(taken["image.layer2"], taken["image.layer2.0.pre_relu"].relu())
    assert model.mean.tolist() == pytest.approx([0.485, 0.456, 0.406])


def test_a_timm_transformer_with_registers_and_gated_neurons(build):
    module = build(timm.create_model, "eva02_tiny_patch14_224", img_size=56, depth=2, num_classes=0)
    model = lens.wrap(module)
    site = model.site("image.blocks.1.mlp.neurons")
    assert (model.image_size, site.n_prefix, site.grid) == ((56, 56), 1, (4, 4))
    taken = forward_to([site, model.site("blocks.1.mlp")], torch.randn(2, 3, 56, 56))
    mlp = module.blocks[1].mlp
    with torch.no_grad():
        torch.testing.assert_close(mlp.fc2(mlp.norm(taken[site.name])), taken["blocks.1.mlp"])


def test_channels_last_inside_of_a_convnext(build):
    module = build(timm.create_model, "convnext_atto", conv_mlp=False)
    model = lens.wrap(module)
    site = model.site("image.stages.1.blocks.0.mlp.neurons")
    assert (site.layout, site.n_units) == ("BHWC", 320)
    tensor = forward_to(site, torch.randn(1, 3, 224, 224))[site.name]
    assert torch.equal(unit_maps(site, tensor), tensor.permute(0, 3, 1, 2))


def test_a_torchvision_transformer(build):
    module = build(
        torchvision.models.VisionTransformer,
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=24,
    )  # fmt: skip
    model = lens.wrap(module)
    assert [site.name for site in model.sites if site.kind != "attention"] == [
        "image.stem",
        "image.blocks.0.mlp.neurons",
        "image.blocks.0",
        "image.blocks.1.mlp.neurons",
        "image.blocks.1",
        "image.output",
    ]
    assert model.site("image.blocks.0.mlp.neurons").shape == (17, 24)
    assert model.site("image.blocks.0").grid == (4, 4)


def test_vectors_and_grey_pictures_are_told_by_the_first_layer():
    dense = lens.wrap(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)))
    assert dense.site("1").shape == (5,)
    assert lens.capture(dense, torch.randn(7, 6), "1", progress=False)["1"].shape == (7, 5)
    grey = lens.wrap(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()))
    assert grey.input_shape("image") == (1, 224, 224)
    from PIL import Image

    found = lens.capture(grey, Image.new("L", (50, 50)), "0", progress=False)
    assert found["0"].shape == (1, 4, 222, 222)


def test_an_example_says_what_a_module_takes():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(3, 4)

        def forward(self, x):
            return self.lin(x.reshape(len(x), 5, 3))

    with pytest.raises(BadInput, match=r"does not run on a trial batch .*example=batch"):
        lens.wrap(Odd()).site("lin")
    assert lens.wrap(Odd(), example=torch.zeros(1, 15)).site("lin").shape == (5, 4)


def test_windowed_attention_is_not_offered_but_its_block_is(build):
    module = build(
        timm.create_model, "swin_tiny_patch4_window7_224",
        depths=(1, 1, 1, 1), embed_dim=24, img_size=112,
    )  # fmt: skip
    model = lens.wrap(module)
    assert model.site("image.stages.1.blocks.0").layout == "BHWC"
    from lens.errors import UnknownSite

    with pytest.raises(UnknownSite, match="whole"):
        model.site("layers.0.blocks.0.attn.qkv")
