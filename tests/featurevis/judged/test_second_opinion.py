import numpy as np
import pytest

import lens
from lens.data import glyphs
from lens.errors import BadInput
from lens.featurevis import naming

CONCEPTS = ["apple", "banana", "dog", "cat", "guitar", "car", "house", "tree"]


@pytest.fixture(scope="module")
def glyph_vit():
    return lens.load("glyph-vit")


def test_real_stimuli_are_named_and_strangers_are_not(glyph_vit):
    concepts = [c for c in CONCEPTS if c in glyphs().concepts]
    images = glyphs().images(concept=concepts, rendering="flat")
    found = naming(images, concepts, glyph_vit)
    assert found.among == len(glyphs().concepts)
    assert found.top(1) >= 0.8 and found.top(5) >= found.top(1)
    assert found.top(5, "control_rank") <= 0.2
    assert f"{found.top(1):.1%} in the top 1" in repr(found)


def test_ranks_are_those_of_a_plain_sort(resnet):
    images = np.random.default_rng(0).integers(0, 256, size=(4, 32, 32, 3), dtype=np.uint8)
    names = ["ant", "bee", "cow", "dog", "eel"]
    right = ["bee", "eel", "ant", "bee"]
    found = naming(images, right, resnet, among=names, prompts=["{}"])
    scores = resnet.embed(list(images)) @ resnet.embed(names).T
    for row, name in enumerate(right):
        order = [names[i] for i in np.argsort(-scores[row])]
        assert found.table["answer"][row] == order[0]
        assert found.table["rank"][row] == 1 + order.index(name)
    # Image 0 and image 3 are both bees: neither is the other's control.
    ranks = [[1 + list(np.argsort(-row)).index(names.index("bee")) for row in scores]]
    assert found.table["control_rank"][0] in (ranks[0][1], ranks[0][2])


def test_control_is_seeded(resnet):
    images = np.random.default_rng(0).integers(0, 256, size=(6, 32, 32, 3), dtype=np.uint8)
    right = ["ant", "bee", "cow", "dog", "eel", "fox"]
    one, again = (naming(images, right, resnet, among=right, seed=3).table for _ in range(2))
    assert one.equals(again)


def test_html_escapes_names(resnet):
    images = np.zeros((2, 32, 32, 3), np.uint8)
    names = ["<script>", "bee"]
    page = naming(images, names, resnet, among=names)._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_bad_input(resnet, vit, colours):
    images = np.zeros((2, 32, 32, 3), np.uint8)
    with pytest.raises(BadInput, match="2 images need as many concepts, not 1"):
        naming(images, ["dog"], resnet)
    with pytest.raises(BadInput, match=r"'aple' is not among .* Did you mean apple"):
        naming(images, ["aple", "dog"], resnet)
    with pytest.raises(BadInput, match="two concepts or more"):
        naming(images, ["dog", "dog"], resnet)
    with pytest.raises(BadInput, match="colours can name nothing"):
        naming(images, ["dog", "cat"], colours)
