"""Simulated units: what is multimodal must be called so, and nothing else."""

import time
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch

from lens.errors import BadInput, LensError
from lens.neurons import multimodal as module
from lens.neurons.multimodal import multimodal

RENDERINGS = ["cartoon", "drawing", "word"]


def design(concepts=12, per_cell=16, renderings=RENDERINGS, split=True):
    """A row a stimulus, every concept in every rendering."""
    rows = [
        (f"c{c}", m, "discovery" if i % 2 == 0 else "held-out")
        for m in renderings
        for c in range(concepts)
        for i in range(per_cell)
    ]
    table = pd.DataFrame(rows, columns=["concept", "rendering", "split"])
    return table if split else table.drop(columns="split")


def respond(table, concept=None, renderings=(), strength=4.0, rng=None, offset=0.0):
    """A unit with unit noise, raised by `strength` for a concept in some renderings."""
    values = rng.normal(size=len(table)) + offset
    hit = (table.concept == concept) & table.rendering.isin(renderings)
    return values + strength * hit.to_numpy()


@pytest.fixture(scope="module")
def zoo():
    """One unit of every kind, among units of noise."""
    table, rng = design(), np.random.default_rng(0)
    any_text = respond(table, rng=rng) + 6.0 * (table.rendering == "word")
    units = {
        "multimodal": respond(table, "c3", RENDERINGS, rng=rng),
        "picture only": respond(table, "c4", ["cartoon", "drawing"], rng=rng),
        "word only": respond(table, "c5", ["word"], rng=rng),
        "any text": any_text,
        "one concept's pictures and any text": any_text
        + 4.0 * ((table.concept == "c6") & (table.rendering != "word")),
        "different concepts": respond(table, "c7", ["word"], rng=rng)
        + respond(table, "c8", ["cartoon", "drawing"], rng=rng),
        "against": -respond(table, "c9", RENDERINGS, rng=rng),
        "mostly words": respond(table, "c10", ["cartoon", "drawing"], 3.0, rng)
        + respond(table, "c10", ["word"], 7.0, rng),
    }
    values = np.stack([*units.values(), *rng.normal(size=(40, len(table)))], axis=1)
    return list(units), values, table


def test_columns_and_order(zoo):
    _, values, table = zoo
    found = multimodal(values, table=table)
    areas = ["auroc_cartoon", "auroc_drawing", "auroc_word"]
    expected = ["unit", "concept", "score", "p", "q", "n", "d_prime", "gap", *areas]
    assert list(found.columns) == expected
    assert sorted(found.unit) == list(range(values.shape[1]))
    assert found.score.is_monotonic_decreasing
    np.testing.assert_array_equal(found.score, found[areas].min(axis=1))
    assert (found.n == 8).all()
    assert (found.q >= found.p).all()


@pytest.mark.parametrize("correction", ["bh", "adafilter"])
def test_only_the_truly_multimodal_units_are_called_so(zoo, correction):
    names, values, table = zoo
    found = multimodal(values, table=table, correction=correction).set_index("unit")
    called = {names[unit] for unit in found.index[found.q <= 0.05] if unit < len(names)}
    assert called == {"multimodal", "mostly words"}
    assert not (found.loc[len(names) :, "q"] <= 0.05).any()
    assert found.loc[names.index("multimodal"), "concept"] == "c3"
    assert found.loc[names.index("multimodal"), "score"] > 0.95


def test_gap_is_the_word_s_d_prime_minus_the_pictures(zoo):
    names, values, table = zoo
    found = multimodal(values, table=table).set_index("unit")
    unit = names.index("mostly words")
    row, held_out = found.loc[unit], table.split == "held-out"
    d_prime = {}
    for rendering in RENDERINGS:
        cell = held_out & (table.rendering == rendering)
        inside = values[cell & (table.concept == row.concept), unit]
        outside = values[cell & (table.concept != row.concept), unit]
        spread = np.sqrt((inside.var(ddof=1) + outside.var(ddof=1)) / 2)
        d_prime[rendering] = (inside.mean() - outside.mean()) / spread
    assert row.d_prime == pytest.approx(min(d_prime.values()))
    assert row.gap == pytest.approx(d_prime["word"] - (d_prime["cartoon"] + d_prime["drawing"]) / 2)
    assert row.gap > 1
    assert abs(found.loc[names.index("multimodal"), "gap"]) < 2.5


