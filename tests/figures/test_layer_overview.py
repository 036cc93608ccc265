"""The overview of layers on paper: what is known of each place, and nothing where it isn't."""

import numpy as np
import pytest

import lens
from lens import figures
from lens.errors import BadInput, UnknownSite
from lens.neurons.multimodal import table_of


@pytest.fixture(scope="module")
def acts(tiny_rn):
    pictures = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), np.uint8)
    return lens.capture(tiny_rn, list(pictures), ["image.layer4"], progress=False)


def test_stages_and_blocks_are_rows(tiny_rn, texts):
    figure = figures.layer_overview(tiny_rn)
    named = [site for site in tiny_rn.sites if site.kind in ("stage", "block")]
    assert list(figure.frame["site"]) == [site.name for site in named]
    assert list(figure.frame["units"]) == [site.n_units for site in named]
    said = texts(figure.svg)
    assert {"image tower", "text tower", "layer4", "units"} <= set(said)
    assert "multimodal units" not in said and "mean activations" not in said


def test_what_is_known_is_drawn(tiny_rn, acts, measured, texts):
    table = table_of(measured)
    sure = table.assign(q=np.where(table["unit"] < 7, 0.01, 0.9))
    sure.attrs = table.attrs
    figure = figures.layer_overview(tiny_rn, acts, sure, sites=["image.layer3", "image.layer4"])
    last = figure.frame.set_index("site").loc["image.layer4"]
    values = np.asarray(acts["image.layer4"], np.float64).mean((2, 3))
    assert last["mean"] == pytest.approx(values.mean(), rel=1e-4)
    assert last["largest"] == pytest.approx(values.max(), rel=1e-4)
    assert (last["multimodal"], last["tested"]) == (7, 256)
    assert np.isnan(figure.frame["mean"][0])
    bars = [axes.patches for axes in figure.drawing.axes if len(axes.patches) == 2]
    assert any(patches[1].get_width() == pytest.approx(7 / 256) for patches in bars)
    counts, _ = np.histogram(values.mean(0), 32)
    (histogram,) = (axes.patches for axes in figure.drawing.axes if len(axes.patches) == 32)
    assert [bar.get_height() for bar in histogram] == counts.tolist()
    assert {"7 of 256 (3%)", "multimodal units", "mean activations"} <= set(texts(figure.svg))


def test_names_are_text_and_bytes_are_stable(fresh_clip, tmp_path, texts):
    model = lens.wrap(fresh_clip("vit"), name="</script><img src=x onerror=alert(1)>")
    for kind in ("svg", "pdf", "png"):
        once, again = tmp_path / f"a.{kind}", tmp_path / f"b.{kind}"
        figures.layer_overview(model, width="single").save(once)
        figures.layer_overview(model, width="single").save(again)
        assert once.read_bytes() == again.read_bytes()
    assert "</script><img" in " ".join(texts((tmp_path / "a.svg").read_text()))


def test_refusals(tiny_rn):
    with pytest.raises(BadInput, match="not a str"):
        figures.layer_overview("glyph-rn")
    with pytest.raises(UnknownSite, match=r"image\.layer4"):
        figures.layer_overview(tiny_rn, sites=["image.layer_4"])
    with pytest.raises(BadInput, match="1 to 80 sites, not 0"):
        figures.layer_overview(tiny_rn, sites=[])
