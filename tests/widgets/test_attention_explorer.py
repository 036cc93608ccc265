"""The explorer as a Python object: what it sends, and how close that is to the attention."""

from __future__ import annotations

import json

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIP

import lens
from lens.errors import BadInput, UnknownSite
from lens.widgets.attention.traits import as_bytes, coarse

LAYER = "image.blocks.1.attention"
HOSTILE = (
    "</script><img src=x onerror=alert(1)> \"'\n\u05e9\u05dc\u05d5\u05dd \U0001f600 " + "x" * 10_000
)


@pytest.fixture
def maps(tiny_vit, small_pictures):
    return lens.attention(tiny_vit, small_pictures[:2], ["a dog", "two black cats"])


def weights(told):
    """Read a layer as the page does."""
    values = np.frombuffer(told["values"], np.uint8)
    shape = (told["heads"], told["queries"]["count"], told["keys"]["count"])
    return np.array(told["scales"])[:, None, None] * (values.reshape(shape) / 255.0) ** 2


def test_bytes_are_as_close_as_is_said():
    exact = np.random.default_rng(0).dirichlet(np.full(50, 0.05), (4, 50))
    values, scales = as_bytes(exact)
    assert values.dtype == np.uint8
    read = scales[:, None, None] * (values / 255.0) ** 2
    share = np.abs(read - exact) / scales[:, None, None]
    assert share.max() <= 0.004
    assert share[exact < 0.01 * scales[:, None, None]].max() <= 0.0004


def test_a_layer_is_the_attention_of_the_model(maps):
    explorer = maps.explore(layer=LAYER, row=1)
    assert explorer.maps["key"] == f"1/{LAYER}"
    exact = maps[LAYER].pattern[1]
    np.testing.assert_allclose(weights(explorer.maps), exact, atol=0.004 * exact.max())
    assert explorer.maps["keys"]["prefix"] == ["class"]
    assert explorer.maps["keys"]["grid"] == [4, 4]
    assert explorer.maps["same"]


def test_asking_is_answered(maps):
    explorer = maps.explore()
    explorer.asked = "1/text.blocks.0.attention"
    assert explorer.maps["keys"]["labels"][1:-1] == ["two", "black", "cats"]
    exact = maps["text.blocks.0.attention"].pattern[1, :, :5, :5]
    np.testing.assert_allclose(weights(explorer.maps), exact, atol=0.004)
    explorer.row = 1
    assert explorer.overview["row"] == 1
    assert explorer.overview["text"] == "two black cats"


def test_what_does_not_exist_is_a_sentence_on_the_page(maps):
    explorer = maps.explore()
    before = explorer.maps
    explorer.asked = "0/image.blocks.99.attention"
    assert "image.blocks.99.attention could not be shown" in explorer.notice
    assert explorer.maps == before
    explorer.asked = f"7/{LAYER}"
    assert "inputs 0 to 1, not 7" in explorer.notice
    explorer.asked = f"0/{LAYER}"
    assert explorer.notice == ""


def test_rollout_is_one_more_layer(maps):
    explorer = maps.explore(layer="image.rollout")
    np.testing.assert_allclose(weights(explorer.maps)[0], maps.rollout()[0], atol=0.004)
    assert [one["name"] for one in explorer.about["layers"] if one["rollout"]] == [
        "image.rollout",
        "text.rollout",
    ]


def test_icons_show_where_the_class_token_looks(maps):
    explorer = maps.explore()
    icon = explorer.overview["icons"][LAYER]
    values = np.frombuffer(icon["values"], np.uint8).reshape(2, icon["height"], icon["width"])
    exact = maps[LAYER].pattern[0, :, 0, 1:].reshape(2, 4, 4)
    np.testing.assert_allclose(
        (values / 255.0) ** 2, exact / exact.max((1, 2), keepdims=True), atol=0.004
    )


def test_large_maps_keep_their_peaks_in_an_icon():
    icons = np.zeros((1, 77, 100), np.float32)
    icons[0, 50, 99] = 1
    assert coarse(icons).shape == (1, 24, 24)
    assert coarse(icons)[0, :, -1].max() == 1


def test_heads_are_scored_when_it_is_asked(maps, tiny_vit, small_pictures):
    explorer = maps.explore(row=1)
    explorer.row = 1
    explorer.scored = f"1/{LAYER}"
    table = lens.attribution.head_scores(tiny_vit, small_pictures[1:2], "two black cats", LAYER)
    assert explorer.scores[f"1/{LAYER}"]["changes"] == pytest.approx(
        list(table["change"]), rel=1e-3
    )


def test_without_a_text_heads_are_not_scored(tiny_vit, small_pictures):
    explorer = lens.attention(tiny_vit, small_pictures[:1]).explore()
    assert not any(layer["scored"] for layer in explorer.about["layers"])
    explorer.scored = f"0/{LAYER}"
    assert "give both" in explorer.notice
    with pytest.raises(BadInput, match="give both"):
        explorer.head_scores()


