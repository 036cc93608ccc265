import numpy as np

import lens
from lens.featurevis.faceted.stimuli import sort_into_facets, split


def test_glyphs_are_pictures_drawings_and_words():
    table = lens.data.glyphs().stimuli(per_cell=2, concepts=["apple", "dog"]).table
    names, labels = sort_into_facets(table, None)
    assert names == ("picture", "drawing", "word")
    said = {names[k] for k in labels[table["rendering"] == "flat"]}
    assert said == {"picture"} and {names[k] for k in labels[table["rendering"] == "word"]} == {
        "word"
    }
    names, labels = sort_into_facets(table, {"read": "word", "seen": ["icon"]})
    assert names == ("read", "seen") and set(labels) == {-1, 0, 1}
    names, _ = sort_into_facets(table, "concept")
    assert names == ("apple", "dog")


def test_held_out_stimuli_are_those_of_the_table():
    table = lens.data.glyphs().stimuli(per_cell=4, concepts=["apple", "dog", "cat"]).table
    names, labels = sort_into_facets(table, None)
    training, held_out = split(table, names, labels, 4, 0)
    assert set(table["split"].iloc[training]) == {"discovery"}
    assert set(table["split"].iloc[held_out]) == {"held-out"}
    assert np.bincount(labels[training]).tolist() == [4, 4, 4]
    assert np.bincount(labels[held_out]).tolist() == [2, 2, 2]
