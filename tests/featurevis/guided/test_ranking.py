import numpy as np
import pytest
import torch
from PIL import Image

from lens import zoo
from lens.data import glyphs
from lens.errors import BadInput
from lens.featurevis.guided.ranking import rank
from lens.featurevis.parameterization import Fourier


@pytest.fixture(scope="module")
def model():
    return zoo.load("glyph-rn")


def test_the_order_is_that_of_a_plain_loop(model):
    pictures = [glyphs().images(c, "cartoon")[0] for c in glyphs().concepts[:40:4]]
    found = rank(model, pictures, "a picture of an animal")
    text = model.embed(["a picture of an animal"])[0]
    scores = [float(model.embed([picture])[0] @ text) for picture in pictures]
    assert found.order.tolist() == sorted(range(10), key=lambda i: -scores[i])
    assert np.allclose(found.scores, sorted(scores, reverse=True), atol=1e-5)
    assert len(found) == 10
    assert found.table["number"].tolist() == found.order.tolist()
    assert "animal" in repr(found)


def test_draws_are_the_same_however_many_there_are_and_the_best_shows_the_text(model):
    generator = zoo.generator()
    many = rank(model, generator, "a picture of a dog", n=40)
    few = rank(model, None, "a picture of a dog", n=8)
    first = [int(i) for i in many.order if i < 8]
    assert first == few.order.tolist()
    assert (np.diff(many.scores) <= 0).all()
    assert many.scores[0] > np.median(many.scores) + 0.1
    assert isinstance(many[0], Image.Image)
    assert many.sheet(columns=4, count=8).width == 4 * 102 + 6
    assert many._repr_html_().startswith("<div>")
    assert len(rank(model, Fourier(), "a dog", n=2)) == 2


def test_tensors_and_arrays_are_pictures_too(model):
    images = torch.rand(3, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    of_tensor = rank(model, images, {"a dog": 1, "a cat": -1})
    of_arrays = rank(model, [*images.permute(0, 2, 3, 1).numpy()], "a dog", avoid={"a cat": 2})
    assert of_tensor.order.tolist() == of_arrays.order.tolist()


def test_bad_input(model):
    for images, sentence in (
        ([], "no images"),
        ("dog.png", "not str"),
        (3, "not int"),
        (torch.zeros(3, 8, 8), r"\(images, 3, h, w\)"),
    ):
        with pytest.raises(BadInput, match=sentence):
            rank(model, images, "a dog")
    with pytest.raises(BadInput, match="n is a whole number"):
        rank(model, None, "a dog", n=0)
