import numpy as np
import pytest
import torch

import lens
from lens.capture.hooks import forward_to
from lens.errors import BadInput
from lens.families import open_clip as family
from lens.sites import unit_values


@pytest.mark.parametrize("name", ["tiny_rn", "tiny_custom", "tiny_coca"])
def test_the_read_token_is_the_one_that_becomes_the_embedding(name, request):
    """From the last block's vector at that token, the tower's own head gives its embedding."""
    model = request.getfixturevalue(name)
    text = getattr(model.module, "text", model.module)
    tokens = model.tokens(["a dog", "two large cats on a mat"])
    last = model.site("text.blocks.1")
    vectors = unit_values(
        last, forward_to(last, tokens)[last.name], position=model.pooled_token(tokens)
    )
    with torch.no_grad():
        head = text.ln_final(vectors)
        projection = text.text_projection
        head = projection(head) if callable(projection) else head @ projection
        torch.testing.assert_close(head, model.run("text", tokens), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["tiny_rn", "tiny_vit", "tiny_custom", "tiny_coca"])
def test_embedding_sites_are_what_the_towers_give(name, request):
    model = request.getfixturevalue(name)
    pictures = torch.randn(3, 3, *model.image_size)
    tokens = model.tokens(["a dog", "a cat"])
    with torch.no_grad():
        for site, batch in (("image.embedding", pictures), ("text.embedding", tokens)):
            taken = forward_to(model.site(site), batch)[site]
            assert torch.equal(taken, model.run(model.site(site).tower, batch))
            assert model.site(site).shape == (32 if name == "tiny_coca" else 24,)


def test_text_names_are_the_same_unpacked_or_not(tiny_rn, tiny_custom):
    assert tiny_rn.site("text.blocks.1").path == "transformer.resblocks.1"
    assert tiny_custom.site("text.blocks.1").path == "text.transformer.resblocks.1"
    text = [s.name for s in tiny_rn.sites if s.tower == "text"]
    assert text == [s.name for s in tiny_custom.sites if s.tower == "text"]


def test_coca_appends_a_token(tiny_coca):
    assert tiny_coca.site("text.blocks.0").shape == (17, 32)
    assert tiny_coca.pooled_token(tiny_coca.tokens(["a dog"])).tolist() == [16]


def test_the_picture_format_is_the_models_own(tiny_rn):
    module = tiny_rn.module
    module.visual.preprocess_cfg = {"mean": (0.1, 0.2, 0.3), "std": (1, 1, 2), "size": 64}
    try:
        described = family.describe(module)
        assert described.mean == (0.1, 0.2, 0.3)
        assert described.std == (1.0, 1.0, 2.0)
    finally:
        del module.visual.preprocess_cfg


def test_the_default_tag_is_openais_where_there_is_one():
    assert family.tags("RN50")[0] == "openai"
    assert family.tags("ViT-H-14")[0].startswith("laion2b")


def test_no_weight_is_left_unfilled(small_names):
    """open_clip allocates the projection of CoCa's decoder and leaves what was in that memory."""
    torch.use_deterministic_algorithms(True)  # makes torch.empty give NaN
    try:
        module = family.create("small-coca", None, random=True)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.isfinite(p).all() for p in module.parameters())


# The first and last sites of each real architecture, and the size of its last stage.
FULL = {
    "RN50": ("image.stem", (64, 56, 56), "image.layer4", (2048, 7, 7)),
    "ViT-B-32": ("image.blocks.0.mlp.neurons", (50, 3072), "image.blocks.11", (50, 768)),
    "MobileCLIP-S1": ("image.stem", (64, 64, 64), "image.stages.3", (512, 8, 8)),
    "coca_ViT-B-32": ("image.blocks.0", (50, 768), "text.blocks.11", (77, 512)),
}


@pytest.mark.parametrize("name", FULL)
def test_full_architectures(name):
    first, first_shape, last, last_shape = FULL[name]
    model = lens.load(name, pretrained=None, device="cpu")
    assert model.site(first).shape == first_shape
    assert model.site(last).shape == last_shape
    assert {"image.embedding", "text.embedding"} <= set(model.sites.names)
    # Nothing that was named is missing from the table: every place was met in the trial.
    named = [place.name for tower in model._family.towers for place in tower.places]
    assert [site.name for site in model.sites if site.kind != "attention"] == named


def test_the_decoder_of_coca_reads_pictures_and_texts(tiny_coca):
    found = [s for s in tiny_coca.sites if s.tower == "cross"]
    names = [s.name for s in found if s.kind != "attention"]
    assert names == [
        "cross.blocks.0.self.mlp.neurons",
        "cross.blocks.0.self",
        "cross.blocks.0.mlp.neurons",
        "cross.blocks.0",
        "cross.output",
    ]
    pictures = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    texts = ["a dog", "two cats", "a cat on a mat"]
    pairs = list(zip(pictures, texts, strict=True))
    acts = lens.capture(tiny_coca, pairs, names, batch_size=2, progress=False)
    seen = []
    block = tiny_coca.module.text_decoder.cross_attn[0]
    handle = block.register_forward_hook(lambda m, a, output: seen.append(output))
    with torch.no_grad():
        logits = tiny_coca.module(pictures, tiny_coca.tokens(texts))["logits"]
    handle.remove()
    np.testing.assert_allclose(acts["cross.blocks.0"], seen[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(acts["cross.output"], logits.numpy(), atol=1e-5)
    # The picture is read, and so is the text.
    turned = [(picture, texts[0]) for picture in pictures]
    other = lens.capture(tiny_coca, turned, "cross.blocks.0", progress=False)["cross.blocks.0"]
    np.testing.assert_allclose(other[0], acts["cross.blocks.0"][0], atol=1e-5)
    assert abs(other[1] - other[0]).max() > 1e-3
    with pytest.raises(BadInput, match=r"pair \(image, text\)"):
        lens.capture(tiny_coca, pictures, "cross.blocks.0", progress=False)
    with pytest.raises(BadInput, match="Sites of several towers"):
        lens.capture(tiny_coca, pairs, ["cross.blocks.0", "image.blocks.0"], progress=False)


def test_a_decoder_that_does_not_run_hides_no_other_tower(small_names):
    """Widths that do not fit: only what runs can be looked at."""
    model = lens.load("small-coca", pretrained=None, device="cpu")
    assert {s.tower for s in model.sites} == {"image", "text"}
    assert not model.has_site("image.nothing")
    with pytest.raises(BadInput, match="does not run on a trial batch"):
        model.site("cross.blocks.0")


def test_a_text_tower_of_transformers_takes_what_the_tokenizer_gives(build):
    """RoBERTa counts two places more than it has; open_clip gives it 77 tokens, as any other."""
    import transformers
    from open_clip.hf_model import HFTextEncoder
    from open_clip.model import CustomTextCLIP

    config = transformers.RobertaConfig(
        hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2,
        vocab_size=90, max_position_embeddings=514,
    )  # fmt: skip
    vision = {"layers": 1, "width": 32, "head_width": 16, "image_size": 32, "patch_size": 8}
    text = {"context_length": 16, "vocab_size": 90, "width": 32, "heads": 2, "layers": 1}
    module = build(CustomTextCLIP, 24, vision, text)
    module.text = HFTextEncoder(
        "roberta-base", 24, pooler_type="mean_pooler", proj_type="linear", config=config
    ).eval()
    model = lens.wrap(module)
    assert model.site("text.blocks.1").shape == (77, 32)
    assert model.site("text.blocks.1.mlp.neurons").n_units == 40
