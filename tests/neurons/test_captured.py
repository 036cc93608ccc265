"""The multimodal table out of what was captured before."""

import numpy as np
import pandas as pd
import pytest

import lens
from lens.data import glyphs
from lens.errors import BadInput
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
