import pytest
import torch

from lens.errors import BadInput
from lens.precision import autocast, in_bf16, takes_bf16


def test_auto_is_what_the_machine_is_faster_at():
    assert in_bf16("auto", "cpu") == takes_bf16("cpu")
    assert in_bf16("bf16", "cpu")
    assert not in_bf16("fp32", "cpu")


def test_an_unknown_precision_is_named():
    with pytest.raises(BadInput, match="precision is 'auto', 'fp32' or 'bf16', not 'fp8'"):
        in_bf16("fp8", "cpu")


@pytest.mark.parametrize("bf16", [True, False])
def test_autocast_changes_what_is_multiplied(bf16):
    with autocast("cpu", bf16):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if bf16 else torch.float32)
