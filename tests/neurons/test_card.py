"""The card says what the other functions say, for one unit."""

import numpy as np
import pandas as pd
import pytest

from lens.neurons.card import card
from lens.neurons.multimodal import multimodal
from lens.neurons.responses import responses


def card_of(model, unit, stimuli, **given):
    site = model.site("image.layer4")
    return card(site.unit(unit), responses(site, stimuli, progress=False), **given)


@pytest.fixture(scope="module")
def made(model, stimuli):
    return card_of(model, 7, stimuli)


def test_identity(made, model):
    assert made.unit_name == "tiny image.layer4 unit 7"
    assert (made.model, made.site, made.index) == ("tiny", "image.layer4", 7)
    assert made.n_units == model.site("image.layer4").n_units


def test_statistics_are_the_table_s(made, model, stimuli):
    table = multimodal(model, "image.layer4", stimuli, progress=False)
    row = table[table.unit == 7].iloc[0]
    for name in ("concept", "score", "p", "q", "n", "d_prime", "gap"):
        assert made.statistics[name] == row[name]
    assert made.statistics["auroc"] == {
        m: row[f"auroc_{m}"] for m in ("cartoon", "drawing", "word")
    }


def test_responses_are_means_by_cell(made, model, stimuli):
    found = made.responses
    assert list(found.columns) == ["concept", "rendering", "mean", "sd", "n"]
    assert found.concept[0] == made.statistics["concept"]
    assert len(found) == 6 * 3
    values = responses(model.site("image.layer4"), stimuli, progress=False).values[:, 7]
    table = stimuli.table
    for row in found.itertuples():
        cell = values[((table.concept == row.concept) & (table.rendering == row.rendering))]
        assert row.n == len(cell) == 4
        assert row.mean == pytest.approx(cell.mean(), rel=1e-4)
        assert row.sd == pytest.approx(cell.std(ddof=1), rel=1e-4)


def test_histogram_counts_everything_once(made):
    edges, counts, own = made.histogram
    assert len(edges) == len(counts) + 1 == len(own) + 1
    assert (counts.sum(), own.sum()) == (72, 12)
    assert (own <= counts).all()


def test_examples_and_words_are_there(made):
    assert len(made.examples) == 12
    assert len(made.words) == 12
    assert made.visualization is None
    assert np.isnan(made.visualization_value)


def test_a_visualization_is_taken_over(model, stimuli):
    class Drawn:
        images = np.zeros((1, 8, 8, 3), np.uint8)
        values = np.array([3.5])
        recipe = {"steps": 4}  # noqa: RUF012

    made = card_of(model, 7, stimuli, visualization=Drawn)
    assert made.visualization.shape == (8, 8, 3)
    assert (made.visualization_value, made.recipe) == (3.5, {"steps": 4})


def test_one_rendering_gives_observations_and_no_test(model, stimuli):
    words = stimuli.where(rendering="word")
    made = card_of(model, 0, words)
    assert made.statistics is None
    assert set(made.responses.rendering) == {"word"}
    assert len(made.examples) == 12


def test_a_single_concept_can_still_be_looked_at(model):
    class Own:
        table = pd.DataFrame({"concept": ["a"] * 3, "rendering": ["x"] * 3})

        def __len__(self):
            return 3

        def __getitem__(self, i):
            return np.random.default_rng(i).random((32, 32, 3))

    made = card_of(model, 0, Own())
    assert made.statistics is None
    assert len(made.examples) == 2
    assert made.responses.n.tolist() == [3]
