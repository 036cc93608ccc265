"""The parts of a tower's output: their sum is the output, and each is what it is called."""

import numpy as np
import pytest
import timm
import torch

import lens
from lens import edit
from lens.capture.residual import decompose
from lens.errors import BadInput


def noise(model, count=2):
    g = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, *model.image_size, generator=g)


@pytest.mark.parametrize(
    ("name", "tower"),
    [("tiny_vit", "image"), ("tiny_vit", "text"), ("tiny_custom", "text"), ("tiny_coca", "text")],
)
def test_the_parts_add_up_to_the_output(name, tower, request):
    model = request.getfixturevalue(name)
    inputs = noise(model) if tower == "image" else ["a dog", "two very black cats"]
    found = decompose(model, inputs, tower)
    batch = inputs if tower == "image" else model.tokens(inputs)
    with torch.no_grad():
        output = model.run(tower, batch).numpy()
    assert found.error < 1e-5
    np.testing.assert_allclose(found.values.sum(1), output, atol=1e-5 * abs(output).max())
    blocks = [s for s in model.sites if s.tower == tower and s.kind == "block"]
    heads = model.site(f"{blocks[0].name}.attention.heads").n_heads
    assert len(found.parts) == 2 + len(blocks) * (heads + 1) == found.values.shape[1]
    direction = np.linspace(-1, 1, output.shape[1]).astype(np.float32)
    frame = found.frame(direction)
    assert list(frame.columns) == found.parts
    np.testing.assert_allclose(frame.sum(1), output @ direction, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("pool", ["token", "avg"])
@pytest.mark.parametrize("scaled", [None, 0.3])
def test_a_timm_transformer_with_layer_scale_and_either_pooling(pool, scaled, build):
    module = build(
        timm.create_model, "vit_tiny_patch16_224", num_classes=7, img_size=32, depth=2, num_heads=2,
        embed_dim=24, global_pool=pool, init_values=scaled,
    )  # fmt: skip
    model = lens.wrap(module, name="timm")
    found = decompose(model, noise(model))
    with torch.no_grad():
        output = module.eval()(noise(model))
    np.testing.assert_allclose(found.values.sum(1), output, atol=1e-5)


def test_the_last_head_s_part_is_what_ablating_it_takes_away(tiny_vit):
    """To first order of the last norm: its own change of scale is what the parts hold fixed."""
    module = tiny_vit.module.visual
    site = tiny_vit.site("image.blocks.2.attention.heads")
    found = decompose(tiny_vit, noise(tiny_vit))
    part = found.values[:, found.parts.index("blocks.2.head.1")]
    frozen = {}

    def remember(norm, args, output):
        x = args[0]
        frozen["rate"] = (x.var(-1, unbiased=False, keepdim=True) + norm.eps).rsqrt()

    def hold(norm, args, output):
        x = args[0]
        return (x - x.mean(-1, keepdim=True)) * frozen["rate"] * norm.weight + norm.bias

    # The last MLP sees the head as well: it is held by being patched.
    with torch.no_grad():
        handle = module.ln_post.register_forward_hook(remember)
        plain = tiny_vit.run("image", noise(tiny_vit))
        handle.remove()
        last = tiny_vit.site("visual.transformer.resblocks.2.mlp")
        handle = module.ln_post.register_forward_hook(hold)
        try:
            with edit.patch(last, noise(tiny_vit)) + edit.zero(site.head(1)):
                ablated = tiny_vit.run("image", noise(tiny_vit))
        finally:
            handle.remove()
    np.testing.assert_allclose(plain - ablated, part, atol=1e-5)


def test_what_is_no_such_transformer_is_spoken(tiny_rn, tiny_coca, build):
    with pytest.raises(BadInput, match="no transformer with one residual stream"):
        decompose(tiny_rn, noise(tiny_rn))
    with pytest.raises(BadInput, match="can't be decomposed"):
        decompose(tiny_coca, noise(tiny_coca))
