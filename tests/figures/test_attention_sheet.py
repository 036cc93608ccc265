"""The sheet of heads draws the model's own attention, and says what it is."""

import numpy as np
import pytest

import lens
from lens import figures
from lens.errors import BadInput, UnknownSite

LAST = "image.blocks.2.attention"


@pytest.fixture(scope="module")
def maps(tiny_vit):
    pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    return lens.attention(tiny_vit, list(pictures), ["a dog", "two <b>black</b> cats"])


def drawn(figure, shape):
    """The maps of a figure, in order."""
    found = [axes.images[0].get_array() for axes in figure.drawing.axes if axes.images]
    return [np.asarray(one) for one in found if one.shape == shape]


def test_each_map_is_where_the_class_token_looks(maps, texts):
    figure = maps.figure(row=1)
    shown = drawn(figure, (4, 4))
    assert len(shown) == 3 * (2 + 1) + 1  # two heads and their mean a layer, and the rollout
    np.testing.assert_allclose(shown[6], maps[LAST].map(0, row=1), atol=1e-7)
    np.testing.assert_allclose(shown[8], maps[LAST].map(None, row=1), atol=1e-7)
    np.testing.assert_allclose(shown[9], maps.rollout()[1, 0, 1:].reshape(4, 4), atol=1e-7)
    assert "where the class token looks" in texts(figure.svg)
    assert {"head", "0", "1", "mean", "blocks.2", "rollout"} <= set(texts(figure.svg))


def test_its_numbers_are_those_of_the_layers(maps):
    frame = maps.figure(row=1).frame
    assert list(frame) == ["layer", "head", "entropy", "largest"]
    own = frame[frame["layer"] == LAST]
    assert list(own["head"]) == ["0", "1", "mean"]
    np.testing.assert_allclose(own["entropy"][:2], maps[LAST].entropy[1], rtol=1e-5)
    assert own["largest"].iloc[1] == pytest.approx(maps[LAST].map(1, row=1).max())


def test_another_token_may_look(maps, texts):
    figure = figures.attention_sheet(maps, layers="image.blocks.2", query=3, width="single")
    shown = drawn(figure, (4, 4))
    assert len(shown) == 3 and figure.size[0] == pytest.approx(85)
    np.testing.assert_allclose(shown[1], maps[LAST].map(1, query=3), atol=1e-7)
    assert "where patch 2 looks" in texts(figure.svg)


def test_of_a_text_every_token_is_drawn_and_listed(maps, texts):
    figure = figures.attention_sheet(maps, row=1, tower="text")
    words = " ".join(texts(figure.svg))
    assert "two" in words and "cats" in words and "<b>" not in figure.svg
    layer = maps["text.blocks.0.attention"].pattern[1]
    shown = [
        np.asarray(axes.images[0].get_array())
        for axes in figure.drawing.axes
        if axes.images and axes.images[0].get_array().shape[0] > 1
    ]
    used = len(shown[0])
    np.testing.assert_allclose(shown[0], layer[0, :used, :used], atol=1e-7)
    assert 5 < used <= 16


def test_it_is_saved_in_every_format(maps, tmp_path, capsys):
    for kind in ("svg", "pdf", "png"):
        once, again = tmp_path / f"once.{kind}", tmp_path / f"again.{kind}"
        assert maps.save(once).read_bytes() == maps.save(again).read_bytes()
    maps.save(tmp_path / "maps.html")
    with pytest.raises(BadInput, match=r"\.html, \.svg, \.pdf or \.png, not as 'maps\.gif'"):
        maps.save(tmp_path / "maps.gif")


def test_refusals(maps):
    with pytest.raises(BadInput, match="inputs 0 to 1, not 2"):
        maps.figure(row=2)
    with pytest.raises(BadInput, match="queries 0 to 16, not 17"):
        maps.figure(query=17)
    with pytest.raises(UnknownSite, match=r"image\.blocks\.2"):
        maps.figure(layers=["image.block.2"])
    with pytest.raises(BadInput, match="no attention of 'cross' here, but of image, text"):
        maps.figure(tower="cross")
    with pytest.raises(BadInput, match="not a dict"):
        figures.attention_sheet({})
