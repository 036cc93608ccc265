import numpy as np
import pytest
import torch

import lens
from lens.capture.activations import Activations
from lens.errors import BadInput, UnknownSite


@pytest.fixture()
def acts(tiny_rn, pictures):
    sites = ["image.layer4.pre_relu", "image.embedding"]
    return lens.capture(tiny_rn, pictures, sites, progress=False)


def test_a_mapping_from_sites_to_arrays(acts, tiny_rn):
    assert len(acts) == 2
    assert dict(acts).keys() == {"image.layer4.1.pre_relu", "image.embedding"}
    assert "image.embedding" in acts
    assert acts[tiny_rn.site("image.embedding")] is acts["image.embedding"]


def test_other_names_of_a_place_find_it(acts):
    assert acts["image.layer4.pre_relu"] is acts["image.layer4.1.pre_relu"]
    assert acts["visual"] is acts["image.embedding"]


def test_a_site_that_was_not_captured(acts):
    with pytest.raises(UnknownSite, match=r"No activations of 'image\.layer3' here"):
        acts["image.layer3"]
    with pytest.raises(UnknownSite, match=r"Did you mean image\.embedding"):
        acts["image.embeding"]
    with pytest.raises(UnknownSite, match="Which site"):
        acts.frame()


def test_a_frame_has_inputs_down_and_units_across(acts):
    frame = acts.frame("image.layer4.pre_relu")
    assert frame.shape == (5, 256)
    assert frame.index.tolist() == acts.inputs
    assert frame.columns.name == "unit"
    np.testing.assert_allclose(
        frame.to_numpy(), acts["image.layer4.pre_relu"].mean((2, 3)), atol=1e-6
    )
    top = acts.frame("image.layer4.pre_relu", pool="max").to_numpy()
    np.testing.assert_array_equal(top, acts["image.layer4.pre_relu"].max((2, 3)))


def test_pools_that_make_no_sense(acts):
    with pytest.raises(BadInput, match="no end-of-text token"):
        acts.frame("image.layer4.pre_relu", pool="eot")
    with pytest.raises(BadInput, match="no class token"):
        acts.frame("image.layer4.pre_relu", pool="cls")


def test_how_it_looks(acts):
    assert "tiny-rn on 5 inputs" in repr(acts)
    assert "5 x 256 x 2 x 2" in repr(acts)
    assert "<td>image.embedding</td>" in acts._repr_html_()


def test_names_from_outside_are_escaped(tiny_rn):
    from dataclasses import replace

    site = replace(tiny_rn.site("image.embedding"), name="<script>")
    page = Activations({"<script>": np.zeros((1, 24), np.float32)}, [site], ["x"])._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_tokens_first_layouts_are_kept_batch_first(tiny_vit, small_pictures):
    from dataclasses import replace

    site = tiny_vit.site("image.blocks.0")
    array = torch.randn(5, 17, 32).numpy()
    kept = Activations({site.name: array}, [replace(site, layout="TBD")], list("abcde"))
    np.testing.assert_allclose(kept.values_of(pool="cls"), array[:, 0])
