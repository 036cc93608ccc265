import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transformer import Transformer

import lens
from lens.capture.hooks import forward_to
from lens.errors import BadInput, UnitOutOfRange, UnknownSite
from lens.sites import by_position, unit_maps, unit_values


def test_a_residual_tower_has_stages_blocks_and_pre_activations(tiny_rn):
    assert tiny_rn.sites.names[:4] == [
        "image.stem",
        "image.layer1.0.pre_relu",
        "image.layer1.0",
        "image.layer1",
    ]
    site = tiny_rn.site("image.layer4")
    assert (site.path, site.at, site.tower, site.layout) == (
        "visual.layer4",
        "output",
        "image",
        "BCHW",
    )
    assert (site.n_units, site.shape, site.grid) == (256, (256, 2, 2), (2, 2))
    assert site.module is tiny_rn.module.visual.layer4


def test_a_transformer_has_blocks_and_neurons(tiny_vit):
    site = tiny_vit.site("image.blocks.1")
    assert (site.layout, site.shape, site.grid, site.n_prefix) == ("BTD", (17, 32), (4, 4), 1)
    neurons = tiny_vit.site("image.blocks.1.mlp.neurons")
    assert neurons.path == "visual.transformer.resblocks.1.mlp.gelu"
    assert neurons.n_units == 128
    text = tiny_vit.site("text.blocks.0")
    assert (text.tower, text.shape, text.grid, text.n_prefix) == ("text", (16, 32), None, 0)


def test_older_transformers_keep_the_tokens_first(build, fresh_clip, small_pictures):
    module = fresh_clip("vit")
    turned = build(Transformer, 32, 3, 2, batch_first=False)
    turned.load_state_dict(module.visual.transformer.state_dict())
    straight = lens.wrap(module).site("image.blocks.1")
    expected = forward_to(straight, small_pictures)["image.blocks.1"]
    module.visual.transformer = turned
    site = lens.wrap(module).site("image.blocks.1")
    assert (site.layout, site.shape, site.n_units) == ("TBD", (17, 32), 32)
    taken = forward_to(site, small_pictures)["image.blocks.1"]
    assert taken.shape == (17, 5, 32)
    torch.testing.assert_close(by_position(site, taken), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        unit_values(site, taken), unit_values(straight, expected), rtol=1e-5, atol=1e-5
    )


def test_the_site_before_the_last_relu(tiny_rn, tiny_vit):
    assert tiny_rn.site("image.layer4").pre_activation.name == "image.layer4.1.pre_relu"
    assert tiny_rn.site("image.layer4.0").pre_activation.name == "image.layer4.0.pre_relu"
    assert tiny_rn.site("image.layer4.pre_relu").name == "image.layer4.1.pre_relu"
    block = tiny_vit.site("image.blocks.1")
    assert block.pre_activation is block


def test_two_names_of_one_place_are_one_site(tiny_rn):
    assert tiny_rn.site("visual.layer4") == tiny_rn.site("image.layer4")
    assert len({tiny_rn.site("visual.layer4"), tiny_rn.site("image.layer4")}) == 1
    assert tiny_rn.site("image.layer4") != tiny_rn.site("image.layer3")


def test_units(tiny_rn):
    site = tiny_rn.site("image.layer4")
    assert repr(site.unit(17)) == "tiny-rn image.layer4 unit 17"
    assert site.unit(np.int64(17)) == site.unit(17)
    assert site.unit(3).model is tiny_rn
    assert [unit.index for unit in site.units([1, 2])] == [1, 2]
    assert len(site.units()) == 256


@given(st.integers().filter(lambda i: not 0 <= i < 256))
def test_a_unit_out_of_range_is_told_the_range(tiny_rn, index):
    with pytest.raises(UnitOutOfRange, match=r"image\.layer4 .* units 0 to 255, not"):
        tiny_rn.site("image.layer4").unit(index)


def test_globs_cross_dots(tiny_vit):
    assert [s.name for s in tiny_vit.sites("image.*.mlp*")] == [
        f"image.blocks.{i}.mlp.neurons" for i in range(3)
    ]
    assert {s.tower for s in tiny_vit.sites("*.blocks.?")} == {"image", "text"}


def test_globs_fall_back_to_the_modules_own_paths(tiny_rn):
    found = tiny_rn.sites("visual.layer4.*.bn1")
    assert [s.name for s in found] == ["visual.layer4.0.bn1", "visual.layer4.1.bn1"]
    assert found[0].layout == "BCHW"


def test_sites_are_chosen_by_lists_predicates_and_nothing(tiny_rn):
    assert tiny_rn.sites() == list(tiny_rn.sites)
    assert len(tiny_rn.sites(["image.layer4", "image.layer?", "image.layer4"])) == 4
    assert all(s.kind == "stage" for s in tiny_rn.sites(lambda s: s.kind == "stage"))
    site = tiny_rn.site("image.layer4")
    assert tiny_rn.sites(site) == [site]


@pytest.mark.parametrize("name", ["image.layer9", "image.layr4", "imag.layer4"])
def test_a_wrong_name_gets_the_nearest(tiny_rn, name):
    with pytest.raises(UnknownSite, match=r"tiny-rn has no site .* Did you mean image\.layer") as e:
        tiny_rn.site(name)
    assert isinstance(e.value, KeyError)


def test_a_glob_without_a_match_says_so(tiny_rn):
    with pytest.raises(UnknownSite, match=r"No site is called like 'image\.blocks\.\*'"):
        tiny_rn.sites("image.blocks.*")


