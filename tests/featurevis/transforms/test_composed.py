import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lens
from lens.errors import BadInput
from lens.featurevis import rerun
from lens.featurevis.loop.optimize import generator
from lens.featurevis.transforms import (
    Moves,
    blur,
    colour,
    compose,
    crops,
    cutout,
    from_recipe,
    jitter,
    maco,
    moves,
    noise,
    rotate,
    scale,
)


def generators(*units: int) -> list[torch.Generator]:
    return [generator(0, unit, 0) for unit in units]


def test_one_after_another():
    images = torch.rand(2, 3, 8, 8)
    parts = [moves(jitter(4)), crops(3), colour(0.1), moves(rotate(5)), crops(2)]
    whole = compose(*parts)
    assert whole.views == 6
    own, want = generators(1, 2), images
    for part in parts:
        want = part(want, own, 0.4)
    assert torch.equal(whole(images, generators(1, 2), 0.4), want)
    assert len(want) == 12


def test_the_whole_is_the_same_alone_and_in_a_batch():
    images = torch.rand(2, 3, 8, 8)
    whole = compose(moves(jitter(4)), crops(3), noise(0.1), cutout(0.3))
    together = whole(images, generators(1, 2), 0.4)
    assert torch.equal(together[3:], whole(images[1:], generators(2), 0.4))


share = st.floats(0.01, 1)
part = st.one_of(
    st.builds(blur, st.floats(0, 3)),
    st.builds(noise, share),
    st.builds(colour, share, share, share),
    st.builds(cutout, share),
    st.builds(crops, st.integers(1, 4), share, share),
    st.builds(
        lambda p, d, padding: moves(jitter(p), scale(0.9, 1.1), rotate(d), padding=padding),
        share,
        share,
        st.sampled_from(["grey", "reflect"]),
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(part, max_size=4))
def test_recipes_come_back(parts):
    whole = compose(*parts)
    assert from_recipe(json.loads(json.dumps(whole.recipe()))) == whole


def test_nothing_composed_is_nothing_moved():
    assert compose() == Moves() and compose(noise(0.1)) == noise(0.1)
    assert compose(compose(noise(0.1), crops(2)), blur(1)) == compose(noise(0.1), crops(2), blur(1))


def test_wrong_recipes_are_said():
    with pytest.raises(BadInput, match=r"'cropz'; .*Did you mean crops"):
        from_recipe([{"kind": "cropz"}])
    with pytest.raises(BadInput, match=r"no recipe of noise: .*'much'"):
        from_recipe([{"kind": "noise", "much": 1}])


def test_crops_fall_over_a_run_and_the_recipe_makes_it_again(resnet, monkeypatch):
    from lens.featurevis.transforms.crops import Crops

    unit = resnet.site("image.layer2").unit(3)
    seen, real = [], Crops.__call__
    monkeypatch.setattr(
        Crops, "__call__", lambda self, *given: seen.append(given[2]) or real(self, *given)
    )
    vis = lens.visualize(unit, transforms=maco(4), steps=4, progress=False)
    assert seen == [0, 0.25, 0.5, 0.75]
    again = rerun(vis, resnet, progress=False)
    assert (again.images == vis.images).all() and again.recipe == vis.recipe
