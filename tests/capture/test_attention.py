"""Attention as read is attention as computed: against the modules' own outputs."""

import numpy as np
import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

import lens
from lens.capture.attention import watched
from lens.errors import BadInput, UnknownSite
from lens.families.attending import Watch


def calls_of(run):
    seen = []
    with torch.no_grad(), Watch(seen.append):
        output = run()
    return seen, output


def noise(model, count=2):
    g = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, *model.image_size, generator=g)


@pytest.mark.parametrize("bias_kv", [False, True])
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("width_of_keys", [24, 10])
def test_a_layer_of_any_kind_meets_its_own_output(bias_kv, zero, batch_first, width_of_keys):
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(
        24, 4, add_bias_kv=bias_kv, add_zero_attn=zero, batch_first=batch_first,
        kdim=width_of_keys, vdim=width_of_keys,
    ).eval()  # fmt: skip
    nn.init.normal_(layer.in_proj_bias)
    q, kv = torch.randn(2, 5, 24), torch.randn(2, 7, width_of_keys)
    hidden = torch.rand(5, 7) < 0.3
    padded = torch.zeros(2, 7, dtype=torch.bool)
    padded[1, 5:] = True
    if not batch_first:
        q, kv = q.transpose(0, 1), kv.transpose(0, 1)

    def run():
        return layer(
            q, kv, kv, attn_mask=hidden, key_padding_mask=padded, average_attn_weights=False
        )

    (call,), (output, weights) = calls_of(run)
    mixed = layer.out_proj(call.heads.transpose(1, 2).flatten(2))
    ours = mixed if batch_first else mixed.transpose(0, 1)
    assert torch.allclose(ours, output, atol=1e-5)
    assert torch.allclose(call.pattern, weights, atol=1e-6)  # torch's own, when it is asked


@pytest.mark.parametrize("kind", ["none", "keep", "additive", "causal", "grouped", "3d", "2d"])
def test_a_product_of_any_kind_meets_its_own_output(kind):
    g = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(2, 4, n, 8, generator=g) for n in (5, 7, 7))
    options = {}
    if kind == "keep":
        options["attn_mask"] = torch.rand(2, 1, 5, 7, generator=g) < 0.6
        options["attn_mask"][..., 0] = True
    elif kind == "additive":
        options |= {"attn_mask": torch.randn(5, 7, generator=g), "scale": 0.3}
    elif kind == "causal":
        options["is_causal"] = True
    elif kind == "grouped":
        k, v, options["enable_gqa"] = k[:, :2], v[:, :2], True
    elif kind == "3d":
        q, k, v = q[0], k[0], v[0]
    elif kind == "2d":
        q, k, v = q[0, 0], k[0, 0], v[0, 0]
    (call,), output = calls_of(lambda: F.scaled_dot_product_attention(q, k, v, **options))
    assert torch.allclose(call.heads.reshape(output.shape), output, atol=1e-5)
    assert torch.allclose(call.pattern.sum(-1), torch.ones(()), atol=1e-5)
    if kind == "causal":
        assert not call.pattern.triu(1).any()


def test_a_query_that_may_look_at_nothing_has_an_empty_row():
    q = torch.randn(1, 1, 2, 4)
    mask = torch.tensor([[True, True], [False, False]])
    (call,), _ = calls_of(lambda: F.scaled_dot_product_attention(q, q, q, attn_mask=mask))
    assert call.pattern[0, 0].sum(-1).tolist() == pytest.approx([1, 0])


@pytest.mark.parametrize("name", ["tiny_vit", "tiny_rn", "tiny_custom", "tiny_coca"])
@pytest.mark.parametrize("tower", ["image", "text"])
def test_looking_leaves_the_output_and_the_hooks_as_they_were(name, tower, request):
    model = request.getfixturevalue(name)
    batch = noise(model) if tower == "image" else model.tokens(["a dog", "two black cats"])
    with torch.no_grad():
        plain = model.run(tower, batch)
        with watched(model, tower) as seen:
            looked = model.run(tower, batch)
    assert torch.allclose(looked, plain, atol=1e-5)  # torch has another kernel for the unwatched
    paths = model.attention_layers(tower)
    assert seen and [name for name, _ in seen] == list(paths)
    for name, call in seen:
        assert torch.allclose(call.pattern.sum(-1), torch.ones(()), atol=1e-5)
        assert not model.module.get_submodule(paths[name])._forward_hooks
    with torch.no_grad():
        model.run(tower, batch)
    assert len(seen) == len(paths)  # nobody listens any more


