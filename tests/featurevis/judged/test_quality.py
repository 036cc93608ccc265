import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from lens.errors import BadInput
from lens.featurevis import objectives as o
from lens.featurevis import visualize
from lens.featurevis.judged.quality import quality
from lens.featurevis.judged.ranks import percentiles
from lens.opening import wrap


@pytest.fixture(scope="module")
def linear():
    """Four units: redness, greenness, blueness, and one that is always the same."""
    conv = nn.Conv2d(3, 4, 1)
    model = wrap(nn.Sequential(conv), name="linear", example=torch.zeros(2, 3, 16, 16))
    conv.weight.data.zero_()
    conv.weight.data[:3, :, 0, 0] = torch.diag(model.std)  # undoes the normalization
    conv.bias.data = torch.cat([model.mean, torch.zeros(1)])
    return model


def flat(model, colours, units, copies=1):
    """A visualization whose images are flat colours."""
    site = model.site("0")
    vis = visualize(site.units(units), steps=1, copies=copies, progress=False)
    colours = np.array(colours, dtype=np.uint8)
    return dataclasses.replace(vis, images=np.tile(colours[:, None, None], (1, 16, 16, 1)))


# Redness has a mean of 0.5 and little spread, greenness the same mean and much, blueness too.
VALUES = np.random.default_rng(0).normal(0.5, [0.05, 0.2, 0.2, 0.0], (400, 4)).astype(np.float32)
VALUES[:, 3] = 0


def test_numbers_of_a_linear_model(linear):
    colours = [[255, 128, 128], [128, 255, 128], [153, 178, 128]]
    vis = flat(linear, colours, [0, 1, 1])
    found = quality(vis, VALUES, top=20, progress=False, precision="fp32")
    table = found.images
    assert np.allclose(table["value"], [1, 1, 178 / 255], atol=1e-3)
    own = VALUES[:, [0, 1, 1]]
    assert np.allclose(table["percentile"], percentiles(table["held_out"].to_numpy(), own))
    best = np.sort(own, axis=0)[-20:].mean(0)
    ratio = (table["held_out"] - own.mean(0)) / (best - own.mean(0))
    assert np.allclose(table["ratio"], ratio, atol=1e-5)
    assert table["beats_best"].tolist() == (table["held_out"] > own.max(0)).tolist()
    # A tenth more red is two deviations, a fifth more green is one: the third image is for red.
    assert table["rank"].tolist() == [1, 1, 2]
    assert table["selectivity"].tolist() == [100, 100, 50]
    assert not {"agreement", "transfer"} & set(table.columns)  # arrays hold no pictures


def test_held_out_is_the_mean_over_kinds(linear):
    vis = flat(linear, [[200, 40, 90]], [0])
    found = quality(vis, VALUES, draws=2, progress=False, precision="fp32")
    # Mirroring and blurring leave a flat colour alone.
    plain = percentiles(found.images["value"].to_numpy(), VALUES[:, [0]])
    assert found.kinds["mirrored"].tolist() == found.kinds["blurred"].tolist() == plain.tolist()
    assert found.images["held_out"][0] != found.images["value"][0]


def test_a_unit_that_answers_to_nothing_has_no_standing(linear):
    found = quality(flat(linear, [[9, 9, 9]], [3]), VALUES, progress=False, precision="fp32")
    assert found.images[["selectivity", "ratio"]].isna().all(axis=None)
    assert found.images["percentile"].tolist() == [50]  # as all stimuli do


