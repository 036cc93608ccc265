"""One name for a unit, a picture and a text in every view."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import lens
from lens import widgets
from lens.widgets.link import named, named_for, place
from lens.widgets.map.linking import Links


@pytest.fixture(scope="module")
def photo():
    """A picture that the model's preprocessing has to scale and crop."""
    pixels = np.random.default_rng(5).integers(0, 256, (90, 130, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_a_name_is_of_the_pixels_alone():
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert named(pixels) == named(np.asfortranarray(pixels)) == named(pixels.copy())
    assert len(named(pixels)) == 16 and int(named(pixels), 16) > 0
    other = pixels.copy()
    other[3, 3, 2] += 1
    names = {named(pixels), named(other), named(pixels.reshape(2, 8, 3)), named(pixels[::-1])}
    assert len(names) == 4


def test_a_picture_has_one_name_however_it_came(tiny_rn, photo, tmp_path):
    file = tmp_path / "photo.png"
    photo.save(file)
    ready = tiny_rn.preprocess(photo)
    name = named_for(tiny_rn, photo)
    assert name == named_for(tiny_rn, file) == named_for(tiny_rn, np.asarray(photo))
    assert name == named_for(tiny_rn, ready)
    assert name != named_for(None, photo)
    explorer = lens.attention(tiny_rn, [ready, file], "a dog").explore()
    assert explorer.about["images"] == [name, name]
    assert explorer.about["texts"] == ["a dog", "a dog"]
    heat = lens.attribute(tiny_rn, photo, "a dog", "saliency").view()
    assert heat.about["image"] == name
    proj = lens.project([file, photo, *np.zeros((4, 9, 9, 3), np.uint8)], "pca", model=tiny_rn,
                        progress=False)  # fmt: skip
    links = Links(proj)
    assert links.of(0) == links.of(1) == name
    assert links.find("image", name) == 0
    assert links.find("image", named_for(tiny_rn, np.ones((9, 9, 3), np.uint8))) == -1


def test_a_unit_is_called_by_its_place(tiny_rn, few):
    site = tiny_rn.site("image.layer4")
    proj = lens.project(few, "pca", model=tiny_rn, units=site.units([4, 9]), texts=["dog"],
                        progress=False)  # fmt: skip
    links, n = Links(proj), len(few)
    assert links.of(n) == f"{place(site)}/4" == "image.layer4.1/4"
    assert links.find("unit", "image.layer4.1/9") == n + 1
    assert links.find("unit", "image.layer3.1/9") == -1
    assert links.find("text", "dog") == len(proj) - 1
    assert links.find("image", "dog") == -1
    heat = lens.attribute(tiny_rn, few[0], target=site.unit(4), method="saliency").view()
    assert heat.about["unit"] == "image.layer4.1/4"


def test_points_without_pictures_are_called_by_their_ids():
    vectors = np.random.default_rng(0).normal(size=(5, 3))
    proj = lens.project(vectors, "pca", texts=list("abcde"), progress=False)
    links = Links(proj)
    assert links.of(2) == "c"
    assert links.find("text", "c") == 2
    assert links.find("image", "c") == -1


def test_examples_on_the_pages_of_units_have_their_names(tiny_rn, few):
    site = tiny_rn.site("image.layer4")
    page = lens.neuron(site.unit(3), stimuli=few, visualize=False)
    called = [example["called"] for example in page.card["examples"]]
    pictures = {named_for(tiny_rn, few[i]): i for i in range(len(few))}
    rows = [pictures[name] for name in called]
    assert len(set(rows)) == len(rows)
    told = few.table.iloc[rows]
    assert [example["concept"] for example in page.card["examples"]] == list(told["concept"])
    table = lens.multimodal(tiny_rn, site, few, progress=False)
    view = widgets.units(table, site, stimuli=few)
    assert set(view.thumbs["called"]) <= set(pictures)
    best = np.frombuffer(view.thumbs["examples"], "<i4").reshape(-1, view.thumbs["each"])
    row = table["unit"].tolist().index(3)
    assert view.thumbs["called"][best[row, 0]] == called[0]


def test_what_a_text_reads_is_its_name(tiny_rn, few):
    text = 'a "dog"\n</script>'
    view = lens.attribute(tiny_rn, few[0], text, "saliency", explain="text").view()
    assert view.about["text"] == text
    assert view.about["image"] == ""
    assert view.about["grid"] == []


def test_places_are_walked_through_by_the_maps_own_grid(tiny_rn):
    picture = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(3))
    cam = lens.attribute(tiny_rn, picture, "a dog", "grad_cam")
    assert cam.view().about["grid"] == list(cam.places.shape)
    assert lens.attribute(tiny_rn, picture, "a dog", "saliency").view().about["grid"] == [16, 16]
