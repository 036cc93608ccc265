"""The algebra: whatever is built, operands stay, formulas print, recipes come back.

Over every kind of leaf there is; what a leaf itself measures is tested beside its own kind.
"""

import json

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from lens.featurevis import objectives as o
from lens.featurevis.faceted.probes import Probe
from lens.featurevis.objectives import facet
from lens.featurevis.objectives.looking import look
from lens.featurevis.objectives.measures import MEASURES, measure
from lens.opening import wrap

ROWS = 3
quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


class Judge(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.square().mean((1, 2, 3))


class Algebra:
    """Leaves of every kind on one small model, and the pictures that they are measured on."""

    def __init__(self, model) -> None:
        self.model, self.judge = model, Judge()
        block, first = model.site("image.blocks.1"), model.site("image.blocks.0")
        rng = np.random.default_rng(0)
        photo = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        along = rng.normal(size=block.n_units)
        weights = rng.normal(size=(2, first.n_units, 2, 2)).astype(np.float32)
        probe = Probe(first, ("word", "picture"), weights, 0.9, (5, 5))
        rows = rng.normal(size=(block.n_units, 9))
        self.leaves = [
            o.unit(block.unit(3)),
            o.unit(block.unit(30), at="max"),
            o.neuron(block, 4, (1, 2)),
            o.token(block, 5),
            o.direction(block, along),
            o.cosine_direction(block, along, power=2),
            o.latents(block, rows, 3, relu=True),
            o.similarity(model, 'a "dog" - 2 * (cat)'),
            o.logit(model, ["dog", "cat"], scale=3),
            o.head(model.site("image.blocks.0.attention.heads"), 1),
            o.focus(model.site("image.blocks.0.attention.pattern"), 0),
            o.layer(first),
            o.activation_l1(first),
            o.diversity(block),
            o.style([first, block], photo),
            o.caricature(block, photo),
            o.inversion(first, photo),
            o.accentuation(o.unit(block.unit(1)) - o.l1(), first, photo),
            facet(block.unit(2), [probe], "word", 0.5),
            o.score(self.judge, "judge"),
            o.total_variation(),
            o.l1(),
            o.l1(0.25),
        ]
        pixels = torch.rand(ROWS, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            # The first two are copies for one unit.
            self.scene = look(model, self.leaves, pixels, pixels, torch.tensor([0, 0, 1]))
        self.names = {repr(leaf): f"leaf{i}" for i, leaf in enumerate(self.leaves)}
        self.numbers = {
            f"leaf{i}": self.value(leaf).astype(float) for i, leaf in enumerate(self.leaves)
        }

    def value(self, objective) -> np.ndarray:
        with torch.no_grad():
            return measure([objective] * ROWS, self.scene).numpy()

    def built(self, shape):
        """An objective of a shape: a leaf's number, or what joins two shapes."""
        if isinstance(shape, tuple):
            return joined(shape[0], *(self.built(part) for part in shape[1:]))
        return self.leaves[shape] if isinstance(shape, int) else shape

    def plain(self, shape, sizes: bool = False):
        """The same in numpy and float64; or the most that its terms could add up to."""
        if isinstance(shape, tuple):
            sign = {"-": "+", "neg": "pos"}.get(shape[0], shape[0]) if sizes else shape[0]
            return joined(sign, *(self.plain(part, sizes) for part in shape[1:]))
        number = self.numbers[f"leaf{shape}"] if isinstance(shape, int) else np.full(ROWS, shape)
        return np.abs(number) if sizes else number

    def agree(self, got, shape) -> None:
        # float32 rounds each term: what cancels out leaves the rounding of what it came from.
        far = np.abs(np.asarray(got, dtype=float) - self.plain(shape))
        assert (far <= 1e-5 * self.plain(shape, sizes=True) + 1e-6).all()


def joined(sign, first, second=None):
    if sign == "+":
        return first + second
    if sign == "-":
        return first - second
    if sign == "*":
        return first * second
    return -first if sign == "neg" else first


KINDS = 23
numbers = st.integers(-3, 3).filter(bool).map(float)
whole = st.integers(0, KINDS - 1)
shapes = st.recursive(
    whole,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from("+-*"), inner, inner),
        st.tuples(st.sampled_from("+-*"), numbers, inner),
        st.tuples(st.sampled_from("+-*"), inner, numbers),
        st.tuples(st.just("neg"), inner),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def algebra(small_clip, letters):
    vision = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
    return Algebra(wrap(small_clip(vision, 32), tokenizer=letters, name="reading-vit"))


def test_every_kind_is_among_the_leaves(algebra):
    assert len(algebra.leaves) == len(algebra.names) == KINDS
    kinds = {leaf.kind for leaf in algebra.leaves}
    assert kinds == set(MEASURES) - {"number"}
    assert all(np.isfinite(value).all() for value in algebra.numbers.values())


@quick
@given(shapes)
def test_a_formula_is_the_plain_arithmetic_of_its_leaves(algebra, shape):
    algebra.agree(algebra.value(algebra.built(shape)), shape)


@quick
@given(shapes)
def test_the_formula_that_is_printed_is_the_value(algebra, shape):
    text = repr(algebra.built(shape))
    for printed in sorted(algebra.names, key=len, reverse=True):  # leaves may be parts of others
        text = text.replace(printed, algebra.names[printed])
    algebra.agree(eval(text, {}, algebra.numbers), shape)


@quick
@given(shapes)
def test_recipes_and_formulas_come_back(algebra, shape):
    formula, same = algebra.built(shape), algebra.built(shape)
    written = json.loads(json.dumps(formula.recipe()))
    back = o.from_recipe(written, algebra.model, [algebra.judge])
    for other in (same, back):
        assert other.recipe() == formula.recipe()
        assert repr(other) == repr(formula) and other.form == formula.form
        assert other.sites == formula.sites and other.modules == formula.modules
    np.testing.assert_array_equal(algebra.value(back), algebra.value(formula))


@quick
@given(shapes, shapes, numbers)
def test_operators_leave_their_operands(algebra, first, second, number):
    a, b = algebra.built(first), algebra.built(second)

    def state(one):
        terms = [(id(term), id(term.data), term.options, term.parts) for term in one.terms()]
        return repr(one), one.recipe(), one.form, terms

    before = state(a), state(b)
    for made in (a + b, a - b, a * b, -a, number * a, a * number, a - number, number - a, sum([a])):
        assert made.recipe() and repr(made)
    algebra.value(a + b)
    assert (state(a), state(b)) == before


@quick
@given(st.lists(shapes, min_size=ROWS, max_size=ROWS))
def test_different_formulas_in_one_batch_keep_to_their_rows(algebra, several):
    # Where copies are compared, it counts which images stand beside each other.
    likened = {i for i, leaf in enumerate(algebra.leaves) if leaf.kind == "diversity"}
    several = [s if likened.isdisjoint(leaves_of(s)) else 0 for s in several]
    with torch.no_grad():
        got = measure([algebra.built(shape) for shape in several], algebra.scene).numpy()
    for row, shape in enumerate(several):
        far = abs(got[row] - algebra.plain(shape)[row])
        assert far <= 1e-5 * algebra.plain(shape, sizes=True)[row] + 1e-6


def leaves_of(shape) -> set[int]:
    if isinstance(shape, tuple):
        return set().union(*(leaves_of(part) for part in shape[1:]))
    return {shape} if isinstance(shape, int) else set()


def test_sums_print_without_a_zero_and_numbers_are_no_objectives():
    assert repr(sum([o.l1(), o.l1(0.25)])) == "l1() + l1(0.25)"
    with pytest.raises(TypeError, match="not True"):
        o.l1() + True
