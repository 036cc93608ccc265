"""Edits change what they name and nothing else, and leave no trace."""

import numpy as np
import pytest
import torch
from torch import nn

import lens
from lens import edit
from lens.capture.hooks import forward_to
from lens.errors import BadInput, UnitOutOfRange, UnknownSite
from lens.sites import as_laid_out, by_position


def noise(model, count=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, *model.image_size, generator=g)


def at(site, batch):
    with torch.no_grad():
        return by_position(site, forward_to(site, batch)[site.name])


def output(model, batch, tower="image"):
    with torch.no_grad():
        return model.run(tower, batch)


def bare(model):
    return not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())


SITES = ["image.layer2", "image.layer4.pre_relu", "image.embedding", "text.blocks.0.mlp.neurons"]


@pytest.mark.parametrize("name", SITES)
def test_zero_changes_the_named_units_alone(tiny_rn, name):
    site = tiny_rn.site(name)
    batch = noise(tiny_rn) if site.tower == "image" else tiny_rn.tokens(["a dog", "two cats"])
    plain = at(site, batch)
    with edit.zero(site.units([1, 5])):
        edited = at(site, batch)
    assert not edited[..., [1, 5]].any()
    kept = [u for u in range(site.n_units) if u not in (1, 5)]
    torch.testing.assert_close(edited[..., kept], plain[..., kept], rtol=0, atol=0)
    torch.testing.assert_close(at(site, batch), plain, rtol=0, atol=0)
    assert bare(tiny_rn)


def test_what_comes_after_sees_the_edit(tiny_rn):
    batch = noise(tiny_rn)
    plain = output(tiny_rn, batch)
    with edit.zero(tiny_rn.site("image.layer3")):
        assert not torch.allclose(output(tiny_rn, batch), plain, atol=1e-3)
        # All inputs look alike behind a stage that says nothing.
        assert torch.allclose(*output(tiny_rn, batch)[:2], atol=1e-6)
    assert torch.equal(output(tiny_rn, batch), plain)


def test_tokens_are_positions(tiny_vit):
    site = tiny_vit.site("image.blocks.1")
    plain = at(site, noise(tiny_vit))
    with edit.scale(site.unit(3), 2.0, tokens=[0, 4]):
        edited = at(site, noise(tiny_vit))
    expected = plain.clone()
    expected[:, [0, 4], 3] *= 2
    torch.testing.assert_close(edited, expected, rtol=0, atol=0)


def test_a_direction_is_added_everywhere(tiny_vit):
    site = tiny_vit.site("image.blocks.0")
    direction = np.linspace(-1, 1, site.n_units)
    with edit.add(site, direction, strength=3):
        edited = at(site, noise(tiny_vit))
    expected = at(site, noise(tiny_vit)) + 3 * torch.tensor(direction).float()
    torch.testing.assert_close(edited, expected, rtol=0, atol=1e-6)


def test_mean_ablation_forgets_the_input(tiny_rn):
    site, others = tiny_rn.site("image.layer4"), noise(tiny_rn, 5, seed=9)
    with edit.mean(site.units([0, 2]), list(others)):
        edited = at(site, noise(tiny_rn))
    middle = at(site, others).mean((0, 1))[[0, 2]]
    torch.testing.assert_close(edited[..., [0, 2]], middle.expand(3, edited.shape[1], 2))


def test_patching_the_whole_last_stage_gives_the_source_s_output(tiny_rn, tiny_vit):
    """Everything after a stage depends on that stage alone; a block has the other tokens too."""
    for model, name in ((tiny_rn, "image.layer4"), (tiny_vit, "image.blocks.2")):
        source = noise(model, 1, seed=5)
        with edit.patch(model.site(name), source[0]):
            patched = output(model, noise(model))
        expected = output(model, source).expand(3, -1)
        torch.testing.assert_close(patched, expected, rtol=1e-4, atol=1e-5)


