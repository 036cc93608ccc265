import json
import signal
import warnings

import numpy as np
import pytest
import torch

import lens
from lens.errors import BadInput, TooLarge, UnitOutOfRange
from lens.featurevis import Visualization, rerun, visualize
from lens.featurevis import objectives as o
from lens.featurevis.faceted.probes import Probe
from lens.featurevis.loop import optimize as loop
from lens.featurevis.objectives import facet
from lens.featurevis.parameterization import Pixel
from lens.featurevis.transforms import crops, jitter, moves
from lens.precision import takes_bf16

quick = {"steps": 3, "progress": False}


def probe_at(site, seed=0):
    weights = np.random.default_rng(seed).normal(size=(3, site.n_units, 2, 2)).astype(np.float32)
    return Probe(site, ("picture", "drawing", "word"), weights, 0.9, (10, 5))


def test_the_front_door(resnet):
    site = resnet.site("image.layer4")
    vis = lens.visualize(site.units([1, 2, 3]), **quick)
    assert isinstance(vis, Visualization)
    assert vis.images.shape == (3, 32, 32, 3) and vis.images.dtype == np.uint8
    assert vis.units == site.units([1, 2, 3])
    assert vis.values.shape == (3,) and vis.curve.shape == (3, 3)
    one = visualize(site.unit(2), **quick)
    assert np.abs(one.images[0].astype(int) - vis.images[1]).max() <= 1


def test_a_site_is_all_its_units(colours):
    vis = visualize(colours.site("0"), size=16, **quick)
    assert [unit.index for unit in vis.units] == [0, 1, 2]


@pytest.mark.parametrize(
    "name", ["image.blocks.1", "image.blocks.0.mlp.neurons", "image.embedding"]
)
@pytest.mark.parametrize("at", ["mean", "cls"])
def test_transformers_climb(vit, name, at):
    vis = visualize(vit.site(name).units([0, 7]), at=at, steps=24, progress=False)
    assert (vis.values > vis.start_values).all()


def test_a_stage_takes_any_size(resnet):
    vis = visualize(resnet.site("image.layer3").unit(4), size=(40, 56), **quick)
    assert vis.images.shape == (1, 40, 56, 3)


