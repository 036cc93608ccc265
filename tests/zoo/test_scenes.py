import torch

from lens.data import glyphs
from lens.zoo.scenes import HELD_OUT_RENDERING, _posterized


def draw(scenes, seed=0, n=24, **options):
    return scenes.draw(n, torch.Generator().manual_seed(seed), **options)


def test_scenes_are_seeded_and_in_range(scenes):
    first, again, other = draw(scenes), draw(scenes), draw(scenes, seed=1)
    assert torch.equal(first.pixels, again.pixels)
    assert not torch.equal(first.pixels, other.pixels)
    assert first.pixels.shape == (24, 3, 96, 96)
    assert 0 <= first.pixels.min() and first.pixels.max() <= 1


def test_the_share_of_words_is_kept(scenes):
    scene = draw(scenes, word_share=0.75)
    assert scene.renderings.count("word") == 18


def test_the_held_out_style_is_never_drawn(scenes):
    seen = {r for seed in range(8) for r in draw(scenes, seed, word_share=0.2).renderings}
    assert HELD_OUT_RENDERING not in seen
    assert seen == set(glyphs().renderings) - {HELD_OUT_RENDERING}


def test_variety_bends_and_hides_the_same_things(scenes):
    plain, varied = (draw(scenes, word_share=0.0, variety=v) for v in (0.0, 1.0))
    again = draw(scenes, word_share=0.0, variety=1.0)
    assert torch.equal(varied.pixels, again.pixels)
    assert torch.equal(plain.concepts, varied.concepts)
    assert plain.renderings == varied.renderings
    assert not torch.equal(plain.pixels, varied.pixels)
    assert 0 <= varied.pixels.min() and varied.pixels.max() <= 1


def test_posterized_tiles_keep_their_outline_and_have_few_shades(scenes):
    tiles = scenes.tiles[0, :16]
    flat = _posterized(tiles, torch.Generator().manual_seed(0), share=1.0)
    assert torch.equal(flat[:, 3], tiles[:, 3])
    solid = flat[:, 0][tiles[:, 3] == 1]
    assert len(solid.unique()) <= 5 * 4 < len(tiles[:, 0][tiles[:, 3] == 1].unique())


def test_words_are_clean_at_first(scenes):
    easy = draw(scenes, word_share=1.0, difficulty=0.0).pixels
    hard = draw(scenes, word_share=1.0, difficulty=1.0).pixels
    # On a clean page the corners are all of one colour.
    corners = [(0, 0), (0, -1), (-1, 0), (-1, -1)]

    def spread(x):
        return torch.stack([x[:, :, i, j] for i, j in corners]).std(0).mean()

    assert spread(easy) < 0.01 < spread(hard)