def test_resampled_values_come_from_the_others_and_are_seeded(tiny_rn):
    site, others = tiny_rn.site("image.layer4"), noise(tiny_rn, 4, seed=9)
    values = at(site, others)[..., 3]
    runs = []
    for _ in range(2):
        with edit.resample(site.unit(3), list(others), seed=2):
            runs.append(at(site, noise(tiny_rn, 6))[..., 3])
    assert torch.equal(*runs)
    found = [int((values - row).abs().sum(1).argmin()) for row in runs[0]]
    torch.testing.assert_close(values[found], runs[0])
    assert len(set(found)) > 1


def test_edits_add_up_in_order_and_nest(tiny_rn):
    site, batch = tiny_rn.site("image.layer4"), noise(tiny_rn)
    direction = torch.ones(site.n_units)
    plain = at(site, batch)
    both = edit.scale(site, 2) + edit.add(site, direction)
    with both:
        torch.testing.assert_close(at(site, batch), plain * 2 + 1)
        with both:  # again, within itself
            torch.testing.assert_close(at(site, batch), (plain * 2 + 1) * 2 + 1)
        torch.testing.assert_close(at(site, batch), plain * 2 + 1)
    assert (
        repr(both)
        == "scale 2 all units of image.layer4 + add 1 x direction all units of image.layer4"
    )
    assert bare(tiny_rn)


def test_edits_left_out_of_order_leave_nothing(tiny_rn):
    site, batch = tiny_rn.site("image.layer4"), noise(tiny_rn)
    plain = output(tiny_rn, batch)
    first, second = edit.zero(site.unit(0)), edit.zero(site.unit(1))
    first.__enter__(), second.__enter__()
    first.__exit__(None, None, None)
    assert at(site, batch)[..., 0].any() and not at(site, batch)[..., 1].any()
    second.__exit__(None, None, None)
    assert torch.equal(output(tiny_rn, batch), plain) and bare(tiny_rn)


