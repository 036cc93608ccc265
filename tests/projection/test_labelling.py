"""Labels given by hand: kept, undone, saved, used as stimuli."""

from __future__ import annotations

import numpy as np
import pytest

import lens
from lens.errors import BadInput
from lens.featurevis import facets
from lens.projection import Labels


@pytest.fixture
def labels():
    return Labels([f"picture {i}" for i in range(10)])


def test_labels_are_given_taken_back_and_given_again(labels):
    heard = []
    labels.on_change(lambda: heard.append(labels.names))
    labels.add("left", [3, 1, 3])
    labels.add("right", np.array([7]))
    labels.add("left", [5])
    assert labels.points("left").tolist() == [1, 3, 5]
    assert labels.undo().label == "left"
    assert labels.points("left").tolist() == [1, 3]
    assert labels.undo().label == "right"
    assert labels.names == ["left"]
    assert labels.redo().label == "right"
    labels.add("new", [0])
    assert labels.redo() is None  # what was taken back is gone once another label is given
    assert labels.names == ["left", "right", "new"]
    assert len(heard) == 7
    assert repr(labels) == "Labels: left (2), right (1), new (1)"


def test_nothing_to_take_back(labels):
    assert labels.undo() is None
    assert labels.redo() is None


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_saved_and_loaded(labels, tmp_path, kind):
    labels.add('comma, "quote"\nline', [2, 4])
    labels.add("NA", [4])
    path = labels.save(tmp_path / f"labels.{kind}")
    again = Labels([f"picture {i}" for i in reversed(range(10))])
    again.load(path)
    assert again.points('comma, "quote"\nline').tolist() == [5, 7]
    assert again.points("NA").tolist() == [5]
    other = Labels(["somewhere else"])
    with pytest.raises(BadInput, match="labels 'picture 2', which is not on this map, and 2 o"):
        other.load(path)
    assert len(other) == 0


@pytest.mark.parametrize(
    ("label", "points", "said"),
    [
        (" ", [1], "1 to 200 characters"),
        ("x" * 201, [1], "this one has 201"),
        ("a", [], "No points were chosen"),
        ("a", [10], "points 0 to 9, not 10"),
        ("a", [-1], "not -1"),
    ],
)
def test_refusals(labels, label, points, said):
    with pytest.raises(BadInput, match=said):
        labels.add(label, points)
    assert not labels.given


def test_a_label_that_is_not_there_names_the_nearest(labels):
    labels.add("mammals", [1])
    with pytest.raises(BadInput, match=r"'mamals'.*Did you mean mammals"):
        labels.points("mamals")


def test_labelled_points_are_stimuli(seen, few, proj):
    seen.labels.add("chosen", [3, 8])
    seen.labels.add("word", [len(few)])  # a text, which has no picture
    stimuli = seen.stimuli("chosen")
    assert len(stimuli) == 2
    assert list(stimuli[1].getdata()) == list(few[8].getdata())
    assert stimuli.table["concept"].tolist() == ["chosen", "chosen"]
    assert stimuli.table["rendering"].tolist() == few.table["rendering"][[3, 8]].tolist()
    assert len(seen.stimuli()) == 2
    with pytest.raises(BadInput, match="None of these points has a picture"):
        seen.stimuli("word")
    proj.labels.add("a", [1])
    with pytest.raises(BadInput, match="images="):
        proj.stimuli()
    proj.labels.undo()


def test_labels_guide_facets_and_tell_on_a_neuron_page(seen, tiny_rn):
    seen.labels.add("mine", range(0, 12, 2))
    seen.labels.add("yours", range(1, 12, 2))
    site = tiny_rn.site("image.layer4")
    made = facets(site.unit(3), stimuli=seen.stimuli(), strengths=[1.0], steps=1, progress=False)
    assert set(made.facets) == {"mine", "yours"}
    page = lens.neuron(site.unit(3), stimuli=seen.stimuli(), visualize=False)
    assert set(page.card["responses"]["concepts"]) == {"mine", "yours"}