def test_same_seed_same_numbers_whatever_stands_beside(linear):
    both = quality(flat(linear, [[200, 9, 9], [9, 200, 9]], [0, 1]), VALUES, progress=False)
    one = quality(flat(linear, [[9, 200, 9]], [1]), VALUES, progress=False)
    again = quality(flat(linear, [[9, 200, 9]], [1]), VALUES, progress=False)
    other = quality(flat(linear, [[9, 200, 9]], [1]), VALUES, progress=False, seed=1)
    assert one.images.equals(again.images)
    assert np.isclose(one.images["held_out"][0], both.images["held_out"][1])
    assert one.images["held_out"][0] != other.images["held_out"][0]


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, size=(24, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def judged(resnet, vit, pictures):
    vis = visualize(resnet.site("image.layer4").units([1, 5]), steps=2, copies=2, progress=False)
    return vis, quality(vis, pictures, other=vit, top=4, precision="fp32", progress=False)


def test_agreement_and_transfer_count_pairs(judged, resnet, vit, pictures):
    vis, found = judged
    for column, model in (("agreement", resnet), ("transfer", vit)):
        seen, shown = model.embed(list(pictures)), model.embed(list(vis))
        for row in range(4):
            values = found.reference.values[:, found.images["unit"][row]]
            best = np.argsort(-values)[:4]
            rest = np.setdiff1d(np.arange(24), best)
            cosine = seen @ shown[row]
            wins = (cosine[best][:, None] > cosine[rest][None]).mean()
            assert np.isclose(found.images[column][row], wins, atol=0.02)


def test_a_best_example_agrees_with_itself(judged, resnet, pictures):
    vis, found = judged
    best = found.reference.top(1, 2)
    real = dataclasses.replace(vis, images=pictures[np.repeat(best, 2)])
    again = real.quality(found.reference, top=1, progress=False)
    assert again.images["agreement"][:2].tolist() == [1, 1]  # nothing is more like it
    assert again.images["percentile"][0] > 90


def test_the_table_has_a_row_a_unit(judged):
    _, found = judged
    table = found.table
    assert table["unit"].tolist() == [1, 5] and len(found.images) == len(found) == 4
    assert np.isclose(table["percentile"][1], found.images["percentile"][2:].mean())
    assert table["diversity"].between(0, 2).all() and (table["examples_diversity"] > 0).all()
    assert list(found.kinds.columns[1:]) == [
        "moved",
        "cropped",
        "mirrored",
        "blurred",
        "noisy",
        "recoloured",
    ]


def test_diversity_is_the_mean_distance_of_pairs(judged, resnet):
    vis, found = judged
    a, b, c, d = resnet.embed(list(vis))
    assert np.allclose(found.table["diversity"], [1 - a @ b, 1 - c @ d], atol=1e-5)


def test_it_says_what_it_found(judged):
    _, found = judged
    assert repr(found).startswith("Quality of 4 images for small-rn image.layer4")
    assert "transfer to small-vit" in repr(found)
    assert found._repr_html_().count("<tr") == 3 and "<script" not in found._repr_html_()


def test_objectives_that_begin_with_a_unit(resnet, pictures):
    unit = resnet.site("image.layer4").unit(3)
    aim = o.unit(unit, at="max") - 0.1 * o.total_variation()
    vis = visualize([aim], steps=1, progress=False)
    found = vis.quality(pictures, top=3, progress=False)
    assert found.images["unit"].tolist() == [3] and found.reference.at == "max"


def test_the_place_of_a_token_is_looked_at(vit, pictures):
    vis = visualize(vit.site("image.blocks.1").unit(3), at="cls", steps=1, progress=False)
    assert vis.quality(pictures, top=3, progress=False).reference.at == "cls"


def test_bad_input(resnet, judged, pictures):
    vis, found = judged
    both = [resnet.site("image.layer4").unit(1), resnet.site("image.layer3").unit(1)]
    with pytest.raises(BadInput, match="judge them apart"):
        visualize(both, steps=1, progress=False).quality(pictures)
    with pytest.raises(BadInput, match="is no unit's objective"):
        visualize(o.similarity(resnet, "dog"), steps=1, progress=False).quality(pictures)
    with pytest.raises(BadInput, match="top=24 best of 24"):
        vis.quality(found.reference, top=24, progress=False)
    with pytest.raises(BadInput, match="draws is a whole number, at least 1, not 0"):
        vis.quality(found.reference, draws=0)
    with pytest.raises(BadInput, match="seed is a whole number"):
        vis.quality(found.reference, seed="0")
    with pytest.raises(BadInput, match="small-rn can't be shown the stimuli"):
        vis.quality(found.reference, other=resnet, progress=False)
    with pytest.raises(BadInput, match="other is a model"):
        vis.quality(found.reference, other="glyph-vit")
