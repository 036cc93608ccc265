"""One pass over the stimuli gives what the model itself computes, and is shared."""

import functools

import numpy as np
import pandas as pd
import pytest
import torch

from lens.capture.hooks import forward_to
from lens.errors import BadInput
from lens.neurons import responses as module
from lens.neurons.multimodal import multimodal
from lens.neurons.responses import default_site, responses

exact = functools.partial(responses, precision="fp32")


@pytest.fixture(autouse=True)
def _fresh():
    module._kept.clear()
    yield
    module._kept.clear()


def as_batch(model, stimuli):
    return torch.stack([model.preprocess(stimuli[i]) for i in range(len(stimuli))])


def count_forwards(model, monkeypatch):
    calls = []
    run = type(model).run

    def counting(self, tower, batch):
        calls.append((tower, len(batch)))
        return run(self, tower, batch)

    monkeypatch.setattr(type(model), "run", counting)
    return calls


def test_values_are_pre_relu_spatial_means(model, stimuli):
    measured = exact(model.site("image.layer4"), stimuli, batch_size=32, progress=False)
    site = model.site("image.layer4").pre_activation
    with torch.no_grad():
        maps = forward_to([site], as_batch(model, stimuli))[site.name]
    assert measured.site == site
    assert measured.values.dtype == np.float32
    np.testing.assert_allclose(measured.values, maps.mean((2, 3)), atol=1e-5)
    assert (measured.values < 0).any()  # not what the ReLU leaves
    assert (measured.values.shape, len(measured.table)) == ((72, site.n_units), 72)


def test_embeddings_come_from_the_same_pass(model, stimuli, monkeypatch):
    calls = count_forwards(model, monkeypatch)
    measured = exact(model.site("image.layer4"), stimuli, batch_size=24, progress=False)
    assert calls == [("image", 24)] * 3
    np.testing.assert_allclose(
        measured.embeddings, model.embed([stimuli[i] for i in range(72)]), atol=1e-5
    )


def test_the_same_pass_is_shared_and_old_ones_are_dropped(model, stimuli, monkeypatch):
    first = exact(model.site("image.layer4"), stimuli, progress=False)
    calls = count_forwards(model, monkeypatch)
    assert exact(model.site("visual.layer4").pre_activation, stimuli, progress=False) is not first
    calls.clear()
    again = stimuli.where()  # the same content, another object
    assert again is not stimuli
    assert exact(model.site("image.layer4"), again, progress=False) is first
    multimodal(model, "image.layer4", stimuli, precision="fp32", progress=False)
    assert calls == []
    for name in ("image.layer1", "image.layer2", "image.layer3"):
        exact(model.site(name), stimuli, progress=False)
    assert len(module._kept) == module.KEPT
    assert exact(model.site("image.layer4"), stimuli, progress=False) is not first


def test_a_second_site_ends_early_and_keeps_the_embeddings(model, stimuli):
    first = exact(model.site("image.layer4"), stimuli, progress=False)
    reached = []
    handle = model.module.visual.layer4.register_forward_hook(lambda *_: reached.append(1))
    try:
        second = exact(model.site("image.layer2"), stimuli, progress=False)
    finally:
        handle.remove()
    assert reached == []
    assert second.embeddings is first.embeddings


def test_class_token_and_mean_token_of_a_vit(vit, stimuli):
    site = vit.site("image.blocks.1.mlp.neurons")
    with torch.no_grad():
        tokens = forward_to([site], as_batch(vit, stimuli))[site.name]
    default = exact(site, stimuli, progress=False)
    mean = exact(site, stimuli, pool="mean", progress=False)
    assert default.pool == "cls"
    np.testing.assert_allclose(default.values, tokens[:, 0], atol=1e-5)
    np.testing.assert_allclose(mean.values, tokens[:, 1:].mean(1), atol=1e-5)


def test_stimuli_of_another_size_go_through_the_model_s_own_preprocessing(model):
    from lens.data import glyphs

    larger = glyphs().stimuli(per_cell=2, size=96, concepts=["dog", "fish"], renderings=["word"])
    measured = exact(model.site("image.layer4"), larger, progress=False)
    site = measured.site
    with torch.no_grad():
        maps = forward_to([site], as_batch(model, larger))[site.name]
    np.testing.assert_allclose(measured.values, maps.mean((2, 3)), atol=1e-5)


def test_any_pictures_with_a_table_will_do(model):
    class Own:
        table = pd.DataFrame({"concept": ["a", "b"] * 4, "rendering": ["x"] * 4 + ["y"] * 4})

        def __len__(self):
            return 8

        def __getitem__(self, i):
            return np.random.default_rng(i).random((40, 30, 3)), i

    found = multimodal(model, stimuli=Own(), progress=False)
    assert set(found.columns) >= {"auroc_x", "auroc_y"}
    assert found.gap.isna().all()


def test_default_site(model, vit):
    assert default_site(model).name == "image.layer4"
    assert default_site(vit).name == "image.blocks.1.mlp.neurons"


def test_what_can_t_be_measured(model, stimuli):
    with pytest.raises(BadInput, match="text tower"):
        exact(model.site("text.blocks.0"), stimuli)
    with pytest.raises(BadInput, match="table"):
        exact(model.site("image.layer4"), [np.zeros((32, 32, 3))])
    with pytest.raises(BadInput, match="class token"):
        exact(model.site("image.layer4"), stimuli, pool="cls", progress=False)


def test_the_model_is_left_as_it_was(model, stimuli):
    exact(model.site("image.layer4"), stimuli, progress=False)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.module.modules())
    assert all(p.grad is None for p in model.module.parameters())


def test_bfloat16_is_near_and_kept_apart(model, stimuli):
    site = model.site("image.layer4")
    full, half = (
        responses(site, stimuli, precision=each, progress=False) for each in ("fp32", "bf16")
    )
    assert half.values.dtype == np.float32
    off = np.abs(half.values - full.values).max() / np.abs(full.values).max()
    assert 0 < off < 0.03
    assert responses(site, stimuli, precision="bf16", progress=False) is half
    with pytest.raises(BadInput, match="precision is 'auto', 'fp32' or 'bf16', not 'int8'"):
        responses(site, stimuli, precision="int8", progress=False)