def test_saved_pages_hold_all_layers_or_those_asked_for(maps, tmp_path, capsys, monkeypatch):
    explorer = maps.explore()
    explorer.save(tmp_path / "all.html")
    assert "7 of 7 layers" in capsys.readouterr().out
    assert len(explorer._held(None)) == 14
    explorer.save(tmp_path / "one.html", layers=["image.blocks.0"])
    assert "2 of 7 layers" in capsys.readouterr().out
    monkeypatch.setattr("lens.widgets.attention.explorer.SMALL", 10)
    explorer.save(tmp_path / "seen.html")
    assert "layers" in capsys.readouterr().out
    assert (tmp_path / "seen.html").stat().st_size < (tmp_path / "all.html").stat().st_size


def test_texts_from_data_stay_data(tiny_vit, small_pictures, tmp_path):
    maps = lens.attention(tiny_vit, small_pictures[:1], HOSTILE)
    explorer = maps.explore()
    assert explorer.overview["text"] == HOSTILE
    page = explorer.save(tmp_path / "x.html").read_text(encoding="utf-8")
    assert "onerror" not in page
    json.dumps(explorer.about, allow_nan=False)


def test_shown_in_a_notebook_it_is_the_explorer_with_a_table_elsewhere(maps):
    data, _ = maps._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/html"].startswith("<table>")
    assert data["text/plain"].startswith("Attention of tiny-vit")


def test_pooling_and_a_text_that_looks_at_a_picture(tiny_rn, tiny_coca, pictures, small_pictures):
    pool = lens.attention(tiny_rn, pictures[:1]).explore()
    assert pool.maps["keys"]["prefix"] == ["mean token"]
    assert pool.maps["keys"]["grid"] == [2, 2]
    maps = lens.attention(tiny_coca, small_pictures[:1], "a dog")
    for name in maps:
        told = maps.explore(layer=name).maps
        heads, queries, keys = (told["heads"], told["queries"]["count"], told["keys"]["count"])
        assert len(told["values"]) == heads * queries * keys


def test_bad_input(tiny_rn, maps, pictures, small_pictures):
    with pytest.raises(UnknownSite, match=r"no attention in 'image\.layer3'.*image\.attnpool"):
        lens.attention(tiny_rn, pictures[:1]).explore(layer="image.layer3")
    with pytest.raises(UnknownSite, match=r"Did you mean .*image\.blocks\.1\.attention"):
        maps.explore(layer="image.blocks.1.atention")
    with pytest.raises(BadInput, match="inputs 0 to 1, not 2"):
        maps.explore(row=2)
    with pytest.raises(BadInput, match=r"lens\.attention returns"):
        lens.widgets.attention.explore({})


def test_a_model_without_attention_is_refused_in_a_sentence(build):
    from torchvision.models.resnet import BasicBlock, ResNet

    model = lens.wrap(build(ResNet, BasicBlock, [1, 1, 1, 1], num_classes=6), name="plain")
    with pytest.raises(BadInput, match="plain computes no attention that can be read"):
        lens.attention(model, torch.zeros(1, 3, 64, 64))


def test_a_layer_of_a_large_transformer_is_small():
    """ViT-L/14 as open_clip configures its image tower, 24 layers, with random weights.

    The text tower is small: no picture goes through it. Only the weights of the positions and of
    the attention are drawn at random, the others are zero, which is quicker and changes no size.
    """
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    with torch.device("meta"):
        module = CLIP(768, open_clip.get_model_config("ViT-L-14")["vision_cfg"], text)
    module.to_empty(device="cpu").eval()
    g = torch.Generator().manual_seed(0)
    for name, weight in module.named_parameters():
        attends = "attn.in_proj_weight" in name or "positional" in name
        weight.data.normal_(0, 0.02, generator=g) if attends else weight.data.fill_("ln_" in name)
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    model = lens.wrap(module, tokenizer=tokenizer, name="large")
    explorer = lens.attention(model, torch.randn(1, 3, 224, 224, generator=g)).explore()
    layers = [layer for layer in explorer.about["layers"] if layer["tower"] == "image"]
    assert len(layers) == 24 + 1  # and their rollout
    sent = len(json.dumps(explorer.get_state(), default=lambda data: ""))
    for name in ("image.blocks.0.attention", "image.blocks.23.attention"):
        explorer.asked = f"0/{name}"
        assert explorer.maps["key"] == explorer.asked
        assert explorer.maps["heads"] == 16
        assert explorer.maps["keys"]["count"] == 257
        assert len(explorer.maps["values"]) == 16 * 257 * 257 <= 1_100_000
        assert weights(explorer.maps).sum(-1) == pytest.approx(1, abs=0.1)
    # Beside the layer: all icons, and what every other layer is called.
    icons = sum(len(icon["values"]) for icon in explorer.overview["icons"].values())
    assert sent < 100_000 and icons < 250_000
