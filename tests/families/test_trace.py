import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lens.families.trace import evaluating, first_tensor, layout_of, trace


@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((2, 7), (224, 224), ("BD", 7, (7,))),
        ((2, 50, 16), (224, 224), ("BTD", 16, (50, 16))),
        ((50, 2, 16), (224, 224), ("TBD", 16, (50, 16))),
        ((2, 16, 7, 7), (224, 224), ("BCHW", 16, (16, 7, 7))),
        ((2, 7, 7, 16), (224, 224), ("BHWC", 16, (7, 7, 16))),
        ((2, 16, 4, 8), (112, 224), ("BCHW", 16, (16, 4, 8))),
        ((2, 4, 8, 24), (112, 224), ("BHWC", 24, (4, 8, 24))),
        ((2, 7, 7, 7), (224, 224), ("BCHW", 7, (7, 7, 7))),
    ],
)
def test_layouts(shape, size, expected):
    assert layout_of(shape, size) == expected


@pytest.mark.parametrize("shape", [None, (), (2,), (5, 7), (8, 9, 16), (8, 16, 7, 7), (2,) * 5])
def test_tensors_without_a_batch_axis_have_no_layout(shape):
    assert layout_of(shape, (224, 224)) is None


@given(st.integers(3, 40), st.integers(1, 40), st.integers(1, 40))
def test_convolutional_maps_are_never_taken_for_channels_last(channels, height, width):
    """Whatever the stride, the proportions of the map are those of the picture."""
    size = (height * 8, width * 8)
    assert layout_of((2, channels, height, width), size)[0] == "BCHW"


def test_the_trial_counts_calls_and_leaves_no_trace():
    relu = nn.ReLU(inplace=True)
    module = nn.Sequential(nn.Linear(4, 5), relu, nn.Linear(5, 5), relu, nn.Dropout(0.5)).train()
    mine = module[0].register_forward_hook(lambda *args: None)
    ran = trace(module, lambda m, x: m(x), torch.zeros(2, 4))
    assert ran["1"].calls == ran["3"].calls == 2
    assert ran["0"].output == (2, 5)
    assert ran["0"].input == (2, 4)
    assert module.training
    assert module[4].training
    assert list(module[0]._forward_hooks) == [mine.id]
    assert not any(m._forward_pre_hooks for m in module.modules())


def test_an_error_in_the_trial_leaves_no_trace():
    module = nn.Sequential(nn.Linear(4, 5), nn.Linear(4, 5))
    with pytest.raises(RuntimeError):
        trace(module, lambda m, x: m(x), torch.zeros(2, 4))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def test_evaluating_gives_every_module_its_own_mode_back():
    module = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    module[1].eval()
    with pytest.raises(ZeroDivisionError), evaluating(module):
        assert not any(m.training for m in module.modules())
        1 / 0  # noqa: B018
    assert [m.training for m in module.modules()] == [True, True, False, False]


def test_the_first_tensor_however_it_is_packed():
    tensor = torch.zeros(1)
    for packed in (tensor, (tensor, 3), [None, (tensor,)], {"a": None, "b": tensor}, ((), tensor)):
        assert first_tensor(packed) is tensor
    assert first_tensor((1, "a", None)) is None
