import shutil
import warnings

import numpy as np
import pytest
import torch

from lens.featurevis import visualize
from lens.featurevis.loop.compiling import compiled, regions
from lens.opening import wrap


def test_what_is_compiled_has_nothing_watched_in_it(resnet, vit):
    visual = vit.module.visual
    blocks = visual.transformer.resblocks
    found = regions(visual, {vit.site("image.blocks.1.mlp.neurons").module})
    assert blocks[0] in found and blocks[1] not in found and blocks[1].attn in found
    stage = resnet.site("image.layer3").pre_activation
    found = regions(resnet.module.visual, {stage.module})
    assert resnet.module.visual.layer2 in found and resnet.module.visual.layer3 not in found


def test_forwards_come_back(resnet):
    with pytest.raises(ZeroDivisionError), compiled([resnet.site("image.layer3")]):
        assert "forward" in vars(resnet.module.visual.layer2)
        raise ZeroDivisionError
    assert not any("forward" in vars(part) for part in resnet.module.modules())


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_is_the_same_but_for_rounding(resnet):
    unit = resnet.site("image.layer2").unit(3)
    with warnings.catch_warnings():
        # Ours alone: the compiler has warnings of its own for a machine that is busy.
        warnings.filterwarnings("error", "compile=True goes on without")
        fast = visualize(unit, steps=3, compile=True, precision="fp32", progress=False)
    plain = visualize(unit, steps=3, precision="fp32", progress=False)
    np.testing.assert_allclose(fast.curve, plain.curve, rtol=1e-3, atol=1e-4)
    assert fast.recipe["compile"] is True


def test_nothing_compiled_runs_to_look_a_name_up(small_clip, monkeypatch):
    """A site's name may need a trial run of towers that nobody has looked at yet."""
    vision = {"layers": (1, 1, 1, 1), "width": 8, "patch_size": None, "head_width": 64}
    model, ran = wrap(small_clip(vision, 32), name="fresh"), []

    def noted(function):
        def run(*args, **kwargs):
            ran.append(function.__self__)
            return function(*args, **kwargs)

        return run

    monkeypatch.setattr(torch, "compile", noted)
    made = visualize(model.site("image.layer2").unit(3), steps=2, compile=True, progress=False)
    assert len(made) == 1
    assert model.module.visual.layer1 in ran
    assert set(ran).isdisjoint(model.module.transformer.modules())


def test_without_a_compiler_it_goes_on_with_one_warning(resnet, monkeypatch):
    def broken(function):
        def raise_it(*args, **kwargs):
            raise RuntimeError("no C++ compiler\nand much more")

        return raise_it

    monkeypatch.setattr(torch, "compile", broken)
    unit = resnet.site("image.layer2").unit(3)
    with pytest.warns(UserWarning, match=r"compiler can't be used here .*no C\+\+ comp") as caught:
        made = visualize(unit, steps=3, compile=True, progress=False)
    assert len(caught) == 1
    assert np.array_equal(made.images, visualize(unit, steps=3, progress=False).images)
    assert not any("forward" in vars(part) for part in resnet.module.modules())
