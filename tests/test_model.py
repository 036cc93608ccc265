import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import lens
from lens.errors import BadImage, BadInput, BadWeights, MissingOption, NotDownloaded, UnknownModel


def test_random_weights_come_from_the_seed_and_no_generator_moves(small_names):
    before = torch.random.get_rng_state()
    model = lens.load("small-rn", pretrained=None, seed=3, device="cpu")
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        fresh = torch.nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False)
    assert torch.equal(model.module.visual.conv1.weight, fresh.weight)
    assert not model.module.training
    assert model.name == "small-rn"
    assert model.embed("a dog").shape == (1, 24)


def test_the_same_seed_gives_the_same_embedded_architecture():
    first, again, other = (
        lens.load("glyph-rn", pretrained=None, seed=seed, device="cpu") for seed in (1, 1, 2)
    )
    assert first.fingerprint == again.fingerprint != other.fingerprint


@pytest.mark.parametrize(
    ("name", "near"), [("RN50x5", "RN50x4"), ("glyph-rm", "glyph-rn"), ("vit-b-32", "ViT-B-32")]
)
def test_a_wrong_model_name_gets_the_nearest(name, near):
    with pytest.raises(UnknownModel, match=f"no model {name!r}.*{near}"):
        lens.load(name)


def test_a_wrong_tag_gets_the_right_ones():
    with pytest.raises(UnknownModel, match=r"no pretrained weights 'opena'; it has: .*openai"):
        lens.load("RN50", pretrained="opena")
    with pytest.raises(UnknownModel, match="pretrained=None"):
        lens.load("ViT-M-32")
    with pytest.raises(UnknownModel, match="one set of weights"):
        lens.load("glyph-rn", pretrained="openai")


def test_without_a_network_one_sentence_names_the_weights_and_the_ways_out(monkeypatch):
    import open_clip

    def unreachable(*args, **kwargs):
        raise RuntimeError("Failed to download weights") from ConnectionError("no route to host")

    monkeypatch.setattr(open_clip, "create_model", unreachable)
    with pytest.raises(NotDownloaded, match=r"RN50 \(openai\).*lens\.load\(\).*pretrained=None"):
        lens.load("RN50")
    with pytest.raises(NotDownloaded, match="hf-hub:someone/something"):
        lens.load("hf-hub:someone/something")


def test_a_fault_of_the_code_is_not_taken_for_the_network(monkeypatch):
    import open_clip

    def broken(*args, **kwargs):
        raise TypeError("unexpected keyword")

    monkeypatch.setattr(open_clip, "create_model", broken)
    with pytest.raises(TypeError, match="unexpected keyword"):
        lens.load("RN50")


def test_a_missing_package_is_named(small_names, monkeypatch):
    monkeypatch.setattr("open_clip.hf_model.transformers", None)  # as where it is not installed
    with pytest.raises(MissingOption, match="small-roberta need the package transformers"):
        lens.load("small-roberta", pretrained=None)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_bad_weights_are_named(fresh_clip, value):
    module = fresh_clip("rn")
    with torch.no_grad():
        module.visual.layer2[0].conv2.weight[0, 0, 0, 0] = value
    with pytest.raises(BadWeights, match=r"1 of the \d+ numbers in 'visual\.layer2\.0\.conv2\.we"):
        lens.wrap(module)


def test_minus_infinity_in_an_attention_mask_is_no_fault():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(4, 4)
            self.register_buffer("attn_mask", torch.full((3, 3), -float("inf")).triu(1))

        def forward(self, x):
            return self.lin(x)

    assert lens.wrap(Masked()).sites.names == ["image.output"]


def test_only_modules_are_wrapped():
    with pytest.raises(BadInput, match=r"torch\.nn\.Module, not str"):
        lens.wrap("RN50")


def test_a_fingerprint_changes_with_any_weight(fresh_clip, tiny_rn):
    again = lens.wrap(fresh_clip("rn"), name="again")
    assert again.fingerprint == tiny_rn.fingerprint
    changed = fresh_clip("rn")
    with torch.no_grad():
        changed.logit_scale += 1e-3
    assert lens.wrap(changed, name="changed").fingerprint != tiny_rn.fingerprint


