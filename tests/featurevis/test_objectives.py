import json

import numpy as np
import pytest

from lens.errors import BadInput, UnknownSite
from lens.featurevis import objectives as o


@pytest.fixture
def unit(resnet):
    return resnet.site("image.layer4").unit(17)


def test_the_formula_is_printed(unit, resnet):
    name = unit.site.pre_activation.name
    assert repr(o.unit(unit)) == f"unit({name}, 17)"
    assert repr(o.unit(unit, at=(1, 2))) == f"unit({name}, 17, at=(1, 2))"
    assert repr(o.unit(unit) - 0.5 * o.total_variation()) == (
        f"unit({name}, 17) - 0.5 * total_variation()"
    )
    both = o.total_variation() + o.l1()
    assert repr(2 * both) == "2 * (total_variation() + l1())"
    assert repr(both - both) == "total_variation() + l1() - (total_variation() + l1())"
    assert repr(-o.l1()) == "-1 * l1()"
    assert repr(sum([o.l1(), o.l1()])) == "l1() + l1()"
    assert repr(o.similarity(resnet, "dog")) == 'similarity("dog")'


def test_operands_are_never_changed(unit):
    first, second = o.unit(unit), o.total_variation()
    before = first.recipe(), second.recipe()
    _ = first + second, first * second, -first, first - 2
    assert (first.recipe(), second.recipe()) == before
    with pytest.raises(AttributeError):
        first.kind = "other"
    vector = np.ones(unit.site.n_units, dtype=np.float32)
    objective = o.direction(unit.site, vector)
    vector[:] = 0
    assert objective.data.min() == 1
    with pytest.raises(ValueError, match="read-only"):
        objective.data[0] = 3


def test_recipes_come_back(resnet, unit):
    vector = np.linspace(-1, 1, unit.site.n_units)
    whole = (
        o.unit(unit, at=(0, 0))
        + 0.1 * o.cosine_direction(unit.site, vector, power=2)
        - o.diversity(unit.site) * o.l1(0.25)
    )
    back = o.from_recipe(json.loads(json.dumps(whole.recipe())), resnet)
    assert back.recipe() == whole.recipe()
    assert back.form == whole.form
    assert repr(back) == repr(whole)
    assert back.sites == [unit.site.pre_activation]


def test_bad_input_is_one_sentence(unit, resnet):
    with pytest.raises(BadInput, match="'middle' is no place; it can be 'mean'"):
        o.unit(unit, at="middle")
    with pytest.raises(BadInput, match="needs 256 numbers, one a unit, not an array of shape"):
        o.direction(unit.site, [1.0, 2.0])
    with pytest.raises(BadInput, match="NaN or infinite"):
        o.direction(unit.site, np.full(256, np.nan))
    with pytest.raises(BadInput, match="no objective is called 'beauty'"):
        o.from_recipe({"kind": "beauty"}, resnet)
    with pytest.raises(UnknownSite):
        o.from_recipe({**o.unit(unit).recipe(), "site": "image.layer9"}, resnet)
    with pytest.raises(TypeError, match="with another or with a number"):
        o.l1() + "a lot"
