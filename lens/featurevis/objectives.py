"""What an image is asked to do: values that can be added, scaled, printed and written down.

An objective gives every image one number, to be made large. ``unit(u) - 0.1 * total_variation()``
is a new objective; operands are never changed; ``repr`` prints the formula and ``recipe`` is
JSON-able. Objectives of the same form (unit 3, unit 8, unit 11 of a site) are measured together,
each on its own image, so that many units cost one pass.

Every measure is taken image by image and the run maximizes their sum, so images don't disturb each
other; only ``diversity`` couples the images of one unit, on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lens.errors import BadInput
from lens.model import Model
from lens.sites import Site, Unit

# Where in a site to look: a pooling, the middle of a feature map, a (row, column), or a token.
Place = Literal["mean", "max", "cls", "centre"] | int | tuple[int, int]


class Objective:
    """One number an image; ``+``, ``-`` and ``*`` make new objectives."""

    @property
    def form(self) -> tuple[Any, ...]:
        """What has to agree for objectives to be measured together."""
        raise NotImplementedError

    def terms(self) -> Iterator[Term]:
        """The leaves of the formula, left to right."""
        raise NotImplementedError

    def recipe(self) -> dict[str, Any]:
        """JSON-able description; see ``from_recipe``."""
        raise NotImplementedError

    @property
    def sites(self) -> list[Site]:
        """The sites whose activations are needed, each once."""
        found = [site for term in self.terms() for site in (term.site, *term.also)]
        return list(dict.fromkeys(site for site in found if site is not None))

    def __add__(self, other: Objective | float) -> Objective:
        # So that the built-in sum() works, and prints without its leading zero.
        return self if _is_zero(other) else Combined("+", self, _lift(other))

    def __radd__(self, other: float) -> Objective:
        return self if _is_zero(other) else Combined("+", _lift(other), self)

    def __sub__(self, other: Objective | float) -> Objective:
        return Combined("-", self, _lift(other))

    def __rsub__(self, other: float) -> Objective:
        return Combined("-", _lift(other), self)

    def __mul__(self, other: Objective | float) -> Objective:
        return Combined("*", self, _lift(other))

    def __rmul__(self, other: float) -> Objective:
        return Combined("*", _lift(other), self)

    def __neg__(self) -> Objective:
        return Combined("*", _lift(-1), self)


@dataclass(frozen=True, eq=False, repr=False)
class Term(Objective):
    """A leaf: a kind of measure, the site that it looks at, and what is different image by image.

    ``options`` (such as the place) are part of the form, ``data`` (an index, a vector, a number)
    is not: terms that differ in ``data`` alone are measured together. ``also`` are further sites
    that the measure looks at.
    """

    kind: str
    site: Site | None = None
    data: Any = None
    options: tuple[tuple[str, Any], ...] = ()
    label: str = ""
    also: tuple[Site, ...] = ()

    @property
    def form(self) -> tuple[Any, ...]:
        """Kind, sites and options."""
        names = [site.name for site in self.also]
        return (self.kind, self.site.name if self.site else None, *names, self.options)

    def terms(self) -> Iterator[Term]:
        """Itself."""
        yield self

    def recipe(self) -> dict[str, Any]:
        """JSON-able description."""
        data = self.data.tolist() if isinstance(self.data, np.ndarray) else self.data
        return {
            "kind": self.kind,
            "site": self.site.name if self.site else None,
            "also": [site.name for site in self.also],
            "data": data,
            "options": dict(self.options),
            "label": self.label,
        }

    def __repr__(self) -> str:
        if self.kind == "number":
            return f"{self.data:g}"
        usual = {"at": "mean"}
        parts = [self.site.name] if self.site and self.kind != "similarity" else []
        parts += [self.label] if self.label else []
        parts += [f"{k}={v}" for k, v in self.options if usual.get(k) != v]
        return f"{self.kind}({', '.join(parts)})"


@dataclass(frozen=True, eq=False, repr=False)
class Combined(Objective):
    """Two objectives joined by ``+``, ``-`` or ``*``."""

    sign: str
    left: Objective
    right: Objective

    @property
    def form(self) -> tuple[Any, ...]:
        """The sign and the forms of both sides."""
        return (self.sign, self.left.form, self.right.form)

    def terms(self) -> Iterator[Term]:
        """The terms of both sides."""
        yield from self.left.terms()
        yield from self.right.terms()

    def recipe(self) -> dict[str, Any]:
        """JSON-able description."""
        return {"sign": self.sign, "left": self.left.recipe(), "right": self.right.recipe()}

    def __repr__(self) -> str:
        def inner(side: Objective, brackets: bool) -> str:
            return f"({side!r})" if brackets and isinstance(side, Combined) else repr(side)

        sum_inside = [isinstance(s, Combined) and s.sign != "*" for s in (self.left, self.right)]
        if self.sign == "*":
            return f"{inner(self.left, sum_inside[0])} * {inner(self.right, True)}"
        brackets = self.sign == "-" and sum_inside[1]
        return f"{self.left!r} {self.sign} {inner(self.right, brackets)}"


# --- The objectives that there are ------------------------------------------------------------


def unit(unit: Unit, at: Place = "mean") -> Objective:
    """A unit's own value: a channel, a residual direction, an MLP neuron or an embedding dimension.

    Taken before the site's last ReLU where it has one (``site.pre_activation``), since a ReLU that
    is zero everywhere has no slope to climb.

    Parameters
    ----------
    unit
        From ``site.unit(i)``.
    at
        ``"mean"`` or ``"max"`` over positions, ``"cls"`` (token sites), ``"centre"`` or
        ``(row, column)`` (feature maps: one neuron of the channel), or a token's number.
    """
    return Term("unit", unit.site.pre_activation, int(unit.index), _at(at), str(unit.index))


def direction(site: Site, vector: Any, at: Place = "mean") -> Objective:
    """Dot product of the site's activation with ``vector`` (one number a unit).

    Raises
    ------
    BadInput
        Where the vector's length isn't the site's number of units, or it isn't finite.
    """
    data = _vector(site, vector)
    return Term("direction", site.pre_activation, data, _at(at), f"<{data.size} numbers>")


def cosine_direction(site: Site, vector: Any, power: float = 1.0, at: Place = "mean") -> Objective:
    """dot(a, v) * max(0.1, cos(a, v)) ** power: along ``vector``, and along little else.

    Computed image by image (Carter et al., "Activation Atlas", Distill 2019).
    """
    data = _vector(site, vector)
    options = (*_at(at), ("power", float(power)))
    return Term("cosine_direction", site.pre_activation, data, options, f"<{data.size} numbers>")


def similarity(model: Model, target: Any) -> Objective:
    """Cosine between the image's embedding and that of ``target``, a text or an image."""
    site = model.site("image.embedding")
    vector = np.asarray(model.embed([target])[0], dtype=np.float32)
    label = json.dumps(target, ensure_ascii=False) if isinstance(target, str) else "<image>"
    return Term("similarity", site, vector, label=label)


