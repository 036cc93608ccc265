"""Whoever listens to attention hears the modules that are named, in order, and leaves no trace."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lens.families.listening import listen


class Attends(nn.Module):
    """Attends to what it gets, and has another one inside."""

    def __init__(self, inner=None):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        y = F.scaled_dot_product_attention(x, x, x)
        return y + self.inner(2 * x) if self.inner is not None else y


def modes():
    return torch.overrides._get_current_function_mode_stack()


def bare(module):
    return not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def x():
    return torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))


def test_a_module_s_own_calls_are_heard_and_not_those_inside_of_it_or_outside():
    module = Attends(Attends())
    outer, inner = [], []
    ends = [listen(module, outer.append), listen(module.inner, inner.append)]
    module(x())
    F.scaled_dot_product_attention(x(), x(), x())
    for end in ends:
        end()
    assert len(outer) == len(inner) == 1
    assert torch.equal(outer[0].q, x()) and torch.equal(inner[0].q, 2 * x())
    assert bare(module) and not modes()
    module(x())
    assert len(outer) == len(inner) == 1


def test_several_hear_in_order_and_each_what_the_one_before_made_of_it():
    module = Attends()
    plain = module(x())
    heard = []
    ends = [
        listen(module, lambda call: call.changed("heads", call.heads * 2)),
        listen(module, lambda call: heard.append(call.heads)),
        listen(module, lambda call: call.changed("heads", call.heads + 1)),
    ]
    torch.testing.assert_close(module(x()), plain * 2 + 1)
    torch.testing.assert_close(heard[0], plain * 2)
    ends[0]()  # left first, though it came first
    torch.testing.assert_close(module(x()), plain + 1)
    ends[2](), ends[1]()
    assert torch.equal(module(x()), plain) and bare(module) and not modes()


@pytest.mark.parametrize("part", ["q", "k", "v", "pattern", "heads"])
def test_a_changed_part_changes_what_follows_from_it(part):
    module = Attends()
    g = torch.Generator().manual_seed(1)
    given = {}

    def change(call):
        value = getattr(call, part)
        given[part] = torch.randn(value.shape, generator=g)
        return call.changed(part, given[part])

    end = listen(module, change)
    output = module(x())
    end()
    q, k, v = (given.get(name, x()) for name in "qkv")
    pattern = given.get("pattern", (q @ k.mT / 2).softmax(-1))
    torch.testing.assert_close(output, given.get("heads", pattern @ v))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_inside_of_the_module_leaves_nothing(error):
    class Breaks(Attends):
        def forward(self, x):
            super().forward(x)
            raise error

    module = nn.Sequential(Breaks(), Attends())
    ends = [listen(child, lambda call: None) for child in module]
    with pytest.raises(error):
        module(x())
    module[1](x())  # and it goes on working before anybody leaves
    for end in ends:
        end()
    assert bare(module) and not modes()


def test_an_interrupted_module_is_heard_once_when_it_runs_again():
    stops = [KeyboardInterrupt]

    class Breaks(Attends):
        def forward(self, x):
            if stops:
                raise stops.pop()
            return super().forward(x)

    module, heard = Breaks(), []
    end = listen(module, heard.append)
    with pytest.raises(KeyboardInterrupt):
        module(x())
    module(x())
    end()
    assert len(heard) == 1 and not modes()
