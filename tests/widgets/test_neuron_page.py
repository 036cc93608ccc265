"""The page as a Python object: what it accepts, answers and saves."""

from __future__ import annotations

import threading

import pytest
from PIL import Image

import lens
from lens.errors import BadInput, UnitOutOfRange


@pytest.fixture
def site(tiny_rn):
    return tiny_rn.site("image.layer4")


@pytest.fixture
def page(site, few):
    return lens.neuron(site.unit(5), units=[5, 9], stimuli=few, visualize={"steps": 2})


def test_the_card_is_the_units(page, site, few):
    assert page.card["index"] == 5
    assert page.card["n_units"] == site.n_units
    assert len(page.card["examples"]) == 12
    assert [unit["index"] for unit in page.listed] == [5, 9]
    assert repr(page).startswith("tiny-rn image.layer4 unit 5: ")
    table = lens.multimodal(site.model, site, few, progress=False).set_index("unit")
    assert page.card["statistics"]["concept"] == table.concept[5]
    assert page.card["statistics"]["score"] == pytest.approx(table.score[5], abs=1e-6)


def test_walking_answers_with_the_card_and_then_the_picture(page):
    arrived = threading.Event()
    page.observe(lambda change: change["new"]["state"] == "ready" and arrived.set(), "picture")
    page.index = 9
    assert page.card["index"] == 9
    assert page.picture["index"] == 9
    assert arrived.wait(60)
    assert page.picture["state"] == "ready"
    assert page.picture["recipe"]["steps"] == "2"


def test_nothing_is_drawn_before_somebody_looks(page):
    assert page.picture == {"index": 5, "state": "computing"}
    arrived = threading.Event()
    page.observe(lambda change: arrived.set(), "picture")
    page._handle_custom_msg({"kind": "open"}, [])
    assert arrived.wait(60)
    assert page.picture["state"] == "ready"


def test_the_picture_reaches_the_value_that_is_written_below_it(page, site):
    drawn = page._pictures.all([5])[0]
    again = lens.visualize(site.unit(5), steps=2, progress=False)
    assert drawn["value"] == pytest.approx(float(again.values[0]), rel=1e-4)


def test_saved_pages_hold_the_listed_units(page, tmp_path):
    path = page.save(tmp_path / "new" / "unit.html")
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    first = path.read_bytes()
    assert page.save(path).read_bytes() == first


def test_saving_shows_the_picture_that_it_made(page, tmp_path):
    page.save(tmp_path / "unit.html")
    assert page.picture["state"] == "ready"
    assert page.picture["index"] == 5


def test_other_files_are_refused(page, tmp_path):
    with pytest.raises(BadInput, match=r"or \.png, not as 'unit\.gif'"):
        page.save(tmp_path / "unit.gif")


def test_units_come_as_numbers_units_or_rows_of_the_table(site, few):
    table = lens.multimodal(site.model, site, few, progress=False).head(3)
    for units in (table, list(table.unit), site.units(table.unit)):
        page = lens.neuron(site.unit(table.unit[1]), units=units, stimuli=few, visualize=False)
        assert [unit["index"] for unit in page.listed] == list(table.unit)


def test_the_unit_shown_is_always_listed(site, few):
    page = lens.neuron(site.unit(5), units=[1, 2], stimuli=few, visualize=False)
    assert [unit["index"] for unit in page.listed] == [5, 1, 2]


def test_without_visualization(site, few, tmp_path):
    page = lens.neuron(site.unit(5), stimuli=few, visualize=False)
    assert page.picture["state"] == "off"
    assert page.save(tmp_path / "unit.html").exists()


def test_a_visualization_that_fails_says_why_and_keeps_the_rest(site, few):
    page = lens.neuron(site.unit(5), stimuli=few, visualize={"steps": -1})
    told = page._pictures.all([5])[0]
    assert told["state"] == "failed"
    assert told["note"].startswith("No visualization: steps is a whole number")


def test_a_card_that_fails_is_a_sentence_on_the_page(page):
    def broken(index):
        raise BadInput("there are no stimuli left.")

    page._make_card = broken
    page.index = 9
    assert page.notice == "Unit 9 could not be shown: there are no stimuli left."
    page.close()  # whoever takes all views home would ask it again


def test_bad_input(site, tiny_rn, page, few):
    with pytest.raises(BadInput, match="not a Site; ask it for one"):
        lens.neuron(site)
    with pytest.raises(BadInput, match="not a int"):
        lens.neuron(17)
    with pytest.raises(UnitOutOfRange, match="units 0 to"):
        lens.neuron(site.unit(5), units=[site.n_units], stimuli=few)
    other = tiny_rn.site("image.layer3").unit(0)
    with pytest.raises(BadInput, match="one site's units"):
        lens.neuron(site.unit(5), units=[other], stimuli=few)
    table = lens.multimodal(tiny_rn, "image.layer3", few, progress=False)
    with pytest.raises(BadInput, match=r"the table is of image\.layer3"):
        lens.neuron(site.unit(5), units=table, stimuli=few)
    with pytest.raises(BadInput, match="column 'unit'"):
        lens.neuron(site.unit(5), units=table.drop(columns="unit"), stimuli=few)
    with pytest.raises(UnitOutOfRange, match="units 0 to"):
        page.index = site.n_units
    assert page.index == 5


def test_stimuli_that_allow_for_no_test_still_give_a_page(site, few):
    class Pictures:
        def __init__(self, stimuli):
            self.rows = stimuli.table.index[stimuli.table.rendering == "icon"]
            self.table = stimuli.table.loc[self.rows].reset_index(drop=True)
            self.stimuli = stimuli

        def __len__(self):
            return len(self.table)

        def __getitem__(self, i) -> Image.Image:
            return self.stimuli[int(self.rows[i])]

    page = lens.neuron(site.unit(5), units=[5, 6], stimuli=Pictures(few), visualize=False)
    assert page.card["statistics"] is None
    assert page.card["verdict"]["headline"] == "Not tested against any concept."
    assert page.listed == [{"index": 5, "label": ""}, {"index": 6, "label": ""}]
