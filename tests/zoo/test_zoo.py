import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import lens
from lens import zoo
from lens.errors import BadWeights, UnknownModel


@pytest.mark.parametrize("name", zoo.names())
def test_opens_with_the_classes_of_open_clip_and_leaves_the_generator_alone(name):
    from open_clip.model import CLIP

    torch.manual_seed(5)
    before = torch.get_rng_state()
    model = zoo.load(name)
    assert torch.equal(before, torch.get_rng_state())
    assert type(model.module) is CLIP
    assert not model.module.training
    assert model.image_size == (96, 96)


def test_the_vision_transformer_has_64_patches_and_the_resnet_1024_units():
    vit, resnet = zoo.build("glyph-vit"), zoo.build("glyph-rn")
    assert vit.module.visual.positional_embedding.shape[0] == 64 + 1
    assert resnet.site("image.layer4").n_units == 1024


def test_pictures_and_texts_meet_in_the_joint_space():
    model = lens.load()
    names = ["pizza", "guitar", "volcano", "dog"]
    shown = model.embed([lens.data.glyphs().images(n, "cartoon")[0] for n in names])
    said = model.embed([f"a picture of a {n}" for n in names])
    assert shown.shape == said.shape == (4, 256)
    assert np.allclose(np.linalg.norm(shown, axis=1), 1, atol=1e-5)
    assert ((shown @ said.T).argmax(1) == np.arange(4)).all()


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(UnknownModel, match="glyph-rn"):
        zoo.load("glyph-rm")


def test_weights_of_something_else_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(BadWeights, match="missing"):
        zoo.load(weights=path)
    path.write_bytes(b"not weights at all")
    with pytest.raises(BadWeights, match="not a safetensors"):
        zoo.load(weights=path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(BadWeights, match="does not hold the weights of glyph-rn"):
        zoo.load(weights=path)