def test_the_climb_beats_looking_for_a_good_picture(resnet):
    site = resnet.site("image.layer4")
    vis = visualize(site.units(range(6)), steps=48, progress=False)
    noise = torch.rand(200, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        scene = loop.look(resnet, [o.unit(site.unit(0))], noise, noise, torch.arange(200))
    best = scene.activations[site.pre_activation].mean((2, 3)).amax(0)[:6]
    assert (vis.values > best.numpy()).all()


def test_copies_differ_and_diversity_drives_them_apart(resnet):
    site = resnet.site("image.layer3")
    plain = visualize(o.unit(site.unit(4)), copies=3, steps=40, progress=False)
    assert len(plain) == 3 and len(set(plain.units)) == 1
    apart = visualize(
        o.unit(site.unit(4)) + 3 * o.diversity(site), copies=3, steps=40, progress=False
    )

    def likeness(images: np.ndarray) -> float:
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
        with torch.no_grad():
            zeros = torch.zeros(3, dtype=torch.long)
            scene = loop.look(resnet, [o.diversity(site)], pixels, pixels, zeros)
            return -loop.measure([o.diversity(site)] * 3, scene).mean().item()

    assert likeness(apart.images) < likeness(plain.images)


def test_the_recipe_makes_the_same_pixels(resnet, tmp_path):
    site = resnet.site("image.layer2")
    vis = visualize(
        [site.unit(3), o.unit(site.unit(5), at="centre") - 0.1 * o.l1(), site.unit(8)],
        copies=2,
        seed=5,
        batch_size=4,
        parameterization=Pixel(),
        transforms=moves(jitter(4)),
        **quick,
    )
    assert json.loads(json.dumps(vis.recipe)) == vis.recipe
    path = vis.save(tmp_path / "vis.png")
    for source in (vis, vis.recipe, path, str(path)):
        again = rerun(source, resnet, progress=False)
        assert np.array_equal(again.images, vis.images)
        assert np.array_equal(again.values, vis.values)
        assert again.recipe == vis.recipe
        assert [repr(unit) for unit in again.units] == [repr(unit) for unit in vis.units]


def test_seeds_work(resnet):
    unit = resnet.site("image.layer2").unit(3)
    first, same, other = (visualize(unit, seed=seed, **quick).images for seed in (1, 1, 2))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert np.array_equal(visualize(unit, seed=1, **quick).images, first)
    assert torch.equal(torch.get_rng_state(), before)  # the user's own random numbers are theirs


def test_a_recipe_for_other_weights_is_refused(resnet, vit):
    vis = visualize(resnet.site("image.layer2").unit(3), **quick)
    with pytest.raises(
        BadInput, match=r"the recipe is for small-rn with weights \w+; this small-v"
    ):
        rerun(vis, vit)
    with pytest.raises(
        BadInput, match="no recipe of a visualization: it doesn't say for which model"
    ):
        rerun({"model": "x"}, resnet)
    lacking = {key: value for key, value in vis.recipe.items() if key != "steps"}
    with pytest.raises(BadInput, match="it lacks 'steps'"):
        rerun(lacking, resnet)


def test_ctrl_c_keeps_what_is_finished(resnet, monkeypatch):
    site = resnet.site("image.layer2")
    whole = visualize(site.units(range(6)), batch_size=2, **quick)
    ticks = iter(range(100))

    def interrupted(*args, **kwargs):
        def after_step() -> None:
            if next(ticks) == stop_at:
                raise KeyboardInterrupt

        return loop.climb(*args[:4], after_step, *args[5:])

    monkeypatch.setattr("lens.featurevis.loop.job.climb", interrupted)
    stop_at = 7  # in the third batch of three steps
    with pytest.warns(
        UserWarning, match="stopped early, 4 of 6 images after 3 of 3 steps are kept: Key"
    ):
        cut = visualize(site.units(range(6)), batch_size=2, **quick)
    assert np.array_equal(cut.images, whole.images[:4])
    assert cut.units == whole.units[:4]
    assert np.array_equal(rerun(cut, resnet, progress=False).images, cut.images)

    ticks, stop_at = iter(range(100)), 1  # in the first batch: as far as it got
    with pytest.warns(UserWarning, match="2 of 6 images after 2 of 3 steps"):
        early = visualize(site.units(range(6)), batch_size=2, **quick)
    assert early.recipe["steps"] == 2 and early.recipe["planned"] == 3
    monkeypatch.undo()
    assert np.array_equal(rerun(early, resnet, progress=False).images, early.images)


def test_a_stopped_run_is_made_again_to_the_same_pixels(resnet):
    """Crops shrink in the course of a run: those of a run that was planned as short are others."""
    unit = resnet.site("image.layer2").unit(3)
    shrinking = {"transforms": crops(2, 1.0, 0.3), "progress": False}
    with pytest.warns(UserWarning, match="after 3 of 8 steps"):
        cut = visualize(unit, steps=8, snapshots=[2, 5], on_step=lambda n, *_: n < 3, **shrinking)
    assert (cut.recipe["steps"], cut.recipe["planned"]) == (3, 8)
    assert cut.recipe["snapshots"] == [2] and "after 3 steps" in repr(cut)
    short = visualize(unit, steps=3, **shrinking)
    assert not np.array_equal(cut.images, short.images)

    again = rerun(json.loads(json.dumps(cut.recipe)), resnet, progress=False)
    assert np.array_equal(again.images, cut.images) and again.recipe == cut.recipe
    assert np.array_equal(again.curve, cut.curve)
    assert np.array_equal(again.importance, cut.importance)
    whole = visualize(unit, steps=8, snapshots=[3], **shrinking)
    assert np.array_equal(whole.snapshots[3], cut.images)
    assert whole.recipe["planned"] == whole.recipe["steps"] == 8
    # Recipes that say nothing of a plan are of whole runs.
    earlier = {key: value for key, value in whole.recipe.items() if key != "planned"}
    assert np.array_equal(rerun(earlier, resnet, progress=False).images, whole.images)


class Rude(Pixel):
    """Somebody presses ctrl-C while the optimizer is at work."""

    def optimizer(self, z, lr):
        steps = iter(range(100))

        class Adam(torch.optim.Adam):
            def step(self):
                if next(steps) == 2:
                    signal.raise_signal(signal.SIGINT)
                super().step()

        return Adam([z], lr=lr)


def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(resnet):
    unit = resnet.site("image.layer2").unit(3)
    with pytest.warns(UserWarning, match="after 3 of 8 steps"):
        cut = visualize(unit, steps=8, parameterization=Rude(), progress=False)
    again = rerun(cut, resnet, progress=False)
    assert np.array_equal(again.images, cut.images)
    assert np.array_equal(again.importance, cut.importance)


def test_facets_share_a_call_with_other_objectives(resnet):
    """What is made beside it changes no image: to the bit in bfloat16, by rounding in float32."""
    layer = resnet.site("image.layer4")
    probes = [probe_at(resnet.site("image.layer1")), probe_at(resnet.site("image.layer2"), 1)]
    guided = facet(layer.unit(7), probes, "word", 2.0)
    aims = [layer.unit(3), o.unit(layer.unit(5)) + guided, guided - o.l1(), layer.unit(7)]
    precise = takes_bf16(torch.device("cpu"))
    how = {"steps": 20, "precision": "bf16" if precise else "fp32", "progress": False}
    together = visualize(aims, **how)
    assert len(together) == 4
    for row, aim in enumerate(aims):
        alone = visualize(aim, **how)
        far = np.abs(alone.images[0].astype(int) - together.images[row])
        assert far.max() == 0 if precise else far.mean() < 0.05
    plain = visualize(o.unit(layer.unit(5)), **how)
    assert not np.array_equal(plain.images[0], together.images[1])
    assert np.array_equal(rerun(together, resnet, progress=False).images, together.images)


def test_a_failing_batch_keeps_the_batches_before_it(resnet):
    site = resnet.site("image.layer2")
    units = [site.unit(0), site.unit(1), o.unit(site.unit(2)) * float("nan")]
    with pytest.warns(
        UserWarning, match="stopped early, 2 of 3 images .* nan is nan at the first step"
    ):
        vis = visualize(units, batch_size=1, **quick)
    assert vis.units == units[:2]
    with pytest.warns(UserWarning, match="left out, the objective became NaN: .* nan"):
        vis = visualize(units, batch_size=3, **quick)
    assert vis.units == units[:2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rerun(vis, resnet, progress=False)


def test_silent_units_are_reported(colours):
    # A unit whose weights are zero can't be excited by any image.
    module = colours.module
    module[0].weight.data[1] = 0
    vis = visualize(colours.site("0"), size=16, **quick)
    assert [unit.index for unit in vis.silent] == [1]
    assert "1 silent" in repr(vis)


def test_bad_input_is_one_sentence(resnet, vit):
    site = resnet.site("image.layer2")
    unit = site.unit(0)

    def refused(kind, match, units=unit, **settings):
        with pytest.raises(kind, match=match) as caught:
            visualize(units, **{**quick, **settings})
        assert "\n" not in str(caught.value)

    refused(BadInput, "there are no units to visualize", units=[])
    refused(BadInput, "units of one model, and these are of small-rn and small-vit",
            units=[unit, vit.site("image.blocks.0").unit(0)])  # fmt: skip
    refused(BadInput, "takes units and objectives, not str", units=["image.layer2"])
    refused(BadInput, "takes units and objectives, not int", units=[3])
    refused(BadInput, "takes a unit, a site, an objective or a list of them, not int", units=3)
    refused(BadInput, "looks at no site of a model", units=o.l1())
    refused(BadInput, "is in the text tower and sees no image",
            units=resnet.site("text.blocks.0").unit(0))  # fmt: skip
    refused(BadInput, "steps is a whole number, at least 1, not 0", steps=0)
    refused(BadInput, "steps is a whole number, at least 1, not 2.5", steps=2.5)
    refused(BadInput, "seed is a whole number, at least 0, not -1", seed=-1)
    refused(BadInput, "batch_size is a whole number", batch_size=0)
    refused(BadInput, "copies is a whole number", copies=0)
    refused(BadInput, "lr is a learning rate", lr=0)
    refused(BadInput, "precision is 'auto', 'fp32' or 'bf16', not 'int8'", precision="int8")
    refused(BadInput, "size is a whole number of pixels, at least 8", size=4)
    refused(BadInput, "size is a whole number of pixels", size=(32, 32, 3))
    refused(BadInput, "size is a whole number of pixels", size="large")
    refused(TooLarge, "at most 4096 pixels a side", size=100_000)
    refused(BadInput, "at='cls' is no place in image.layer2", at="cls")
    refused(BadInput, "multiples of 8 pixels", units=vit.site("image.blocks.0").unit(0), size=44)
    refused(BadInput, "no snapshot after 5 steps: the run has 3", snapshots=[5])
    refused(BadInput, "a snapshot is a whole number, at least 1, not 0", snapshots=[0])
    refused(BadInput, "every is a whole number, at least 1, not 0", every=0)
    refused(BadInput, "of type int; a picture is a PIL image", start=3)
    with pytest.raises(UnitOutOfRange):
        site.unit(10_000)


def test_snapshots_are_the_images_of_shorter_runs(resnet):
    site = resnet.site("image.layer2")
    vis = visualize(site.units(range(3)), batch_size=2, snapshots=(2, 1), **quick)
    assert sorted(vis.snapshots) == [1, 2]
    short = visualize(site.units(range(3)), batch_size=2, steps=2, progress=False)
    assert vis.snapshots[2].shape == short.images.shape
    # Transforms are drawn step by step: a shorter run is the beginning of a longer one.
    assert np.array_equal(vis.snapshots[2], short.images)
    assert vis.recipe["snapshots"] == [1, 2]


def test_a_run_can_be_watched_and_stopped(resnet):
    site = resnet.site("image.layer2")
    seen: list[tuple[int, int]] = []

    def watch(step, images, values):
        assert images.dtype == np.uint8 and len(images) == len(values)
        seen.append((step, len(images)))

    whole = visualize(
        site.units(range(3)), batch_size=2, steps=5, on_step=watch, every=2, progress=False
    )
    assert seen == [(2, 2), (4, 2), (5, 2), (2, 3), (4, 3), (5, 3)]
    assert len(whole) == 3
    with pytest.warns(UserWarning, match="2 of 2 images after 3 of 9 .*: on_step said so"):
        cut = visualize(site.units(range(2)), steps=9, progress=False,
                        on_step=lambda step, *_: step < 3)  # fmt: skip
    assert np.array_equal(cut.images, visualize(site.units(range(2)), **quick).images)
    with pytest.raises(ZeroDivisionError):
        visualize(site.unit(0), on_step=lambda *_: 1 / 0, **quick)


def test_memory_that_does_not_suffice_halves_the_batch_once(resnet, monkeypatch):
    site = resnet.site("image.layer2")
    whole = visualize(site.units(range(5)), batch_size=2, **quick)
    holds = 2

    def short_of_memory(model, aims, *rest):
        if len(aims) > holds:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ...")
        return loop.climb(model, aims, *rest)

    monkeypatch.setattr("lens.featurevis.loop.job.climb", short_of_memory)
    with pytest.warns(UserWarning, match="memory does not hold 4 images at once: going on with 2"):
        vis = visualize(site.units(range(5)), batch_size=4, **quick)
    assert np.array_equal(vis.images, whole.images) and vis.recipe["batch_size"] == 2
    holds = 1  # once is enough: what does not fit then is an error
    with pytest.warns(UserWarning, match="memory"), pytest.raises(RuntimeError, match="allocate"):
        visualize(site.units(range(5)), batch_size=4, **quick)
