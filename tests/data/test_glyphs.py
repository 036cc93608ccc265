import re

import numpy as np
import pytest
from PIL import Image

from lens.data import glyphs
from lens.data.curation import EXCLUDED, WRITING
from lens.data.glyphs import _atlas
from lens.errors import BadInput


def test_about_400_short_one_word_concepts_each_in_six_renderings():
    g = glyphs()
    assert 380 <= len(g.concepts) <= 440
    assert all(re.fullmatch(r"[a-z]{2,9}", c) for c in g.concepts)
    assert len(set(g.concepts)) == len(g.concepts)
    assert g.renderings == ["cartoon", "icon", "render", "flat", "drawing", "word"]
    assert len(g) == len(g.table) == len(g.concepts) * 6
    assert {"dog", "pizza", "guitar", "volcano", "crown"} <= set(g.concepts)


def test_curation_names_only_what_is_there():
    g = glyphs()
    assert set(g.concepts) >= WRITING
    assert not EXCLUDED & set(g.concepts)
    assert g.writing == WRITING


def test_every_tile_has_ink():
    alpha = glyphs().tiles[..., 3]
    assert (alpha > 128).mean((2, 3)).min() > 0.02


def test_renderings_of_a_concept_differ_and_drawings_are_grey():
    g = glyphs()
    looks = [np.asarray(g.images("pizza", r)[0]) for r in g.renderings]
    for i, a in enumerate(looks):
        for b in looks[i + 1 :]:
            assert np.abs(a.astype(int) - b.astype(int)).mean() > 3
    ink = g.tiles[g.pictures.index("drawing")]
    solid = ink[ink[..., 3] > 200][:, :3].astype(int)
    assert np.ptp(solid, axis=1).max() <= 12  # lossy colour, but no hue
    assert solid.mean() < 80


def test_items_follow_the_table():
    g = glyphs()
    i = g.table.index[(g.table.concept == "dog") & (g.table.rendering == "flat")][0]
    image, concept = g[int(i)]
    assert g.concepts[concept] == "dog"
    assert image.tobytes() == g.images("dog", "flat")[0].tobytes()
    assert image.mode == "RGB" and image.size == (128, 128)
    assert g[-1][1] == len(g.concepts) - 1
    with pytest.raises(IndexError):
        g[len(g)]


def test_tags_are_shared_but_not_by_all():
    g = glyphs()
    holders: dict[str, int] = {}
    for tags in g.tags.values():
        for tag in tags:
            holders[tag] = holders.get(tag, 0) + 1
    assert min(holders.values()) >= 2
    assert max(holders.values()) < len(g.concepts) / 4
    assert "fruit" in g.tags["apple"]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda g: g.tile("dgo", "flat"), "dog"),
        (lambda g: g.tile("dog", "cartoons"), "cartoon"),
        (lambda g: g.images(concept="volcanoo"), "volcano"),
    ],
)
def test_a_wrong_name_gets_the_nearest(call, says):
    with pytest.raises(BadInput, match=says):
        call(glyphs())


def test_atlas_is_small_and_a_webp():
    from lens.data.glyphs import HERE

    path = HERE / "glyphs.webp"
    assert path.stat().st_size < 8 * 2**20
    with Image.open(path) as image:
        assert image.format == "WEBP" and image.mode == "RGBA"
    assert "CC BY 4.0" in (HERE / "NOTICE.md").read_text()


def test_the_atlas_is_the_same_whoever_decodes_it(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 48, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.webp", quality=80, alpha_quality=90)
    with Image.open(tmp_path / "a.webp") as image:
        assert (_atlas(tmp_path / "a.webp") == np.asarray(image.convert("RGBA"))).all()