@pytest.mark.parametrize(
    ("name", "layer", "tower"),
    [
        ("tiny_vit", "image.blocks.1.attention", "image"),
        ("tiny_vit", "text.blocks.1.attention", "text"),
        ("tiny_rn", "image.attnpool", "image"),
    ],
)
def test_a_head_is_ablated_as_by_its_columns_of_the_last_projection(name, layer, tower, request):
    model = request.getfixturevalue(name)
    batch = noise(model) if tower == "image" else model.tokens(["a dog", "two cats"])
    attended = lens.attention(model, list(noise(model)), ["a", "b"])[layer]
    module = model.module.get_submodule(attended.path)
    last = module.out_proj if isinstance(module, nn.MultiheadAttention) else module.c_proj
    width = attended.heads.shape[-1]
    plain = output(model, batch, tower)
    with edit.heads(model, layer, 1):
        ablated = output(model, batch, tower)
    kept = last.weight.detach().clone()
    with torch.no_grad():
        last.weight[:, width : 2 * width] = 0
        expected = output(model, batch, tower)
        last.weight.copy_(kept)
    assert not torch.allclose(plain, expected, atol=1e-4)
    torch.testing.assert_close(ablated, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(output(model, batch, tower), plain, rtol=0, atol=1e-6)


def test_a_head_of_a_fused_product_is_ablated(build):
    import timm

    module = build(
        timm.create_model, "vit_tiny_patch16_224", num_classes=0, img_size=32, depth=2,
        num_heads=2, embed_dim=24,
    )  # fmt: skip
    model = lens.wrap(module, name="timm")
    with edit.heads(model, "image.blocks.1.attention", [0]):
        ablated = output(model, noise(model))
    with torch.no_grad():
        module.blocks[1].attn.proj.weight[:, :12] = 0
    torch.testing.assert_close(ablated, output(model, noise(model)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("part", ["q", "k", "v", "pattern", "heads"])
def test_any_part_of_attention_is_a_site_like_any_other(tiny_vit, part):
    site, batch = tiny_vit.site(f"image.blocks.1.attention.{part}"), noise(tiny_vit)
    plain, before = output(tiny_vit, batch), at(site, batch)
    captured = lens.capture(tiny_vit, batch, [site])[site.name]
    layer = lens.attention(tiny_vit, list(batch))["image.blocks.1.attention"]
    np.testing.assert_allclose(captured, getattr(layer, part), atol=1e-6)
    with edit.patch(site, noise(tiny_vit, seed=7), tokens=2) + edit.scale(site.head(1), 3.0):
        edited = output(tiny_vit, batch)
        after = at(site, batch)
    other = at(site, noise(tiny_vit, seed=7))
    expected = before.clone()
    expected[:, 2] = other[:, 2]
    second = [unit.index for unit in site.head(1)]
    expected[..., second] *= 3
    torch.testing.assert_close(after, expected)
    assert not torch.allclose(edited, plain, atol=1e-4)
    assert torch.allclose(output(tiny_vit, batch), plain, atol=1e-6) and bare(tiny_vit)


def test_a_tower_s_own_result_that_no_module_gives_is_edited(tiny_rn):
    site = tiny_rn.site("text.embedding")
    assert not site.path
    with edit.zero(site.units([0, 3])):
        edited = tiny_rn.embed(["a dog", "two cats"])
    assert not edited[:, [0, 3]].any() and edited[:, 1].all()
    assert tiny_rn.embed("a dog")[:, [0, 3]].all()


def test_gradients_flow_through_an_edit(tiny_rn):
    site = tiny_rn.site("image.layer4")
    batch = noise(tiny_rn).requires_grad_(True)
    with edit.scale(site, 0.5):
        half = torch.autograd.grad(forward_to(site, batch, detach=False)[site.name].sum(), batch)[0]
    full = torch.autograd.grad(forward_to(site, batch, detach=False)[site.name].sum(), batch)[0]
    torch.testing.assert_close(half, full / 2, rtol=1e-4, atol=1e-5)


def test_an_exception_inside_leaves_nothing(tiny_vit):
    both = edit.zero(tiny_vit.site("image.blocks.0")) + edit.heads(
        tiny_vit, "image.blocks.1.attention", 0
    )
    with pytest.raises(KeyboardInterrupt), both:
        raise KeyboardInterrupt
    assert bare(tiny_vit)
    assert not torch.overrides._get_current_function_mode_stack()


@pytest.mark.parametrize("name", ["image.layer4", "image.embedding", "text.blocks.0"])
def test_laying_out_undoes_by_position(tiny_rn, name):
    site = tiny_rn.site(name)
    batch = noise(tiny_rn) if site.tower == "image" else tiny_rn.tokens(["a dog"])
    tensor = forward_to(site, batch)[site.name]
    assert torch.equal(as_laid_out(site, by_position(site, tensor), tensor.shape), tensor)


def test_bad_edits_are_spoken(tiny_rn, tiny_vit):
    site = tiny_rn.site("image.layer4")
    with pytest.raises(BadInput, match="nothing to edit"):
        edit.zero([])
    with pytest.raises(BadInput, match="Units and sites can be edited, not str"):
        edit.zero(["image.layer4"])
    with pytest.raises(BadInput, match=rf"\(3,\); {site.n_units} units"):
        edit.add(site, torch.ones(3))
    with pytest.raises(BadInput, match="several: image"):
        edit.add([site, tiny_rn.site("image.layer3")], torch.ones(3))
    with pytest.raises(BadInput, match="positions 0 to 3, not 9"):
        edit.zero(site, tokens=9)
    with pytest.raises(UnknownSite, match=r"image\.blocks\.1\.attention"):
        edit.heads(tiny_vit, "image.block.1.attention", 0)
    with pytest.raises(UnitOutOfRange, match="heads 0 to 1, not 2"):
        edit.heads(tiny_vit, "image.blocks.1.attention", 2)
    with (
        pytest.raises(BadInput, match=r"shape \(3, 4\)"),
        edit.apply(site, lambda x: x.sum(2)[:, :4]),
    ):
        output(tiny_rn, noise(tiny_rn))
    assert bare(tiny_rn) and bare(tiny_vit)