def diversity(site: Site) -> Objective:
    """How unlike the other copies for the same unit: minus the mean of <G_i, G_j> over j != i.

    G are Gram matrices of the site's activations over positions, of norm one. An only copy gets 0.
    """
    return Term("diversity", site.pre_activation)


def total_variation() -> Objective:
    """Mean absolute difference between neighbouring pixels. Subtract it for smoother images."""
    return Term("total_variation")


def l1(grey: float = 0.5) -> Objective:
    """Mean absolute distance of the pixels from ``grey``. Subtract it for emptier images."""
    return Term("l1", data=float(grey))


def from_recipe(recipe: dict[str, Any], model: Model) -> Objective:
    """Build an objective on ``model`` from what ``Objective.recipe`` returned.

    Raises
    ------
    BadInput
        Where the recipe names a kind of objective that does not exist here.
    UnknownSite
        Where the model has no such site.
    """
    if "sign" in recipe:
        left, right = (from_recipe(recipe[side], model) for side in ("left", "right"))
        return Combined(recipe["sign"], left, right)
    if recipe.get("kind") not in KINDS:
        raise BadInput(
            f"no objective is called {recipe.get('kind')!r}; there are {', '.join(KINDS)}."
        )
    data, options = recipe["data"], recipe["options"]
    return Term(
        recipe["kind"],
        model.site(recipe["site"]) if recipe["site"] else None,
        np.asarray(data, dtype=np.float32) if isinstance(data, list) else data,
        tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in options.items()),
        recipe["label"],
        tuple(model.site(name) for name in recipe["also"]),
    )


KINDS = (
    "unit",
    "direction",
    "cosine_direction",
    "similarity",
    "diversity",
    "total_variation",
    "l1",
    "facet",
    "number",
)


def _at(place: Place) -> tuple[tuple[str, Place], ...]:
    named = isinstance(place, str) and place in ("mean", "max", "cls", "centre")
    token = isinstance(place, int) and not isinstance(place, bool)
    cell = isinstance(place, tuple) and len(place) == 2 and all(isinstance(i, int) for i in place)
    if not (named or token or cell):
        raise BadInput(
            f"at={place!r} is no place; it can be 'mean', 'max', 'cls', 'centre', "
            "(row, column) or a token's number."
        )
    return (("at", place),)


def _vector(site: Site, vector: Any) -> np.ndarray:
    array = np.array(getattr(vector, "detach", lambda: vector)(), dtype=np.float32)
    if array.shape != (site.n_units,):
        raise BadInput(
            f"a direction in {site.name} needs {site.n_units} numbers, one a unit, "
            f"not an array of shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise BadInput(f"the direction in {site.name} has numbers that are NaN or infinite.")
    array.flags.writeable = False
    return array


def _lift(value: Objective | float) -> Objective:
    if isinstance(value, Objective):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"an objective goes with another or with a number, not {value!r}.")
    return Term("number", data=float(value))


def _is_zero(value: Any) -> bool:
    return isinstance(value, (int, float)) and value == 0