def test_a_module_that_never_runs_by_itself_is_no_site(tiny_rn):
    with pytest.raises(UnknownSite, match="does not run by itself"):
        tiny_rn.site("visual.attnpool.q_proj")


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_site_or_unknown(tiny_rn, name):
    try:
        assert tiny_rn.site(name).n_units > 0
    except UnknownSite as error:
        assert str(error).count("\n") == name.count("\n") or repr(name) in str(error)


def test_every_name_and_every_path_that_runs_resolves(tiny_rn, tiny_vit):
    for model in (tiny_rn, tiny_vit):
        for site in model.sites:
            assert model.site(site.name) == site
            assert site.n_units == site.unit(site.n_units - 1).index + 1


def test_the_table(tiny_rn):
    frame = tiny_rn.sites.frame
    assert list(frame.columns) == ["name", "tower", "kind", "layout", "units", "shape"]
    assert len(frame) == len(tiny_rn.sites)
    assert "image.layer4" in repr(tiny_rn.sites)
    assert "<td>image.layer4</td>" in tiny_rn.sites._repr_html_()
    assert "image.layer4" in tiny_rn.sites
    assert tiny_rn.sites["image.layer4"].n_units == 256


def test_values_are_pooled_over_places_alone(tiny_rn, tiny_vit):
    conv, block = tiny_rn.site("image.layer3"), tiny_vit.site("image.blocks.0")
    maps = torch.randn(2, *conv.shape)
    assert torch.equal(unit_values(conv, maps, "max"), maps.amax((2, 3)))
    torch.testing.assert_close(unit_values(conv, maps), maps.mean((2, 3)))
    tokens = torch.randn(2, *block.shape)
    torch.testing.assert_close(unit_values(block, tokens), tokens[:, 1:].mean(1))
    assert torch.equal(unit_values(block, tokens, "cls"), tokens[:, 0])
    assert torch.equal(
        unit_values(block, tokens, position=torch.tensor([3, 16])),
        torch.stack([tokens[0, 3], tokens[1, 16]]),
    )
    flat = torch.randn(2, 24)
    for pool in ("mean", "max", "cls"):
        assert torch.equal(unit_values(tiny_rn.site("image.embedding"), flat, pool), flat)


def test_values_that_make_no_sense_are_refused(tiny_rn):
    site = tiny_rn.site("image.layer3")
    with pytest.raises(BadInput, match="no class token"):
        unit_values(site, torch.zeros(1, *site.shape), "cls")
    with pytest.raises(BadInput, match="'mean', 'max' or 'cls', not 'median'"):
        unit_values(site, torch.zeros(1, *site.shape), "median")


def test_maps_have_a_unit_a_plane(tiny_rn, tiny_vit):
    conv, block = tiny_rn.site("image.layer3"), tiny_vit.site("image.blocks.0")
    maps = torch.randn(2, *conv.shape)
    assert torch.equal(unit_maps(conv, maps), maps)
    bigger = torch.randn(2, conv.n_units, 7, 5)
    assert torch.equal(unit_maps(conv, bigger), bigger)
    tokens = torch.randn(2, *block.shape)
    assert torch.equal(unit_maps(block, tokens)[1, 5, 2, 3], tokens[1, 1 + 2 * 4 + 3, 5])
    with pytest.raises(BadInput, match="no map"):
        unit_maps(tiny_rn.site("image.embedding"), torch.zeros(1, 24))


@pytest.mark.parametrize("layer", ["image.blocks.1.attention", "text.blocks.0.attention"])
def test_attention_has_sites_whose_units_are_heads_or_their_features(tiny_vit, layer):
    tokens = 17 if layer.startswith("image") else 16
    pattern, q = tiny_vit.site(f"{layer}.pattern"), tiny_vit.site(f"{layer}.q")
    assert (pattern.layout, pattern.n_units, pattern.shape) == ("BNQK", 2, (2, tokens, tokens))
    assert (q.layout, q.n_units, q.shape) == ("BNTD", 32, (2, tokens, 16))
    assert (q.n_heads, q.n_positions, pattern.n_positions) == (2, tokens, tokens**2)
    assert [unit.index for unit in q.head(1)] == list(range(16, 32))
    assert [unit.index for unit in pattern.head(1)] == [1]
    assert q.n_prefix == (layer.startswith("image") and 1)
    tensor = torch.randn(3, *q.shape)
    placed = by_position(q, tensor)
    assert placed.shape == (3, tokens, 32)
    assert torch.equal(placed[:, 4, 16 + 5], tensor[:, 1, 4, 5])  # head 1, token 4, feature 5
    with pytest.raises(UnitOutOfRange, match="heads 0 to 1, not 2"):
        q.head(2)
    with pytest.raises(UnitOutOfRange, match="no heads"):
        tiny_vit.site("image.blocks.0").head(0)


def test_a_glob_finds_attention_only_where_it_says_so(tiny_vit, tiny_rn):
    kinds = {site.kind for site in tiny_vit.sites("image.blocks.*")}
    assert kinds == {"block", "neurons"}
    assert len(tiny_vit.sites("image.blocks.*.attention.*")) == 3 * 5
    assert len(tiny_vit.sites("image.*.pattern")) == 3
    assert len(tiny_vit.sites("*.q")) == 5
    assert len(tiny_rn.sites("image.attnpool.*")) == 5
    assert not any(site.kind == "attention" for site in tiny_rn.sites("*k*"))
