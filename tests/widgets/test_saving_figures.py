"""Every view is saved as a report figure: the same bytes every time, and names are only read."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import open_clip
import pytest

import lens
from lens import widgets
from lens.data import glyphs
from lens.errors import BadInput
from lens.featurevis import facets

HOSTILE = "</script><img src=x onerror=alert(1)>"
SVG = "{http://www.w3.org/2000/svg}"
KINDS = ("svg", "pdf", "png")


def words(path):
    root = ElementTree.fromstring(path.read_bytes())
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert not tags & {"script", "img", "a", "foreignObject"}
    assert not [name for element in root.iter() for name in element.attrib if name[:2] == "on"]
    return " ".join("".join(element.itertext()) for element in root.iter(SVG + "text"))


@pytest.fixture(scope="module")
def model(fresh_clip):
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    return lens.wrap(fresh_clip("vit"), tokenizer=tokenizer, name=HOSTILE)


@pytest.fixture(scope="module")
def views(model):
    few = glyphs().stimuli(per_cell=4, size=32, concepts=glyphs().concepts[:5])
    site = model.site("image.blocks.2")
    table = lens.multimodal(model, site, few, progress=False)
    units = site.units([int(unit) for unit in table["unit"][:2]])
    picture = model.preprocess(few[0])
    pictures = [few[i] for i in range(20)]
    proj = lens.project(
        pictures, "pca", model=model, labels=[HOSTILE, "b"] * 10, texts=[HOSTILE], progress=False
    )
    live = widgets.live(units, steps=2, size=32)
    live.wait(60)
    return {
        "units": widgets.units(table, site, stimuli=few),
        "neuron": lens.neuron(units[0], stimuli=few, visualize={"steps": 2, "size": 32}),
        "layers": widgets.layers(model, tables=table),
        "facets": facets(units[:1], stimuli=few, steps=1, progress=False).view(),
        "live": live,
        "map": proj.view(),
        "attention": lens.attention(model, picture[None], [HOSTILE]).explore(),
        "heatmap": lens.attribute(model, picture, HOSTILE, "saliency").view(),
    }


NAMES = ("units", "neuron", "layers", "facets", "live", "map", "attention", "heatmap")


@pytest.mark.parametrize("name", NAMES)
def test_every_view_is_a_figure(views, name, tmp_path):
    view = views[name]
    for kind in KINDS:
        once = view.save(tmp_path / "new" / f"once.{kind}")
        assert once == tmp_path / "new" / f"once.{kind}"
        assert view.save(tmp_path / f"again.{kind}").read_bytes() == once.read_bytes()
    assert once.read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "new" / "once.pdf").read_bytes().startswith(b"%PDF")
    assert "</script><img" in words(tmp_path / "new" / "once.svg")
    figure = view.figure(width=100, title="mine")
    assert figure.size[0] == pytest.approx(100) and len(figure.frame)
    assert figure.title.startswith("mine")


@pytest.mark.parametrize("name", NAMES)
def test_other_files_are_refused_in_a_sentence(views, name, tmp_path):
    view = views[name]
    with pytest.raises(BadInput, match=r"\.html, \.svg, \.pdf or \.png, not as 'x\.gif'"):
        view.save(tmp_path / "x.gif")
    with pytest.raises(BadInput, match=r"beside each other are saved as \.html, not as 'x\.svg'"):
        view.save(tmp_path / "x.svg", beside=[views["units"]])
    assert not list(tmp_path.iterdir())


def test_a_figure_shows_what_the_view_shows(views, model):
    page = views["neuron"]
    shown = page.figure(width="single")
    assert any(axes.images for axes in shown.drawing.axes)
    page.index = 7
    assert "Unit 7 of image.blocks.2" in page.figure().title
    seen = type(views["map"])(views["map"].proj)
    seen.ask = "colour:neighbours kept"
    assert seen.figure().title.startswith("Map by neighbours kept")
    explorer = views["attention"]._maps.explore()
    explorer.asked = "0/text.blocks.0.attention"
    assert set(explorer.figure().frame["layer"].str.partition(".")[0]) == {"text"}
    np.testing.assert_array_equal(explorer.figure(tower="image").frame["layer"].iloc[[0]],
                                  ["image.blocks.0.attention"])  # fmt: skip


def test_results_are_saved_as_their_views_are(views, tmp_path):
    results = {
        "live": views["live"].result,
        "facets": views["facets"]._found,
        "map": views["map"].proj,
        "heatmap": views["heatmap"]._attribution,
        "attention": views["attention"]._maps,
    }
    for name, result in results.items():
        for kind in ("svg", "pdf"):
            own = result.save(tmp_path / f"{name}.{kind}").read_bytes()
            assert own == views[name].figure().save(tmp_path / f"view.{kind}").read_bytes()


@pytest.mark.filterwarnings("ignore:stopped early")
def test_a_run_that_goes_on_has_no_figure_yet(model):
    view = widgets.live(model.site("image.blocks.2").unit(0), steps=10_000, size=32)
    with pytest.raises(BadInput, match=r"No image is finished yet: \.wait\(\)"):
        view.figure()
    view.stop()
    view.wait(60)
    assert len(view.figure().frame) == 1
