"""What pages show without being asked: quality, and facets of the units that are shown first."""

import json
import re

import numpy as np
import pytest

import lens
from lens.featurevis.judged.quality import quality
from lens.microscope import featured
from lens.microscope.assets import assets, colours
from lens.microscope.findings import find
from lens.microscope.keeping import dumps, loads
from lens.microscope.markup import number, share
from lens.neurons.responses import responses
from lens.widgets.theme import THEME

UNITS = [1, 2, 3]


@pytest.fixture
def every_unit_passes(monkeypatch):
    """Random weights answer to nothing: whatever was tested counts as found."""
    monkeypatch.setattr(featured, "ACCEPTED", 2.0)


@pytest.fixture
def shown(tiny_rn, stimuli, quick, every_unit_passes, tmp_path):
    settings = {**quick, "units": UNITS, "batch_size": 3}
    return lens.microscope(tiny_rn, tmp_path / "site", "image.layer4", stimuli, **settings)


def test_the_best_units_have_facets_and_a_second_picture(shown, parse):
    page = parse(shown.page(1))
    assert len(page.all("figure")) == 5
    for name in ("other noise", "picture", "drawing", "word"):
        assert name in page.text
    assert page.text.count("To the probe that guided it, it looks like") == 3
    pictures = [image["src"] for image in page.all("img") if "/vis/" in image["src"]]
    found = [(shown.page(1).parent / source).read_bytes() for source in pictures]
    assert len(set(found)) == 5  # each one another


def test_quality_is_what_the_library_measures(shown, tiny_rn, stimuli, parse):
    units = tiny_rn.site("image.layer4").pre_activation.units(UNITS)
    vis = lens.visualize(units, steps=2, batch_size=3, progress=False)
    again = lens.visualize(units, steps=2, batch_size=3, seed=1, progress=False)
    measured = responses(units[0].site, stimuli, progress=False)
    table = quality(vis, measured, draws=2, progress=False).table.set_index("unit")
    embedded = [tiny_rn.embed(list(each)) for each in (vis, again)]
    for i, unit in enumerate(UNITS):
        text = shown.page(unit).read_text(encoding="utf-8")
        told = dict(re.findall(r"<dt>([^<]+)<dd>([^<]+)<dd", text))
        for name in ("percentile", "ratio", "selectivity", "agreement"):
            assert told[name] == number(table[name][unit])
        apart = 1 - float(embedded[0][i] @ embedded[1][i])
        best = np.argsort(-measured.values[:, unit], kind="stable")[:10]
        rows = measured.embeddings[best]
        among = 1 - (rows @ rows.T)[np.triu_indices(10, 1)].mean()
        assert told["diversity"] == share(apart)
        assert f"its best stimuli: {share(float(among))}" in text
    assert any("No second model" in sentence for sentence in shown.left_out)


def test_what_is_left_out_is_named(tiny_rn, stimuli, quick, parse, tmp_path):
    none = lens.microscope(tiny_rn, tmp_path / "a", "image.layer4", stimuli, **quick)
    assert any("none is drawn by facets" in sentence for sentence in none.left_out)
    without = lens.microscope(
        tiny_rn, tmp_path / "b", "image.layer4", stimuli, **quick, facets=False, quality=False
    )
    text = parse(without.index).text
    assert "No facets were asked for" in text and "was not asked for" in text
    assert "How good the picture is" not in parse(without.page(17)).text
    assert len(parse(without.page(17)).all("figure")) == 1
    few = stimuli.where(concept=["dog"], rendering=["drawing", "word"])
    small = lens.microscope(tiny_rn, tmp_path / "c", "image.layer4", few, **quick)
    assert any("8 stimuli are too few" in sentence for sentence in small.left_out)


def test_stimuli_without_words_give_two_facets(
    tiny_rn, stimuli, quick, every_unit_passes, parse, tmp_path
):
    pictured = stimuli.where(rendering=["cartoon", "drawing"])
    site = lens.microscope(
        tiny_rn, tmp_path / "site", "image.layer4", pictured, **{**quick, "units": [1, 2]}
    )
    assert any("hold no written words" in sentence for sentence in site.left_out)
    assert len(parse(site.page(1)).all("figure")) == 4


def test_the_best_are_chosen_two_of_a_concept():
    class Unit:
        def __init__(self, unit, concept, score, q):
            self.unit = unit
            self.statistics = {"concept": concept, "score": score, "q": q}

    units = [Unit(i, "dog", 1 - i / 100, 0.01) for i in range(5)]
    units += [Unit(9, "cat", 0.5, 0.05), Unit(7, "pig", 0.99, 0.06)]
    untested = Unit(8, "owl", 1, 0)
    untested.statistics = None
    assert featured.featured([*units, untested]) == [0, 1, 9]


def test_what_pages_show_is_kept_whole(tiny_rn, shown, stimuli):
    from lens.microscope.pieces import Shown

    site = tiny_rn.site("image.layer4")
    found = find(responses(site, stimuli, progress=False), UNITS, None)
    one = Shown(0, site, UNITS, found, {}, {}, {}, {1: ["M1 2Z"]}, {1: [("a", "b", "c")]}, ["d"])
    text = dumps(one)
    assert dumps(loads(text, site)) == text
    json.loads(text)


def test_colours_stand_in_the_theme_alone():
    style = assets()["microscope.css"]
    own = style.removeprefix(colours())
    assert style.startswith(":root {\n  color-scheme: light dark;\n")
    assert "--jp-" not in style and "var(--jp" not in style
    for name in ("ink", "soft", "line", "paper", "raised", "accent", "bar", "good", "doubt"):
        values = re.findall(rf"--{name}: (light-dark\(.*\));", style)
        assert len(values) == 1
        assert values[0] in THEME
    theirs = set(re.findall(r"(--[\w-]+):", colours()))
    assert not theirs & set(re.findall(r"(--[\w-]+):", own))
    used = set(re.findall(r"var\((--[\w-]+)", style))
    known = set(re.findall(r"(--[\w-]+):", style)) | {"--to", "--zero", "--a", "--b", "--c", "--d"}
    assert used <= known
