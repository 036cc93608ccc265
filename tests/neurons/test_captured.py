"""The multimodal table out of what was captured before."""

import numpy as np
import pandas as pd
import pytest

import lens
from lens.data import glyphs
from lens.errors import BadInput
from lens.neurons.card import card
from lens.neurons.responses import responses


@pytest.fixture(scope="module")
def shown():
    few = {"concepts": ["dog", "pizza", "crown"], "renderings": ["icon", "word"]}
    return glyphs().stimuli(4, **few)


@pytest.fixture(scope="module")
def store(tiny_rn, shown, tmp_path_factory):
    where = tmp_path_factory.mktemp("store") / "x"
    sites = ["image.layer4", "image.layer4.pre_relu"]
    return lens.capture(tiny_rn, shown, sites, reduce="mean", store=where, progress=False)


def test_a_store_gives_the_models_own_table(tiny_rn, shown, store):
    measured = responses(tiny_rn.site("image.layer4"), shown, precision="fp32", progress=False)
    np.testing.assert_allclose(store.values_of("image.layer4.pre_relu"), measured.values, atol=1e-5)
    found = lens.multimodal(store, site="image.layer4", stimuli=shown)
    expected = lens.multimodal(store.values_of("image.layer4.pre_relu"), table=shown.table)
    pd.testing.assert_frame_equal(found, expected, check_like=True)
    assert found.attrs["site"] == "image.layer4.1.pre_relu"
    assert store["image.layer4.pre_relu"].shape == (24, 256)


def test_values_before_the_relu_alone_are_enough(tiny_rn, shown, store, tmp_path):
    only = lens.capture(
        tiny_rn, shown, "image.layer4.pre_relu", reduce="mean", store=tmp_path / "y", progress=False
    )
    found = lens.multimodal(only, "image.layer4", shown)
    pd.testing.assert_frame_equal(found, lens.multimodal(store, "image.layer4", shown))


def test_activations_in_memory_and_a_bare_table_do_too(tiny_rn, shown, store):
    acts = lens.capture(
        tiny_rn, [shown[i] for i in range(len(shown))], "image.layer4.pre_relu", reduce="mean",
        progress=False,
    )  # fmt: skip
    found = lens.multimodal(acts, table=shown.table)
    from_store = lens.multimodal(store, "image.layer4", shown)
    pd.testing.assert_series_equal(found["score"], from_store["score"], atol=1e-6)


def test_other_stimuli_are_refused(shown, store):
    with pytest.raises(BadInput, match="made of other stimuli"):
        lens.multimodal(store, "image.layer4", shown.where(rendering="word"))
    with pytest.raises(BadInput, match=r"24 inputs and the table has 12 rows"):
        lens.multimodal(store, "image.layer4", table=shown.where(rendering="word").table)
    with pytest.raises(BadInput, match=r"with a `\.table`"):
        lens.multimodal(store, "image.layer4", list(range(24)))


def test_a_store_gives_the_page_of_a_unit_what_a_pass_would(tiny_rn, shown, tmp_path):
    sites = ["image.layer4.pre_relu", "image.embedding"]
    store = lens.capture(tiny_rn, shown, sites, reduce="mean", store=tmp_path / "x", progress=False)
    site = tiny_rn.site("image.layer4")
    passed = responses(site, shown, precision="fp32", progress=False)
    taken = responses(site, shown, activations=store)
    np.testing.assert_allclose(taken.values, passed.values, atol=1e-5)
    np.testing.assert_allclose(taken.embeddings, passed.embeddings, atol=1e-5)
    page = lens.neuron(site.unit(3), stimuli=shown, activations=store, visualize=False)
    own = card(site.unit(3), passed)
    assert [e["concept"] for e in page.card["examples"]] == [e.concept for e in own.examples]
    assert [w for w, _ in page.card["words"]] == [w for w, _ in own.words]


def test_no_pass_is_made_beside_the_examples(tiny_rn, shown, store, monkeypatch):
    seen = []
    monkeypatch.setattr("lens.neurons.responses._look", lambda *given: seen.append(given) or 1 / 0)
    page = lens.neuron(
        tiny_rn.site("image.layer4").unit(3), stimuli=shown, activations=store, visualize=False
    )
    assert not seen
    assert len(page.card["examples"]) == 12
    assert page.card["words"] == []  # the embeddings were not captured


def test_stimuli_that_could_not_be_read_are_left_out_of_the_page(tiny_rn, shown, tmp_path):
    class Holed:
        table, key = shown.table, "holed"

        def __len__(self):
            return len(shown)

        def __getitem__(self, row):
            if row == 5:
                raise OSError("gone")
            return shown[row]

    store = lens.capture(
        tiny_rn, Holed(), "image.layer4.pre_relu", reduce="mean", store=tmp_path / "x",
        progress=False,
    )  # fmt: skip
    measured = responses(tiny_rn.site("image.layer4"), Holed(), activations=store)
    assert (len(measured.values), len(measured.table), len(measured.stimuli)) == (23, 23, 23)
    assert measured.embeddings is None
    np.testing.assert_array_equal(np.asarray(measured.stimuli[5]), np.asarray(shown[6]))
