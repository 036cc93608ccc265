"""A trace sees what plain torch sees, with its gradients, and leaves nothing behind."""

import pytest
import torch
from torch import nn

import lens
from lens import edit
from lens.errors import BadInput, UnknownSite
from lens.sites import by_position


def noise(model, count=2, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, *model.image_size, generator=g)


def bare(model):
    quiet = not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())
    return quiet and not torch.overrides._get_current_function_mode_stack()


def test_every_pass_of_both_towers_is_kept(tiny_vit):
    names = ["image.blocks.0", "text.blocks.1", "image.embedding"]
    with torch.no_grad(), lens.trace(tiny_vit, names) as seen:
        first = tiny_vit.run("image", noise(tiny_vit))
        second = tiny_vit.run("image", noise(tiny_vit, seed=1))
        tiny_vit.run("text", tiny_vit.tokens(["a dog"]))
    assert torch.equal(seen["image.embedding"], second)
    for kept, output in zip(seen.passes("image.embedding"), (first, second), strict=True):
        assert torch.equal(kept, output)
    assert len(seen.passes("text.blocks.1")) == 1 and bare(tiny_vit)


def through(model, name, batch, weights):
    """The gradient at a module's output by plain torch: at a zero that is added there."""
    module = model.site(name).module
    zero = torch.zeros(len(batch), *model.site(name).shape, requires_grad=True)
    handle = module.register_forward_hook(lambda m, args, output: output + zero)
    try:
        model.run("image", batch).mul(weights).sum().backward()
    finally:
        handle.remove()
        model.module.zero_grad()
    return zero.grad


@pytest.mark.parametrize(
    ("model", "name"),
    [("tiny_rn", "image.layer2"), ("tiny_rn", "image.stem"), ("tiny_vit", "image.blocks.1"),
     ("tiny_vit", "image.blocks.0.mlp.neurons")],
)  # fmt: skip
def test_gradients_at_a_site_are_those_of_plain_torch(model, name, request):
    model = request.getfixturevalue(model)
    batch = noise(model)
    plain = model.run("image", batch)
    weights = torch.randn(plain.shape, generator=torch.Generator().manual_seed(3))
    with lens.trace(model, [name, "image.embedding"], gradients=True) as seen:
        output = model.run("image", batch)
        value = (output * weights).sum()
    assert torch.equal(output, plain)
    found = seen.gradients(value)
    torch.testing.assert_close(found["image.embedding"], weights)
    torch.testing.assert_close(found[name], through(model, name, batch, weights))
    assert all(p.grad is None for p in model.module.parameters())
    value.backward()
    torch.testing.assert_close(seen[name].grad, found[name])
    model.module.zero_grad()
    assert bare(model)


def test_a_pre_activation_that_is_overwritten_in_place_has_its_gradient(tiny_rn):
    name = "image.layer4.pre_relu"
    with lens.trace(tiny_rn, [name, "image.layer4"], gradients=True) as seen:
        value = tiny_rn.run("image", noise(tiny_rn)).sum()
    found = seen.gradients(value)
    site = tiny_rn.site(name)
    assert (seen[site.name] < 0).any()
    expected = found["image.layer4"] * (seen[site.name] > 0)
    torch.testing.assert_close(found[site.name], expected)


@pytest.mark.parametrize("part", ["q", "k", "v", "pattern", "heads"])
@pytest.mark.parametrize("kind", ["tiny_vit", "timm"])
def test_gradients_at_attention_are_finite_differences(part, kind, request, build):
    """Against a change of the part itself, in the direction of the gradient."""
    if kind == "timm":
        import timm

        module = build(
            timm.create_model, "vit_tiny_patch16_224", num_classes=0, img_size=32, depth=2,
            num_heads=2, embed_dim=24,
        )  # fmt: skip
        model = lens.wrap(module.double(), name="timm")
    else:
        model = request.getfixturevalue(kind)
    name = f"image.blocks.0.attention.{part}"
    site, batch = model.site(name), noise(model)
    plain = model.run("image", batch)
    weights = torch.randn(plain.shape, generator=torch.Generator().manual_seed(3))
    with lens.trace(model, name, gradients=True) as seen:
        output = model.run("image", batch)
    torch.testing.assert_close(output, plain, rtol=0, atol=0)  # to the bit
    gradient = seen.gradients((output * weights).sum())[name]
    step = 1e-3 * by_position(site, gradient).float() / gradient.norm().float()
    ends = []
    for sign in (1, -1):
        with torch.no_grad(), edit.apply(site, lambda x, s=sign: x + s * step.to(x)):
            ends.append((model.run("image", batch) * weights).sum())
    measured = (ends[0] - ends[1]) / 2e-3
    assert float(measured) == pytest.approx(float(gradient.norm()), rel=2e-2)


