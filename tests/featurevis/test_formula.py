"""The algebra: whatever is built, operands stay, formulas print, recipes come back."""

import json

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lens.featurevis import objectives as o
from lens.featurevis.measures import Scene, measure

numbers = st.integers(-3, 3).filter(bool).map(float)
leaves = st.one_of(
    st.just(o.total_variation()),
    st.sampled_from([0.0, 0.25, 1.0]).map(o.l1),
)
formulas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] - pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] * pair[1]),
        st.tuples(numbers, inner).map(lambda pair: pair[0] * pair[1]),
        st.tuples(inner, numbers).map(lambda pair: pair[0] - pair[1]),
        inner.map(lambda one: -one),
    ),
    max_leaves=6,
)
scene = Scene(
    torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0)).double(),
    {},
    torch.arange(2),
)
quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def value(objective):
    return measure([objective] * 2, scene)


@quick
@given(formulas)
def test_recipes_and_formulas_come_back(colours, formula):
    back = o.from_recipe(json.loads(json.dumps(formula.recipe())), colours)
    assert back.recipe() == formula.recipe()
    assert repr(back) == repr(formula) and back.form == formula.form
    torch.testing.assert_close(value(back), value(formula))


@quick
@given(formulas)
def test_the_formula_that_is_printed_is_the_value(formula):
    x = scene.pixels.numpy()

    def total_variation():
        down, right = np.abs(np.diff(x, axis=2)), np.abs(np.diff(x, axis=3))
        return down.mean((1, 2, 3)) + right.mean((1, 2, 3))

    def l1(grey=0.5):
        return np.abs(x - grey).mean((1, 2, 3))

    read = eval(repr(formula), {"total_variation": total_variation, "l1": l1})
    np.testing.assert_allclose(value(formula).numpy(), read, rtol=1e-9, atol=1e-9)


@quick
@given(formulas, formulas)
def test_operators_are_arithmetic_and_leave_their_operands(first, second):
    before = first.recipe(), second.recipe(), repr(first), repr(second)
    a, b = value(first), value(second)
    torch.testing.assert_close(value(first + second), a + b)
    torch.testing.assert_close(value(first + second), value(second + first))
    torch.testing.assert_close(value(first - second), a - b)
    torch.testing.assert_close(value(first * second), a * b)
    torch.testing.assert_close(value(-first), -a)
    assert (first.recipe(), second.recipe(), repr(first), repr(second)) == before


def test_a_number_is_no_objective_of_its_own():
    with pytest.raises(TypeError, match="not True"):
        o.l1() + True
