"""The words for how sure we are follow the numbers."""

from __future__ import annotations

import pytest

from lens.widgets.neuron.verdict import verdict


def found(score=0.97, q=1e-6, **auroc):
    rest = auroc or {"icon": 0.99, "word": score}
    return {"concept": "dog", "score": score, "q": q, "auroc": rest}


@pytest.mark.parametrize(
    ("statistics", "level", "says"),
    [
        (found(), "strong", "Answers to “dog” in every rendering."),
        (found(score=0.95), "strong", "Answers to"),
        (found(score=0.949), "partial", "with exceptions"),
        (found(q=0.05), "strong", "Answers to"),
        (found(q=0.051), "none", "No concept established"),
        (found(score=0.99, q=float("nan")), "none", "No concept established"),
        (None, "none", "Not tested"),
    ],
)
def test_levels(statistics, level, says):
    told = verdict(statistics)
    assert told.level == level
    assert says in told.headline


def test_the_weakest_rendering_is_named_with_its_meaning():
    told = verdict(found(score=0.9, icon=0.99, drawing=0.9, word=0.95))
    assert "90% of the time in its weakest rendering (drawing)" in told.plain
    assert "chance is 50%" in told.plain


@pytest.mark.parametrize(
    ("score", "written"),
    [(0.974, "97%"), (0.9866, "98.7%"), (0.99996, "over 99.9%"), (1.0, "100%"), (0.5, "50%")],
)
def test_an_almost_perfect_score_is_not_rounded_up(score, written):
    assert f" {written} of the time" in verdict(found(score=score)).plain


def test_an_untested_unit_claims_nothing():
    assert "observations" in verdict(None).plain
    assert verdict(None).caution == ""
