"""Live feature visualization: looks on the way, the same result, stopped and failed runs."""

from __future__ import annotations

import time

import numpy as np
import pytest

import lens
from lens import widgets
from lens.errors import BadInput
from lens.featurevis import objectives as o
from lens.widgets.live_images.curve import Curve
from lens.widgets.live_images.run import Look, Run

WAIT = 60
QUICK = {"precision": "fp32", "batch_size": 2}


def ended(view):
    """Wait for the page's last word too, which the thread says after its result is there."""
    view.wait(WAIT)
    end = time.monotonic() + WAIT
    while view.phase in ("running", "stopping") and time.monotonic() < end:
        time.sleep(0.01)
    return view


def test_the_result_is_that_of_a_plain_call(tiny_rn):
    units = tiny_rn.site("image.layer4").units([3, 17, 40])
    view = ended(widgets.live(units, steps=4, every=2, **QUICK))
    plain = lens.visualize(units, steps=4, progress=False, **QUICK)
    np.testing.assert_array_equal(view.result.images, plain.images)
    assert view.result.units == units and view.result.units[0].site.model is tiny_rn
    assert view.result.recipe == plain.recipe
    assert view.phase == "done" and "done" in repr(view)
    assert view.about["names"] == ["unit 3", "unit 17", "unit 40"]
    assert view.about["places"][1] == "image.layer4.1/17"
    assert view.frame["share"] == 1 and view.frame["step"] == 4
    np.testing.assert_allclose(view.frame["values"], plain.values, rtol=1e-4)


def test_a_curve_is_the_images_own_from_its_first_step_to_its_last(tiny_rn):
    units = tiny_rn.site("image.layer4").units([3, 17, 40])
    seen: list[np.ndarray] = []
    lens.visualize(
        units,
        steps=6,
        progress=False,
        on_step=lambda step, images, values: seen.append(np.array(values)),
        every=1,
        **QUICK,
    )
    view = ended(widgets.live(units, steps=6, every=5, **QUICK))
    for i, curve in enumerate(view.frame["curves"]):
        own = [values[i] for values in seen if (len(values) == 2) == (i < 2)]
        np.testing.assert_allclose(curve, own, rtol=1e-3)
        assert len(curve) == 6 and min(curve) < max(curve)


def test_a_curve_of_one_step_has_one_value(tiny_rn):
    view = ended(widgets.live(tiny_rn.site("image.layer4").unit(3), steps=1, **QUICK))
    assert view.frame["curves"] == [pytest.approx(view.frame["values"], rel=1e-3)]


def test_a_long_curve_stays_short_and_keeps_its_ends():
    curve = Curve(8)
    for step in range(1000):
        curve.add(step)
        values = curve.values
        assert values[0] == 0 and values[-1] == step and len(values) <= 9
        assert values == sorted(set(values))
    assert len(set(np.diff(values[:-1]))) == 1  # evenly spread


def test_looks_come_every_so_many_steps_and_know_the_share(tiny_rn):
    looks: list[Look] = []
    units = tiny_rn.site("image.layer3").units([1, 2, 3])
    run = Run(units, {"steps": 4, "every": 2, **QUICK}, looks.append, lambda: None)
    run.start()
    run.wait(WAIT)
    assert run.problem is None
    assert [len(look.images) for look in looks] == [2, 2, 3, 3]
    assert [look.step for look in looks] == [2, 4, 2, 4]
    np.testing.assert_allclose([look.share for look in looks], [1 / 3, 2 / 3, 5 / 6, 1])


def test_stopped_it_keeps_what_there_is(tiny_rn):
    units = tiny_rn.site("image.layer4").units([3, 17])
    with pytest.warns(UserWarning, match="stopped early"):
        view = widgets.live(units, steps=100_000, every=1)
        while not view.frame:
            time.sleep(0.01)
        assert view.result is None
        with pytest.raises(TimeoutError, match=r"more than 0\.01 seconds"):
            view.wait(0.01)
        view.phase = "stopping"  # as the page's button does
        ended(view)
    assert view.phase == "stopped"
    assert 0 < view.result.recipe["steps"] < 1000 and len(view.result) == 2
    assert not tiny_rn.module.training
    view.stop()
    assert view.phase == "stopped"


def test_a_users_own_watch_may_stop_it(tiny_rn):
    seen = []
    unit = tiny_rn.site("image.layer4").unit(0)
    with pytest.warns(UserWarning, match="stopped early"):
        view = ended(
            widgets.live(
                unit, steps=90, every=3, on_step=lambda step, *_: seen.append(step) or step < 6
            )
        )
    assert seen == [3, 6] and view.result.recipe["steps"] == 6


def test_objectives_climb_on_the_copy(tiny_rn):
    aim = o.unit(tiny_rn.site("image.layer4").unit(5)) - 0.1 * o.total_variation()
    view = ended(widgets.live([aim], steps=2, copies=2, precision="fp32"))
    assert view.result.units[0] is aim
    assert view.about["names"] == [repr(aim)] * 2 and view.about["places"] == ["", ""]


def test_what_cannot_be_is_said(tiny_rn):
    unit = tiny_rn.site("image.layer4").unit(0)
    view = widgets.live(unit, steps=0)
    with pytest.raises(BadInput, match="steps"):
        view.wait(WAIT)
    ended_failed = time.monotonic() + WAIT
    while view.phase == "running" and time.monotonic() < ended_failed:
        time.sleep(0.01)
    assert view.phase == "failed" and view.notice.startswith("No visualization: steps is a whole")
    for wrong in ("image.layer4", [], [3], o.total_variation()):
        with pytest.raises(BadInput):
            widgets.live(wrong)
    with pytest.raises(BadInput, match="every"):
        widgets.live(unit, every=0)
