"""What a result shows, saves and says about itself."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

import lens
from lens.attribution.overlay import AGAINST, FOR, overlay, strength
from lens.attribution.sanity import layers_of, shuffled
from lens.errors import BadInput


def test_colours_say_for_and_against():
    heat = np.array([[1.0, -1.0, 0.0]], np.float32)
    white = np.full((1, 3, 3), 255, np.uint8)
    made = np.asarray(overlay(heat, white, 1.0))
    assert [tuple(pixel) for pixel in made[0]] == [FOR, AGAINST, (255, 255, 255)]
    assert (np.asarray(overlay(heat, white, 0.0)) == 255).all()
    assert strength(np.zeros((2, 2))) == 0 and strength(heat) == 1
    with pytest.raises(BadInput, match="alpha"):
        overlay(heat, white, 2)


def test_html_is_escaped_and_png_is_written(tiny_rn, picture, tmp_path):
    text = '<b onclick="x">dog</b> & co'
    for explain in ("image", "text"):
        found = lens.attribute(tiny_rn, picture, text, "saliency", explain=explain)
        shown = found._repr_html_()
        assert "<b" not in shown and "&lt;b onclick=" in shown
        with Image.open(found.save(tmp_path / f"{explain}.png")) as image:
            assert image.width > 700 and image.height > 150
    with pytest.raises(BadInput, match=r"end in \.png"):
        found.save(tmp_path / "x.jpg")
    with pytest.raises(BadInput, match="no folder"):
        found.save(tmp_path / "none" / "x.png")
    with pytest.raises(BadInput, match="no overlay"):
        found.overlay()


def test_tables_and_the_picture_that_was_seen(tiny_rn):
    image = Image.new("RGB", (64, 64), (200, 30, 60))
    found = lens.attribute(tiny_rn, image, "a dog", "feature_ablation", patches=(2, 4))
    assert abs(found.picture.astype(int) - (200, 30, 60)).max() <= 1
    assert found.overlay().size == (64, 64)
    frame = found.frame
    assert list(frame.columns) == ["row", "column", "score"] and len(frame) == 8
    assert frame["score"][5] == found.places[1, 1]
    words = lens.attribute(tiny_rn, image, "a dog", "saliency", explain="text").frame
    assert list(words["token"])[1:3] == ["a", "dog"]


def test_a_result_travels_without_its_model(tiny_rn, picture):
    found = lens.attribute(tiny_rn, picture, "a dog", "saliency")
    data = pickle.dumps(found)
    assert len(data) < 200_000
    again = pickle.loads(data)
    np.testing.assert_array_equal(again.heat, found.heat)
    with pytest.raises(BadInput, match="lost its model"):
        again.sanity()


def test_sanity_shuffles_a_copy_from_the_top_down(tiny_rn, picture):
    before = {name: weight.clone() for name, weight in tiny_rn.module.state_dict().items()}
    found = lens.attribute(tiny_rn, picture, "a dog", "input_x_gradient")
    table = found.sanity(stages=3)
    assert list(table.columns) == ["shuffled", "down_to", "spearman", "spearman_abs"]
    assert table["shuffled"].is_monotonic_increasing
    assert table["down_to"].iloc[-1] == "visual.conv1"
    assert abs(table["spearman"].iloc[-1]) < 0.3
    assert table.equals(found.sanity(stages=3))
    after = tiny_rn.module.state_dict()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    unit = tiny_rn.site("image.layer4").unit(2)
    cam = lens.attribute(tiny_rn, picture, method="grad_cam", target=unit, site="image.layer4")
    assert len(cam.sanity(stages=1)) == 1
    by_site = lens.attribute(
        tiny_rn, picture, "a dog", "grad_cam", site=tiny_rn.site("image.layer3")
    )
    assert len(by_site.sanity(stages=2)) == 2


def test_every_weight_of_a_tower_belongs_to_a_layer(tiny_rn, tiny_vit, tiny_coca):
    for model in (tiny_rn, tiny_vit, tiny_coca):
        listed = {name for _, names in layers_of(model, "image") for name in names}
        visual = {n for n, _ in model.module.named_parameters() if n.startswith("visual.")}
        assert visual <= listed
        assert not any(name.startswith(("transformer", "text.trans")) for name in listed)
    text = {name for _, names in layers_of(tiny_rn, "text") for name in names}
    assert "text_projection" in text and "token_embedding.weight" in text
    assert not any(name.startswith("visual.") for name in text)


def test_a_shuffle_keeps_each_weights_values(tiny_rn):
    other = shuffled(tiny_rn, ["visual.conv1.weight"])
    one, two = (m.module.visual.conv1.weight.flatten() for m in (tiny_rn, other))
    assert not torch.equal(one, two) and torch.equal(one.sort().values, two.sort().values)
    assert other.site("image.layer4").model is other
