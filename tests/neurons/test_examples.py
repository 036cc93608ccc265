"""The stimuli that excite a unit most, and where."""

import numpy as np
import torch

from lens.capture.hooks import forward_to
from lens.neurons.examples import heat, top_examples, top_rows
from lens.neurons.responses import responses


def test_best_first_and_at_most_two_of_a_cell(model, stimuli):
    measured = responses(model.site("image.layer4"), stimuli, progress=False)
    values = measured.values[:, 5]
    rows = top_rows(measured, 5, 12)
    assert len(rows) == 12
    assert (np.diff(values[rows]) <= 0).all()
    cells = measured.table.iloc[rows].groupby(["concept", "rendering"]).size()
    assert cells.max() <= 2
    # Whatever was passed over, was so for two better ones of its cell.
    for row in set(range(len(values))) - set(rows):
        if values[row] > values[rows[-1]]:
            own = measured.table.loc[row, ["concept", "rendering"]]
            same = (measured.table[["concept", "rendering"]] == own).all(axis=1).to_numpy()
            assert (values[same] > values[row]).sum() >= 2
    assert top_rows(measured, 5, 1)[0] == values.argmax()


def test_rows_can_be_chosen_from_some_stimuli_only(model, stimuli):
    measured = responses(model.site("image.layer4"), stimuli, progress=False)
    words = (measured.table["rendering"] == "word").to_numpy()
    assert words[top_rows(measured, 0, 4, within=words)].all()


def test_an_example_shows_the_stimulus_its_value_and_its_place(model, stimuli):
    site = model.site("image.layer2")
    measured = responses(site, stimuli, progress=False)
    rows = top_rows(measured, 3, 12)
    examples = top_examples(measured, 3)
    for row, example in zip(rows, examples, strict=True):
        assert example.image.shape == (96, 96, 3)
        assert example.image.dtype == np.uint8
        assert example.concept == measured.table.concept[row]
        assert example.rendering == measured.table.rendering[row]
        assert example.value == measured.values[row, 3]
        assert example.heat.shape == (4, 4)
        assert (example.heat.min() >= 0, example.heat.max()) == (True, 1.0)


def test_heat_is_the_unit_s_own_map(model, stimuli):
    measured = responses(model.site("image.layer2"), stimuli, progress=False)
    rows = np.array([0, 30, 71])
    batch = torch.stack([model.preprocess(stimuli[int(i)]) for i in rows])
    with torch.no_grad():
        maps = forward_to([measured.site], batch)[measured.site.name][:, 2].numpy()
    for found, own in zip(heat(measured, 2, rows), maps, strict=True):
        if own.max() > 0:
            np.testing.assert_allclose(found, np.maximum(own, 0) / own.max(), atol=1e-4)
        else:
            np.testing.assert_allclose(found, (own - own.min()) / np.ptp(own), atol=1e-4)


def test_a_vit_s_map_leaves_the_class_token_out(vit, stimuli):
    measured = responses(vit.site("image.blocks.1.mlp.neurons"), stimuli, progress=False)
    assert top_examples(measured, 1, 3)[0].heat.shape == (4, 4)


def test_a_site_without_places_has_no_heat(model, stimuli):
    measured = responses(model.site("image.embedding"), stimuli, progress=False)
    np.testing.assert_array_equal(top_examples(measured, 1, 2)[0].heat, np.zeros((1, 1)))