def test_embeddings_are_the_models_own_at_unit_length(tiny_rn):
    images = [Image.new("RGB", (40 + i, 50), (20 * i, 100, 200)) for i in range(5)]
    found = tiny_rn.embed(images, batch_size=2)
    with torch.no_grad():
        batch = torch.stack([tiny_rn.preprocess(image) for image in images])
        expected = tiny_rn.module.encode_image(batch, normalize=True)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(tiny_rn.embed(images[1]), found[1:2], atol=1e-5)


@pytest.mark.parametrize("name", ["tiny_rn", "tiny_custom", "tiny_coca"])
def test_texts_are_embedded(name, request):
    model = request.getfixturevalue(name)
    texts = ["a dog", "two large cats on a mat"]
    found = model.embed(texts)
    with torch.no_grad():
        expected = model.module.encode_text(model.tokens(texts), normalize=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(model.embed("a dog"), found[:1], atol=1e-5)


def test_coca_is_not_normalised_unasked(tiny_coca, small_pictures):
    with torch.no_grad():
        raw = tiny_coca.run("image", small_pictures)
    assert (raw.norm(dim=-1) - 1).abs().min() > 1e-3


def test_what_cannot_be_embedded_is_refused(tiny_rn, tmp_path):
    with pytest.raises(BadInput, match="empty"):
        tiny_rn.embed([])
    with pytest.raises(BadInput, match="must be a str, not int"):
        tiny_rn.embed(["a dog", 3])
    with pytest.raises(BadImage, match=r"missing\.png"):
        tiny_rn.embed(tmp_path / "missing.png")
    bare = lens.wrap(nn.Conv2d(3, 4, 3))
    with pytest.raises(BadInput, match="no tokenizer"):
        bare.embed("a dog")
    with pytest.raises(BadInput, match="no text tower; it has: image"):
        bare.run("text", torch.zeros(1, 3))


def test_preprocessing_is_resizing_and_normalising(tiny_rn):
    grey = Image.new("RGB", (100, 80), (51, 102, 153))
    expected = tiny_rn.normalize(torch.tensor([0.2, 0.4, 0.6]).reshape(1, 3, 1, 1))
    torch.testing.assert_close(tiny_rn.preprocess(grey), expected[0].expand(3, 64, 64))
    bare = lens.wrap(nn.Conv2d(3, 4, 3))
    assert bare.preprocess(grey).shape == (3, 224, 224)


def test_normalising_is_differentiable(tiny_rn):
    pixels = torch.rand(1, 3, 4, 4, requires_grad=True)
    tiny_rn.normalize(pixels).sum().backward()
    expected = (1 / tiny_rn.std)[None, :, None, None].expand_as(pixels)
    torch.testing.assert_close(pixels.grad, expected)


def test_a_model_in_training_is_run_in_eval_mode_and_goes_on_training(fresh_clip, pictures):
    module = fresh_clip("rn")
    model = lens.wrap(module, name="training")
    expected = model.run("image", pictures)
    module.train()
    module.visual.layer2.eval()  # a mixture, as in fine-tuning
    modes = [child.training for child in module.modules()]
    statistics = module.visual.bn1.running_mean.clone()
    assert torch.equal(model.run("image", pictures), expected)
    assert model.site("image.layer4").n_units == 256
    assert [child.training for child in module.modules()] == modes
    assert torch.equal(module.visual.bn1.running_mean, statistics)


def test_a_compiled_model_is_looked_at_uncompiled(fresh_clip, pictures):
    plain = lens.wrap(fresh_clip("rn"), name="plain")
    expected = lens.capture(plain, pictures, "image.layer4", progress=False)["image.layer4"]
    with pytest.warns(UserWarning, match="OptimizedModule is compiled; lens looks at"):
        whole = lens.wrap(torch.compile(fresh_clip("rn"), backend="eager"))
    found = lens.capture(whole, pictures, "image.layer4", progress=False)
    np.testing.assert_array_equal(found["image.layer4"], expected)
    inside = fresh_clip("rn")
    inside.visual.compile(backend="eager")
    with pytest.warns(UserWarning, match="CLIP is compiled"):
        part = lens.wrap(inside)
    found = lens.capture(part, pictures, "image.layer4", progress=False)
    np.testing.assert_array_equal(found["image.layer4"], expected)


def test_the_repr_says_what_it_is(tiny_rn):
    assert "tiny-rn" in repr(tiny_rn)
    assert "64 x 64" in repr(tiny_rn)
