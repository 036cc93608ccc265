"""Ablating a head is what a model without its columns of the output projection computes."""

from __future__ import annotations

import copy

import pytest
import torch

import lens
from lens.attribution import head_scores
from lens.errors import BadInput, UnknownSite


def cosine(model, picture, text):
    image, words = model.embed([picture])[0], model.embed([text])[0]
    return float(image.astype("float64") @ words)


def test_the_change_is_that_of_a_model_without_the_heads_weights(tiny_vit, small_pictures):
    layer = "image.blocks.1.attention"
    table = head_scores(tiny_vit, small_pictures[:1], "a dog", layer)
    assert list(table.columns) == ["layer", "head", "change", "similarity"]
    whole = cosine(tiny_vit, small_pictures[0], "a dog")
    path = tiny_vit.attention_layers("image")[layer]
    for head, change in zip(table["head"], table["change"], strict=True):
        module = copy.deepcopy(tiny_vit.module)
        attention = module.get_submodule(path)
        width = attention.head_dim
        with torch.no_grad():
            attention.out_proj.weight[:, head * width : (head + 1) * width] = 0
        other = lens.wrap(module, tokenizer=tiny_vit.tokenizer, name="without")
        assert change == pytest.approx(cosine(other, small_pictures[0], "a dog") - whole, abs=2e-6)
    assert table["similarity"][0] == pytest.approx(whole, abs=1e-6)
    assert table["change"].abs().max() > 1e-5


def test_both_towers_by_default_and_no_trace_is_left(tiny_vit, small_pictures):
    before = cosine(tiny_vit, small_pictures[0], "a dog")
    table = head_scores(tiny_vit, small_pictures[0], "a dog")
    towers = {layer.partition(".")[0] for layer in table["layer"]}
    assert towers == {"image", "text"}
    assert len(table) == 3 * 2 + 2 * 2
    assert cosine(tiny_vit, small_pictures[0], "a dog") == before


def test_bad_input(tiny_vit, tiny_rn, small_pictures, pictures):
    with pytest.raises(BadInput, match="one image, not on 2"):
        head_scores(tiny_vit, small_pictures[:2], "a dog")
    with pytest.raises(UnknownSite, match=r"image\.blocks\.1\.attention"):
        head_scores(tiny_vit, small_pictures[:1], "a dog", "image.blocks.1.attn")