@pytest.mark.parametrize(
    "architecture",
    ["vit_tiny_patch16_224", "eva02_tiny_patch14_224", "vit_base_patch16_siglip_224"],
)
def test_timm_transformers_with_rotary_positions_and_pooling(architecture, build):
    small = {"img_size": 56, "depth": 2, "num_heads": 2, "embed_dim": 24, "patch_size": 14}
    module = build(timm.create_model, architecture, num_classes=0, **small)
    model = lens.wrap(module, name=architecture)
    outputs = {}
    for path, child in module.named_modules():
        if type(child).__name__ in ("Attention", "EvaAttention", "AttentionRope"):
            last = child.proj
            last.register_forward_pre_hook(
                lambda m, args, path=path: outputs.update({path: args[0]})
            )
    with torch.no_grad(), watched(model, "image") as seen:
        model.run("image", noise(model))
    assert len(outputs) == 2
    paths = model.attention_layers("image")
    for name, call in seen:
        path = paths[name]
        if path in outputs:  # what is given to the last projection is what the heads gave
            ours = call.heads.transpose(1, 2).flatten(2)
            assert torch.allclose(ours, outputs[path], atol=1e-5)


def test_names_are_those_of_the_blocks(tiny_vit, tiny_rn, tiny_coca):
    pixels = np.zeros((40, 40, 3), np.uint8)
    maps = lens.attention(tiny_vit, pixels, "a dog")
    assert list(maps) == [f"image.blocks.{i}.attention" for i in range(3)] + [
        f"text.blocks.{i}.attention" for i in range(2)
    ]
    assert "image.attnpool" in lens.attention(tiny_rn, pixels)
    assert any("attn_pool" in name for name in lens.attention(tiny_coca, pixels))


def test_text_looks_only_back(tiny_vit):
    maps = lens.attention(tiny_vit, text=["a dog", "a very black cat"])
    for layer in maps.values():
        assert layer.pattern.shape[0] == 2
        assert not np.triu(layer.pattern, 1).any()
        assert layer.grid is None


def test_a_map_is_one_query_s_row_without_the_class_token(tiny_vit, tiny_rn):
    layer = lens.attention(tiny_vit, [torch.rand(3, 32, 32)] * 2)["image.blocks.1.attention"]
    assert layer.grid == (4, 4) and layer.n_prefix == 1
    np.testing.assert_array_equal(layer.map(1, 3, 1), layer.pattern[1, 1, 3, 1:].reshape(4, 4))
    np.testing.assert_allclose(layer.map(), layer.pattern[0, :, 0, 1:].mean(0).reshape(4, 4))
    pool = lens.attention(tiny_rn, torch.rand(3, 64, 64))["image.attnpool"]
    assert pool.grid == (2, 2) and pool.n_prefix == 1


def test_entropy_of_an_even_and_of_a_sharp_head(tiny_vit):
    layer = lens.attention(tiny_vit, torch.rand(3, 32, 32))["image.blocks.0.attention"]
    assert layer.entropy.shape == (1, 2)
    assert (layer.entropy > 0).all() and (layer.entropy <= np.log(17) + 1e-5).all()
    layer.pattern[:] = 1 / 17
    assert layer.entropy == pytest.approx(np.log(17), rel=1e-4)


def test_an_exception_leaves_nothing_behind(tiny_vit):
    def broken(module, args):
        raise KeyboardInterrupt

    last = tiny_vit.module.visual.transformer.resblocks[2].mlp
    handle = last.register_forward_pre_hook(broken)
    try:
        with pytest.raises(KeyboardInterrupt):
            lens.attention(tiny_vit, torch.rand(3, 32, 32))
    finally:
        handle.remove()
    assert not torch.overrides._get_current_function_mode_stack()
    for module in tiny_vit.module.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks


def test_wrong_names_and_inputs_are_spoken(tiny_vit, build):
    maps = lens.attention(tiny_vit, torch.rand(3, 32, 32))
    with pytest.raises(UnknownSite, match=r"image\.blocks\.1\.attention"):
        maps["image.block.1.attention"]
    with pytest.raises(BadInput, match="2 of head, 0 to 1, not 7"):
        maps["image.blocks.0.attention"].map(7)
    with pytest.raises(BadInput, match="nothing to look at"):
        lens.attention(tiny_vit)
    with pytest.raises(BadInput, match="list of pictures is empty"):
        lens.attention(tiny_vit, [])
    convolutions = lens.wrap(build(nn.Sequential, nn.Conv2d(3, 4, 3)))
    with pytest.raises(BadInput, match="no attention"):
        lens.attention(convolutions, torch.rand(3, 8, 8))


def test_the_listing_says_what_there_is(tiny_vit):
    maps = lens.attention(tiny_vit, torch.rand(3, 32, 32))
    assert "image.blocks.2.attention" in repr(maps) and "17 x 17" in repr(maps)
    assert "<table>" in maps._repr_html_()