def test_the_score_comes_from_the_held_out_half_alone(zoo):
    names, values, table = zoo
    changed = values.copy()
    discovery = (table.split == "discovery").to_numpy()
    changed[discovery] = 2.0 * changed[discovery] + 1.0  # the same order, other values
    before, after = multimodal(values, table=table), multimodal(changed, table=table)
    pd.testing.assert_frame_equal(before, after)

    # Noise on the held-out half: the concept is still found, and the score says that it isn't so.
    changed = values.copy()
    changed[~discovery] = np.random.default_rng(1).normal(size=changed[~discovery].shape)
    row = multimodal(changed, table=table).set_index("unit").loc[names.index("multimodal")]
    assert row.concept == "c3"
    assert row.score < 0.9
    assert row.q > 0.05


def test_false_discoveries_are_held_under_the_null():
    """Many worlds: some units are picture-only or word-only, so that p alone would mislead."""
    rng, table = np.random.default_rng(2), design(concepts=8, per_cell=16)
    rates, found_any = [], []
    for _ in range(30):
        noise = [respond(table, rng=rng) for _ in range(20)]
        partial = [respond(table, f"c{i % 8}", [RENDERINGS[i % 3]], 3, rng) for i in range(10)]
        true = [respond(table, f"c{i % 8}", RENDERINGS, 3, rng) for i in range(5)]
        found = multimodal(np.stack(noise + partial + true, axis=1), table=table)
        called = found[found.q <= 0.05]
        false = (called.unit < 30).sum()
        rates.append(false / max(len(called), 1))
        found_any.append((called.unit >= 30).sum())
        null = multimodal(np.stack(noise + partial, axis=1), table=table)
        assert (null.q <= 0.05).sum() <= 1
    assert np.mean(rates) <= 0.05
    assert np.mean(found_any) >= 4


def test_p_is_no_smaller_than_uniform_under_its_hardest_null():
    """Effects in all renderings but one: the largest p is then that one's, uniform."""
    rng, table = np.random.default_rng(3), design(concepts=6, per_cell=20)
    units = [respond(table, "c0", ["cartoon", "drawing"], 8, rng) for _ in range(400)]
    found = multimodal(np.stack(units, axis=1), table=table)
    p = found.p[found.concept == "c0"]
    assert len(p) > 60  # chosen on discovery by chance in the third rendering
    for level in (0.05, 0.1, 0.2, 0.5):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / len(p))


def test_the_middle_of_renderings_never_hides_the_weakest():
    rng, table = np.random.default_rng(4), design()
    picture_only = respond(table, "c1", ["cartoon", "drawing"], 50, rng)
    found = multimodal(picture_only[:, None], table=table)
    assert found.score[0] < 0.9
    assert found.q[0] > 0.05


def test_without_a_split_each_cell_is_dealt_out_in_turn(zoo):
    _, values, table = zoo
    pd.testing.assert_frame_equal(
        multimodal(values, table=table), multimodal(values, table=table.drop(columns="split"))
    )


def test_concepts_with_writing_are_no_candidates(zoo):
    names, values, table = zoo
    marked = table.assign(writing=table.concept == "c3")
    found = multimodal(values, table=marked)
    assert "c3" not in set(found.concept)
    assert found.attrs["left_out"] == 1
    assert found.attrs["concepts"] == 11
    assert found.attrs["tests"] == 11 * values.shape[1]
    row = found.set_index("unit").loc[names.index("multimodal")]
    assert row.q > 0.05


