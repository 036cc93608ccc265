"""Models go where they are sent, or say in one sentence why not."""

import numpy as np
import pytest
import torch
from accelerate import dispatch_model

import lens
from lens.devices import chosen_device, moved
from lens.errors import BadInput


def test_devices_that_are_not_there_are_spoken(monkeypatch):
    assert chosen_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_device(None) == torch.device("cpu")
    with pytest.raises(BadInput, match="no cuda device on this machine"):
        chosen_device("cuda")
    with pytest.raises(BadInput, match=r"device is 'cpu', 'cuda'.* not 'gpu'"):
        lens.load(device="gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(BadInput, match="has 2 GPUs, no cuda:2"):
        chosen_device("cuda:2")


def test_weights_of_another_type_are_looked_at_in_it(fresh_clip, small_pictures):
    model = lens.wrap(fresh_clip("vit"), dtype=torch.bfloat16)
    assert model.dtype == torch.bfloat16 == model.run("image", torch.zeros(1, 3, 32, 32)).dtype
    acts = lens.capture(model, small_pictures, "image.blocks.*", progress=False)
    full = lens.capture(
        lens.wrap(fresh_clip("vit")), small_pictures, "image.blocks.*", progress=False
    )
    for name in acts:
        assert acts[name].dtype == np.float32
        np.testing.assert_allclose(acts[name], full[name], atol=0.05 * abs(full[name]).max())


def test_autocast_is_asked_for(tiny_vit, small_pictures):
    full = lens.capture(tiny_vit, small_pictures, "image.blocks.1", progress=False)
    half = lens.capture(
        tiny_vit, small_pictures, "image.blocks.1", precision="bf16", progress=False
    )
    one, other = full["image.blocks.1"], half["image.blocks.1"]
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(one, other, atol=0.05 * abs(one).max())
    with pytest.raises(BadInput, match="precision is"):
        lens.capture(tiny_vit, small_pictures, "image.blocks.1", precision="fp8", progress=False)


def test_what_accelerate_has_spread_stays_where_it_is(fresh_clip, pictures):
    plain = lens.capture(lens.wrap(fresh_clip("rn")), pictures, "image.layer4", progress=False)
    module = dispatch_model(fresh_clip("rn"), device_map={"": "cpu"}, force_hooks=True)
    spread = lens.capture(lens.wrap(module), pictures, "image.layer4", progress=False)
    np.testing.assert_array_equal(spread["image.layer4"], plain["image.layer4"])
    with pytest.raises(BadInput, match="spread over devices by accelerate"):
        moved(module, "cpu")
