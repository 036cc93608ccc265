import numpy as np
import pytest
import torch
from torch import nn

import lens
from lens.capture.hooks import forward_to
from lens.errors import BadInput


def noisy(model, count=3):
    g = torch.Generator().manual_seed(0)
    batch = model.example("cross", count)
    return {
        name: torch.randn(tensor.shape, generator=g)
        if tensor.is_floating_point()
        else torch.arange(1, count + 1)
        for name, tensor in batch.items()
    }


@pytest.mark.parametrize("name", ["wan", "cogvideox"])
def test_one_step_is_looked_into_by_name(family, name):
    model = family(name)
    assert model.towers == ["cross"]
    assert model.reads("cross") == {}
    assert "pictures of" not in repr(model)
    assert [s.name for s in model.sites if s.kind != "attention"] == [
        "cross.blocks.0.mlp.neurons",
        "cross.blocks.0",
        "cross.blocks.1.mlp.neurons",
        "cross.blocks.1",
    ]
    batch = noisy(model)
    acts = lens.capture(model, batch, "cross.blocks.*", batch_size=2, progress=False)
    taken = forward_to(model.site("cross.blocks.1"), batch)["cross.blocks.1"]
    np.testing.assert_allclose(acts["cross.blocks.1"], taken.numpy(), atol=1e-5)
    # Rows by themselves, without a batch axis, are the same inputs.
    rows = [{k: t[i] for k, t in batch.items()} for i in range(3)]
    again = lens.capture(model, rows, "cross.blocks.1", progress=False)
    np.testing.assert_allclose(again["cross.blocks.1"], taken.numpy(), atol=1e-5)


def test_the_neurons_are_what_the_second_layer_takes(family):
    model = family("wan")
    neurons, block = model.site("cross.blocks.0.mlp.neurons"), model.site("blocks.0.ffn")
    taken = forward_to([neurons, block], noisy(model))
    with torch.no_grad():
        mixed = model.module.blocks[0].ffn.net[2](taken[neurons.name])
    torch.testing.assert_close(mixed, taken[block.name])


def test_what_a_model_takes_has_to_be_said_where_it_is_not_known(build):
    import diffusers

    module = build(
        diffusers.LTXVideoTransformer3DModel, in_channels=4, out_channels=4, num_layers=1,
        num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16, caption_channels=16,
    )  # fmt: skip
    with pytest.raises(BadInput, match=r"dict of\s+the tensors"):
        lens.wrap(module)


def test_bad_batches_are_told_in_one_sentence(family):
    model = family("wan")
    batch = noisy(model)
    with pytest.raises(BadInput, match="disagree on how many"):
        lens.capture(
            model, {**batch, "timestep": torch.arange(2)}, "cross.blocks.0", progress=False
        )
    with pytest.raises(BadInput, match="dict of tensors named hidden_states, timestep"):
        lens.capture(model, ["a dog"], "cross.blocks.0", progress=False)
    short = {"hidden_states": batch["hidden_states"]}
    with pytest.raises(BadInput, match=r"it takes \{'hidden_states'"):
        lens.capture(model, short, "cross.blocks.0", progress=False)


class Pair(nn.Module):
    """One's own module of two inputs."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(3, 4), nn.Linear(5, 4)
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

    def forward(self, left, right):
        x = self.left(left) + self.right(right)
        for layer in self.layers:
            x = layer(x).relu()
        return x


def test_a_mapping_as_an_example_opens_any_module_of_several_inputs(build):
    example = {"left": torch.zeros(1, 3), "right": torch.zeros(1, 5)}
    model = lens.wrap(build(Pair), example=example)
    assert model.sites.names == ["cross.blocks.0", "cross.blocks.1", "cross.output"]
    assert model.input_shape("cross") == {"left": (3,), "right": (5,)}
    batch = {"left": torch.randn(4, 3), "right": torch.randn(4, 5)}
    acts = lens.capture(model, batch, ["left", "cross.output"], progress=False)
    with torch.no_grad():
        np.testing.assert_allclose(acts["cross.output"], model.module(**batch), atol=1e-6)
        np.testing.assert_allclose(acts["left"], model.module.left(batch["left"]), atol=1e-6)
    with pytest.raises(BadInput, match="'right' is no tensor"):
        lens.wrap(build(Pair), example={"left": torch.zeros(1, 3), "right": 3})
