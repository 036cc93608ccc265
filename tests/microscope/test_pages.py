"""What the pages say: the card's own numbers, links that lead somewhere, names that stay text."""

import json
import re
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

import lens
from lens.microscope.findings import find
from lens.microscope.markup import aligned, number, probability, share
from lens.neurons.card import card
from lens.neurons.responses import responses

UNITS = [0, 3, 5, 17, 200]
HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "\"'><svg onload=alert(2)> & &amp;",
    "\u05db\u05dc\u05d1 \u202e dog",
    "\U0001f436\u200d\U0001f9ba emoji",
    "long " * 2000,
    "two\nlines\x00\x1b and more",
]


@pytest.fixture(scope="module")
def measured(tiny_rn, stimuli):
    return responses(tiny_rn.site("image.layer4"), stimuli, progress=False)


def test_facts_are_the_cards(tiny_rn, measured):
    found = find(measured, UNITS, None)
    assert found.notes == []
    for facts in found.units:
        one = card(tiny_rn.site("image.layer4").unit(facts.unit), measured)
        assert {**one.statistics, "auroc": None} == {**facts.statistics, "auroc": None}
        assert one.statistics["auroc"] == facts.statistics["auroc"]
        assert [x.value for x in one.examples] == facts.values.tolist()
        assert [(x.concept, x.rendering) for x in one.examples] == facts.kinds
        assert one.words == facts.words
        for ours, theirs in zip(facts.histogram, one.histogram, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        cells = one.responses.set_index(["concept", "rendering"])
        for c, concept in enumerate(facts.concepts):
            for r, rendering in enumerate(found.renderings):
                row = cells.loc[(concept, rendering)]
                assert facts.cells[0][c, r] == pytest.approx(row["mean"], rel=1e-4, abs=1e-9)
                wide = 3.182446 * row["sd"] / 2  # Student's t of 4 stimuli
                assert facts.cells[1][c, r] == pytest.approx(wide, rel=1e-3)
                assert facts.cells[2][c, r] == row["n"]


def test_neighbours_correlate(measured):
    found = find(measured, UNITS, None)
    correlation = np.corrcoef(measured.values[:, UNITS].astype(float).T)
    for i, facts in enumerate(found.units):
        others = [j for j in np.argsort(-correlation[i]) if j != i]
        expected = [UNITS[j] for j in others if correlation[i, j] > 0]
        assert [unit for unit, _ in facts.similar] == expected
        expected = [UNITS[j] for j in others[::-1] if correlation[i, j] < 0]
        assert [unit for unit, _ in facts.opposing] == expected
        for unit, r in facts.similar + facts.opposing:
            assert r == pytest.approx(correlation[i, UNITS.index(unit)], abs=1e-4)


def test_the_conditional_plot_counts_every_stimulus_once(measured):
    table = measured.table
    found = find(measured, [17], None)
    facts = found.units[0]
    assert found.categories == ["picture", "drawing", "word", "nearest concepts", "other concepts"]
    edges, counts = facts.shares
    values = measured.values[:, 17] / measured.values[:, 17].std(dtype=float)
    assert counts.sum() == len(table)
    last = values >= edges[-2]
    mine = (table["concept"] == facts.concepts[0]).to_numpy()
    for c, rendering in enumerate(["cartoon", "drawing", "word"]):
        here = mine & (table["rendering"] == rendering).to_numpy()
        assert counts[:, c].sum() == here.sum() == 4
        assert counts[-1, c] == (here & last).sum()


def test_a_unit_page_says_what_the_card_says(tiny_rn, measured, site, parse):
    page = parse(site.page(17, "image.layer4"))
    one = card(tiny_rn.site("image.layer4").unit(17), measured)
    examples = [row["aria-label"] for row in page.all("svg", tabindex="0")]
    assert examples == [f"{x.concept}, {x.rendering}, activation {aligned(x.value)}"
                        for x in one.examples]  # fmt: skip
    known = one.statistics
    for text in (share(known["score"]), probability(known["q"]), aligned(known["d_prime"])):
        assert text in page.text
    for word, score in one.words:
        assert f"{word}{number(score, 2)}" in page.text
    for rendering, area in known["auroc"].items():
        assert f"{rendering}{area:.3f}" in page.text
    assert page.all("img", alt="Made to excite unit 17: a synthetic image")
    assert {"visualizations", "examples", "statistics", "words", "neighbours"} <= {
        found["id"] for found in page.all("section")
    }
    assert site.page(17).stat().st_size < 30_000


def test_every_link_leads_somewhere(site, parse):
    checked = 0
    for path in site.pages:
        page = parse(path)
        for name, attributes in page.elements:
            for key in ("href", "src"):
                address = attributes.get(key)
                if address is None:
                    continue
                file, _, part = unquote(address).partition("#")
                assert "://" not in address
                target = (path.parent / file).resolve() if file else path
                assert target.is_file(), (path, address)
                if part and target.name not in ("compare.html",) and name == "a":
                    assert any(a.get("id") == part for _, a in parse(target).elements), address
                checked += 1
            for url in re.findall(r"url\(([^)]*)\)", attributes.get("style") or ""):
                assert (path.parent / url).resolve().is_file()
    assert checked > 400


def test_every_page_forbids_the_network_and_has_landmarks(site, parse):
    for path in site.pages:
        page = parse(path)
        policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
        assert policy.startswith("default-src 'none'") and "http" not in policy
        assert len(page.all("main")) == len(page.all("h1")) == len(page.all("header")) == 1
        assert all("alt" in image for image in page.all("img"))
        assert page.all("html", lang="en")
        ids = [a["id"] for _, a in page.elements if "id" in a]
        assert len(ids) == len(set(ids))


def test_search_index_and_data_are_classic_scripts_of_json(site):
    text = (site.path / "search.js").read_text()
    index = json.loads(re.fullmatch(r"lens\.index\((.*)\);\n", text)[1])
    assert [name for name, _ in index["concepts"]] == sorted(n for n, _ in index["concepts"])
    words = dict(index["words"])
    data = (site.path / "0" / "data.js").read_text()
    columns = json.loads(re.fullmatch(r"lens\.site\((.*)\);\n", data)[1])
    first = columns["vocabulary"][columns["columns"]["words"][2][0]]
    assert [0, 2, 1] in words[first]
    assert "<" not in text and "<" not in data


def test_hostile_names_are_text_everywhere(stimuli, tmp_path, parse, renamed, quick, fresh_clip,
                                           tiny_rn):  # fmt: skip
    hostile = renamed(stimuli, HOSTILE)
    hostile.table["rendering"] = hostile.table["rendering"].replace(
        {"cartoon": "<b>cartoon</b>", "drawing": "--><script>alert(3)</script>"}
    )
    model = lens.wrap(fresh_clip("rn"), tokenizer=tiny_rn.tokenizer, name="</title><b>&m'\"")
    site = lens.microscope(
        model, tmp_path / "site", "image.layer4", hostile,
        **{**quick, "visualize": False, "units": range(12)},
        facets={HOSTILE[0]: {"steps": 1}},
        quality=pd.DataFrame({"unit": range(12), "<img src=x onerror=alert(4)>": HOSTILE[1]}),
        vocabulary=["<svg onload=alert(5)>", "a</script>b", "dog"],
    )  # fmt: skip
    seen = ""
    for path in site.pages:
        page = parse(path)
        seen += page.text
        assert not [name for name, a in page.elements if {"onerror", "onload"} & set(a)]
        assert not page.all("img", src="x")
        assert all(set(script) <= {"src", "type", "id"} for script in page.all("script"))
        for script in page.scripts:
            json.loads(script)
        assert re.fullmatch(r"[\w./-]+", str(path.relative_to(site.path)))
    for name in [*HOSTILE[:4], "<b>cartoon</b>", "--><script>alert(3)</script>",
                 "<svg onload=alert(5)>", "a</script>b", "</title><b>&m'\""]:  # fmt: skip
        assert name in seen
    assert "<img src=x onerror=alert(4)>" in seen
    assert HOSTILE[4] in seen  # in full on the pages of its own units
    assert "two\nlines\ufffd\ufffd and more" in seen
    for script in site.path.rglob("*.js"):
        if script.parent.name != "assets":
            text = script.read_text(encoding="ascii")
            assert "</" not in text
            json.loads(text[text.index("(") + 1 : text.rindex(")")])