def test_frozen_weights_still_have_gradients_at_sites(fresh_clip):
    module = fresh_clip("rn")
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    model = lens.wrap(module)
    with lens.trace(model, "image.layer3", gradients=True) as seen:
        value = model.run("image", noise(model)).sum()
    assert seen.gradients(value)["image.layer3"].any()


def test_each_tower_runs_no_further_than_its_last_site(tiny_vit):
    ran = []
    blocks = [*tiny_vit.module.visual.transformer.resblocks, *tiny_vit.module.transformer.resblocks]
    handles = [
        b.register_forward_hook(lambda m, a, o, i=i: ran.append(i)) for i, b in enumerate(blocks)
    ]
    try:
        with lens.trace(tiny_vit, ["image.blocks.1", "text.blocks.0"]) as seen:
            seen.run(image=noise(tiny_vit), text=["a dog", "two cats"])
        assert ran == [
            0,
            1,
            3,
        ]  # of the image tower two blocks of three, of the text tower one of two
        ran.clear()
        with lens.trace(tiny_vit, "image.blocks.1.attention.pattern") as seen:
            seen.run(image=noise(tiny_vit))
        assert ran == [0] and seen["image.blocks.1.attention.pattern"].shape == (2, 2, 17, 17)
    finally:
        for handle in handles:
            handle.remove()
    assert bare(tiny_vit)


def test_a_trace_inside_of_an_edit_sees_it_and_they_are_left_in_any_order(tiny_vit):
    site = tiny_vit.site("image.blocks.1.attention.heads")
    batch = noise(tiny_vit)
    plain = tiny_vit.run("image", batch)
    ablation = edit.zero(site.head(1))
    tracing = lens.trace(tiny_vit, site)
    ablation.__enter__()
    seen = tracing.__enter__()
    edited = tiny_vit.run("image", batch)
    ablation.__exit__(None, None, None)
    assert not seen[site.name][:, 1].any() and seen[site.name][:, 0].any()
    assert not torch.allclose(edited, plain, atol=1e-4)
    torch.testing.assert_close(tiny_vit.run("image", batch), plain)
    tracing.__exit__(None, None, None)
    assert len(seen.passes(site)) == 2 and bare(tiny_vit)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_after_an_error_nothing_is_left_and_the_user_s_hooks_are(tiny_vit, error):
    def broken(module, args):
        raise error

    last = tiny_vit.module.visual.transformer.resblocks[2].attn
    handle = last.register_forward_pre_hook(broken)
    try:
        with (
            pytest.raises(error),
            lens.trace(tiny_vit, ["image.blocks.*", "image.blocks.*.attention.*"]) as seen,
        ):
            tiny_vit.run("image", noise(tiny_vit))
        assert list(last._forward_pre_hooks.values()) == [broken]
        assert seen["image.blocks.1"].shape == (2, 17, 32)  # what was done is kept
    finally:
        handle.remove()
    assert bare(tiny_vit)


def test_what_makes_no_sense_is_spoken(tiny_vit):
    with lens.trace(tiny_vit, "image.blocks.0") as seen:
        with pytest.raises(BadInput, match="has not run yet"):
            seen["image.blocks.0"]
        with pytest.raises(UnknownSite, match=r"image\.blocks\.0"):
            seen["image.block.0"]
        with pytest.raises(UnknownSite, match="not traced"):
            seen.passes("image.blocks.1")
        with pytest.raises(BadInput, match="nothing to run"):
            seen.run()
        with pytest.raises(BadInput, match="No site of the text tower"):
            seen.run(text="a dog")
        value = tiny_vit.run("image", noise(tiny_vit))
    with pytest.raises(BadInput, match=r"one number, not of \(2, 24\)"):
        seen.gradients(value)
    with pytest.raises(BadInput, match="gradients=True"):
        seen.gradients(value.sum())
    with lens.trace(tiny_vit, "image.blocks.0", gradients=True) as seen:
        tiny_vit.run("image", noise(tiny_vit))
    with pytest.raises(BadInput, match="none of the sites"):
        seen.gradients(nn.Parameter(torch.ones(())) * 2)
