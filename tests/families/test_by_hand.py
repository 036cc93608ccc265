"""Attention that is written out is read as it was computed."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

import lens
from lens import edit
from lens.errors import BadInput
from lens.families.attending import Watch


class Eager(nn.Module):
    """What transformers calls eager, in any of its spellings."""

    def __init__(self, spelling="functions"):
        super().__init__()
        torch.manual_seed(0)
        self.qkv = nn.Linear(12, 36)
        self.out = nn.Linear(12, 12)
        self.softmax = nn.Softmax(dim=-1)
        self.spelling = spelling

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 6)).permute(2, 0, 3, 1, 4)
        if self.spelling == "functions":
            scores = torch.matmul(q, k.transpose(2, 3)) * 6**-0.5
            p = F.dropout(F.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype), 0.1, False)
            heads = torch.matmul(p, v)
        elif self.spelling == "operators":
            heads = self.softmax((q * 6**-0.5) @ k.mT) @ v
        else:
            heads = q.matmul(k.mT).mul(6**-0.5).softmax(-1).matmul(v)
        return x + self.out(heads.transpose(1, 2).flatten(2))


def opened(spelling="functions"):
    return lens.wrap(nn.Sequential(Eager(spelling)), example=torch.zeros(1, 5, 12))


def x():
    return torch.randn(3, 5, 12, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("spelling", ["functions", "operators", "methods"])
def test_pattern_and_heads_are_the_models_own(spelling):
    model = opened(spelling)
    (layer,) = model.attention_layers("image")
    with torch.no_grad(), lens.trace(model, f"{layer}.*") as seen:
        plain = model.run("image", x())
    q, k, v = model.module[0].qkv(x()).unflatten(-1, (3, 2, 6)).permute(2, 0, 3, 1, 4)
    pattern = (q @ k.mT * 6**-0.5).softmax(-1)
    torch.testing.assert_close(seen[f"{layer}.pattern"], pattern)
    torch.testing.assert_close(seen[f"{layer}.heads"], pattern @ v)
    torch.testing.assert_close(seen[f"{layer}.v"], v)
    with torch.no_grad():
        assert torch.equal(model.run("image", x()), plain)


def test_edits_and_gradients_of_what_the_model_wrote_out():
    model = opened()
    (layer,) = model.attention_layers("image")
    module = model.module[0]
    with torch.no_grad():
        with edit.heads(model, layer, 1):
            ablated = model.run("image", x())
        kept = module.out.weight.clone()
        module.out.weight[:, 6:] = 0
        torch.testing.assert_close(ablated, model.run("image", x()))
        module.out.weight[:] = kept
        even = edit.apply(model.site(f"{layer}.pattern"), lambda p: torch.full_like(p, 1 / 5))
        with even:
            flat = model.run("image", x())
        v = module.qkv(x())[..., 24:].mean(1, keepdim=True).expand(-1, 5, -1)
        torch.testing.assert_close(flat, x() + module.out(v))
    with lens.trace(model, f"{layer}.*", gradients=True) as seen:
        value = model.run("image", x()).square().sum()
    found = seen.gradients(value)
    # The model multiplies with the keys turned over: what is shown is no part of its graph.
    assert set(found) == {f"{layer}.{part}" for part in ("q", "v", "pattern", "heads")}
    through = torch.autograd.grad(value, seen[f"{layer}.heads"], retain_graph=True)[0]
    expected = through @ seen[f"{layer}.v"].mT
    torch.testing.assert_close(found[f"{layer}.pattern"], expected)
    with (
        pytest.raises(BadInput, match="edit its pattern, v or heads"),
        edit.zero(model.site(f"{layer}.q")),
    ):
        model.run("image", x())
    assert not torch.overrides._get_current_function_mode_stack()


def test_other_products_are_no_attention():
    heard = []
    q = torch.randn(2, 3, 5, 4)
    with Watch(heard.append):
        (q @ q.mT).softmax(-1)  # nothing is made of it
        q.mT @ q
        q[0] @ q[0].mT
        (q.softmax(-1) @ q.mT) @ q  # no scores before it
    assert not heard


def test_windows_of_a_swin_are_read(build):
    module = build(
        torchvision.models.SwinTransformer, patch_size=[4, 4], embed_dim=12, depths=[1, 1],
        num_heads=[1, 2], window_size=[4, 4], num_classes=3,
    )  # fmt: skip
    model = lens.wrap(module, example=torch.zeros(1, 3, 32, 32))
    maps = lens.attention(model, torch.randn(3, 32, 32))
    assert len(maps) == 2
    for layer in maps.values():
        assert layer.pattern.shape[-2:] == (16, 16)
        assert abs(layer.pattern.sum(-1) - 1).max() < 1e-5
