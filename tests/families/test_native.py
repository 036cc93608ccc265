"""torch's own attention kernel goes on running while it is listened to, and tells its pattern."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from lens.families.listening import listen
from lens.families.native import Native

PARTS = ("q", "k", "v", "pattern", "heads")


def layer(width=24, heads=4, **options):
    torch.manual_seed(0)
    made = nn.MultiheadAttention(width, heads, batch_first=True, **options).eval()
    with torch.no_grad():
        made.in_proj_bias.normal_() if made.in_proj_bias is not None else None
        made.out_proj.bias.normal_() if made.out_proj.bias is not None else None
    return made


def tokens(batch=3, count=7, width=24):
    return 2 * torch.randn(batch, count, width, generator=torch.Generator().manual_seed(1))


def told(module, run):
    """What a run returns, and the calls that a listener hears meanwhile."""
    heard = []
    end = listen(module, heard.append)
    try:
        return run(), heard
    finally:
        end()


def by_hand(module, x):
    """The layer in float64, head by head, in the plainest way."""
    x, heads = x.double(), []
    weight, bias = module.in_proj_weight.double(), module.in_proj_bias.double()
    q, k, v = (x @ w.T + b for w, b in zip(weight.chunk(3), bias.chunk(3), strict=True))
    width = module.head_dim
    for i in range(module.num_heads):
        part = slice(i * width, (i + 1) * width)
        scores = q[..., part] @ k[..., part].mT / width**0.5
        pattern = scores.softmax(-1)
        heads.append((q[..., part], k[..., part], v[..., part], pattern, pattern @ v[..., part]))
    together = (torch.stack(part, 1) for part in zip(*heads, strict=True))
    return dict(zip(PARTS, together, strict=True))


class Kernels(TorchDispatchMode):
    """The names of what runs."""

    def __init__(self):
        super().__init__()
        self.ran = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.ran.append(func.name())
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def test_the_kernel_runs_gives_the_same_bits_and_every_part_is_right():
    module, x = layer(), tokens()
    plain = module(x, x, x, need_weights=False)
    with Kernels() as kernels:
        (output, weights), (call,) = told(module, lambda: module(x, x, x, need_weights=False))
    assert "aten::_native_multi_head_attention" in kernels.ran
    assert torch.equal(output, plain[0]) and weights is None and isinstance(call, Native)
    expected = by_hand(module, x)
    assert call.shapes == {part: tuple(expected[part].shape) for part in PARTS}
    for part in PARTS:
        torch.testing.assert_close(getattr(call, part).double(), expected[part], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_hook_of_the_user_s_own_sees_what_the_user_asked_for():
    module, x, seen = layer(), tokens(), []
    module.register_forward_hook(lambda module, args, output: seen.append(output[1]))
    told(module, lambda: module(x, x, x, need_weights=False))
    module(x, x, x, need_weights=False)
    assert seen == [None, None]


@torch.no_grad()
@pytest.mark.parametrize("part", PARTS)
def test_a_changed_part_changes_what_follows_from_it(part):
    module, x = layer(), tokens()
    expected = by_hand(module, x)
    new = torch.randn(
        expected[part].shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    expected[part] = new
    if part in "qk":
        width = module.head_dim
        expected["pattern"] = (expected["q"] @ expected["k"].mT / width**0.5).softmax(-1)
    if part != "heads":
        expected["heads"] = expected["pattern"] @ expected["v"]
    mixed = expected["heads"].transpose(1, 2).flatten(2)
    wanted = F.linear(mixed, module.out_proj.weight.double(), module.out_proj.bias.double())
    end = listen(module, lambda call: call.changed(part, new.float()))
    output, _ = module(x, x, x, need_weights=False)
    end()
    torch.testing.assert_close(output.double(), wanted, rtol=0, atol=1e-4)


CAUSAL, PADDED = torch.ones(7, 7, dtype=torch.bool).triu(1), torch.arange(7).expand(3, 7) > 4
ADDED = torch.zeros(7, 7).masked_fill(CAUSAL, float("-inf"))
CASES = {
    "masked": (layer, {"attn_mask": CAUSAL}),
    "masked by numbers": (layer, {"attn_mask": ADDED}),
    "padded": (layer, {"key_padding_mask": PADDED}),
    "masked and padded": (layer, {"attn_mask": CAUSAL, "key_padding_mask": PADDED}),
    "a mask for every head": (layer, {"attn_mask": CAUSAL.expand(12, 7, 7)}),
    "weights wanted": (layer, {"need_weights": True}),
    "a head's weights wanted": (layer, {"need_weights": True, "average_attn_weights": False}),
    "odd heads": (lambda: layer(heads=3), {}),
    "bias of its own": (lambda: layer(add_bias_kv=True), {}),
    "a zero added": (lambda: layer(add_zero_attn=True), {}),
    "training": (lambda: layer().train(), {}),
    "no bias": (lambda: layer(bias=False), {}),
    "half precision": (lambda: layer().bfloat16(), {}),
    "double precision": (lambda: layer().double(), {}),
}


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_in_every_other_case_too_looking_changes_no_bit_and_rows_sum_to_one(case):
    make, options = CASES[case]
    module = make()
    x = tokens().to(module.in_proj_weight.dtype)
    options = {"need_weights": False} | options
    plain = module(x, x, x, **options)
    output, (call,) = told(module, lambda: module(x, x, x, **options))
    for one, other in zip(plain, output, strict=True):
        assert one is other is None or torch.equal(one, other)
    coarse = 0.02 if x.dtype == torch.bfloat16 else 1e-5
    assert (call.pattern.sum(-1) - 1).abs().max() < coarse
    hidden = torch.zeros(7, 7, dtype=torch.bool)
    hidden = hidden | CAUSAL if "attn_mask" in options else hidden
    hidden = hidden | PADDED[:, None, None] if "key_padding_mask" in options else hidden
    looked_at = call.pattern[..., :7] > 0  # a bias or a zero of the layer's own comes after
    assert torch.equal(looked_at, ~hidden.expand(looked_at.shape))
    if case not in ("bias of its own", "a zero added", "no bias"):
        parts = (call.q.double() @ call.k.double().mT) / module.head_dim**0.5
        expected = parts.masked_fill(hidden, float("-inf")).softmax(-1)
        torch.testing.assert_close(call.pattern.double(), expected, rtol=0, atol=coarse)


def test_with_gradients_or_another_s_keys_the_module_is_watched_as_ever():
    module, x = layer(), tokens()
    for run in (
        lambda: module(x, x, x, need_weights=False),
        torch.no_grad()(lambda: module(x, x.flip(1), x.flip(1), need_weights=False)),
    ):
        plain = run()
        output, (call,) = told(module, run)
        assert torch.equal(plain[0], output[0]) and not isinstance(call, Native)


def test_under_autocast_and_with_frozen_weights_the_kernel_runs_as_it_does_unheard():
    module, x = layer().requires_grad_(False), tokens()
    for autocast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            plain = module(x, x, x, need_weights=False)
            output, (call,) = told(module, lambda: module(x, x, x, need_weights=False))
        assert torch.equal(plain[0], output[0]) and isinstance(call, Native)


@torch.no_grad()
def test_an_error_after_the_module_was_asked_leaves_the_next_call_as_it_is():
    module, x = layer(), tokens()
    heard = []
    end = listen(module, heard.append)
    narrow = x[..., :5]
    with pytest.raises(RuntimeError):
        module(narrow, narrow, narrow, need_weights=False)
    output, weights = module(x, x, x, need_weights=True)
    end()
    assert weights.shape == (3, 7, 7) and len(heard) == 1
    assert torch.equal(output, module(x, x, x, need_weights=True)[0])


@torch.no_grad()
def test_a_query_that_may_look_at_nothing_has_a_row_of_zeros():
    module, x = layer(), tokens()
    nothing = torch.zeros(3, 7, dtype=torch.bool)
    nothing[1] = True
    options = {"need_weights": False, "key_padding_mask": nothing}
    _, (call,) = told(module, lambda: module(x, x, x, **options))
    assert (call.pattern[1] == 0).all() and (call.pattern[[0, 2]].sum(-1) > 0.999).all()