def test_n_counts_the_smallest_rendering():
    table, rng = design(concepts=3, per_cell=8), np.random.default_rng(5)
    few = table.index[(table.concept == "c1") & (table.rendering == "word")][:4]
    table = table.drop(index=few).reset_index(drop=True)
    values = respond(table, "c1", RENDERINGS, 9, rng)
    assert multimodal(values[:, None], table=table).n[0] == 2


def test_two_stimuli_a_cell_are_enough_and_no_word_means_no_gap():
    table = design(concepts=5, per_cell=2, renderings=["photo", "sketch"], split=False)
    values = np.random.default_rng(6).normal(size=(len(table), 3))
    found = multimodal(values, table=table)
    assert (found.n == 1).all()
    assert found.gap.isna().all()
    assert np.isfinite(found[["score", "p", "q", "d_prime"]].to_numpy()).all()


def test_arrays_of_any_kind(zoo, monkeypatch):
    _, values, table = zoo
    expected = multimodal(values, table=table)
    pd.testing.assert_frame_equal(multimodal(pd.DataFrame(values), table), expected)
    monkeypatch.setattr(module, "BLOCK", 7)
    pd.testing.assert_frame_equal(multimodal(values, table=table), expected)
    single = multimodal(torch.tensor(values, dtype=torch.float32, requires_grad=True), table=table)
    assert list(single.concept[:2]) == list(expected.concept[:2])
    assert (multimodal(np.sign(values).astype(int), table=table).score <= 1).all()


def test_constant_and_dead_units():
    table = design()
    found = multimodal(np.zeros((len(table), 2)), table=table)
    assert (found.score == 0.5).all()
    assert (found.p == 1).all()
    assert (found.d_prime == 0).all()


def bad(change):
    table = design(concepts=3, per_cell=4)
    values = np.random.default_rng(7).normal(size=(len(table), 2))
    return change(values, table)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v, t: (v[:-1], t), "35 rows"),
        (lambda v, t: (v[:, 0], t), "shape"),
        (lambda v, t: (v[:, :0], t), "shape"),
        (lambda v, t: (v.astype(str), t), "numbers"),
        (lambda v, t: (v, None), "table"),
        (lambda v, t: (v, t.drop(columns="rendering")), "'rendering'"),
        (lambda v, t: (v, t.assign(rendering="word")), "only 'word'"),
        (lambda v, t: (v, t.assign(concept="dog")), "one concept"),
        (lambda v, t: (v, t.assign(split="test")), "'test'"),
        (lambda v, t: (v, t.assign(split="held-out")), "0 discovery"),
        (lambda v, t: (v, t.assign(concept=t.concept.where(t.index != 5))), "Row 5"),
        (lambda v, t: (v, t.assign(writing=True)), "writing"),
        (lambda v, t: (v[:-3], t.iloc[:-3]), "'c2' has 1 discovery and 0 held-out"),
        (lambda v, t: (np.where(np.arange(2) == 1, np.nan, v), t), "Unit 1"),
        (lambda v, t: (v * [1, np.inf], t), "Unit 1"),
    ],
)
def test_bad_input_gets_one_clear_sentence(change, words):
    values, table = bad(change)
    with pytest.raises(BadInput, match=words) as caught:
        multimodal(values, table=table)
    assert "\n" not in str(caught.value)


def test_an_unknown_correction_names_the_right_one(zoo):
    _, values, table = zoo
    with pytest.raises(LensError, match="'adafilter'"):
        multimodal(values, table=table, correction="adafiltre")


def test_a_whole_layer_takes_seconds_and_little_memory():
    """1024 units, 400 concepts, 6 renderings, 19,200 stimuli."""
    renderings = ["cartoon", "icon", "render", "flat", "drawing", "word"]
    table = design(concepts=400, per_cell=8, renderings=renderings)
    values = np.random.default_rng(8).normal(size=(len(table), 1024)).astype(np.float32)
    tracemalloc.start()
    start = time.process_time()
    found = multimodal(values, table=table)
    seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 30
    assert peak < 400e6
    assert len(found) == 1024
    assert found.attrs["tests"] == 1024 * 400
    assert (found.q > 0.05).all()
