"""The algebra of objectives: values that can be added, scaled, printed and written down.

Nothing here knows what a kind of objective measures; that is told in ``measures.MEASURES``, which
``lens.featurevis.objectives`` fills.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import nn

from lens.errors import BadInput
from lens.featurevis.picture import Picture
from lens.sites import Site
from lens.weights import fingerprint

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

    @property
    def modules(self) -> list[nn.Module]:
        """Modules of the user's own that look at the images, each once."""
        found = [term.data for term in self.terms() if isinstance(term.data, nn.Module)]
        return list(dict.fromkeys(found))

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

    ``options`` (such as the place) are part of the form, ``data`` (an index, a vector, a picture,
    a number) is not: terms that differ in ``data`` alone are measured together. ``also`` are
    further sites that the measure looks at, ``parts`` objectives that it is made of.
    """

    kind: str
    site: Site | None = None
    data: Any = None
    options: tuple[tuple[str, Any], ...] = ()
    label: str = ""
    also: tuple[Site, ...] = ()
    parts: tuple[Objective, ...] = ()

    @property
    def form(self) -> tuple[Any, ...]:
        """Kind, sites, options and the forms of its parts; which module, where it is one."""
        names = [site.name for site in (self.site, *self.also) if site is not None]
        own = id(self.data) if isinstance(self.data, nn.Module) else None
        return (self.kind, *names, self.options, own, *(part.form for part in self.parts))

    def terms(self) -> Iterator[Term]:
        """Itself, and the terms of its parts."""
        yield self
        for part in self.parts:
            yield from part.terms()

    def option(self, name: str, default: Any = None) -> Any:
        """One of its options."""
        return dict(self.options).get(name, default)

    def recipe(self) -> dict[str, Any]:
        """JSON-able description."""
        return {
            "kind": self.kind,
            "site": self.site.name if self.site else None,
            "also": [site.name for site in self.also],
            "data": _written(self.data),
            "options": dict(self.options),
            "label": self.label,
            "parts": [part.recipe() for part in self.parts],
        }

    def __repr__(self) -> str:
        if self.kind == "number":
            return f"{self.data:g}"
        usual = {"at": "mean"}
        parts = [repr(part) for part in self.parts]
        hidden = self.kind in ("similarity", "logit")  # always the embedding
        parts += [s.name for s in (self.site, *self.also) if s is not None and not hidden]
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


def placed(place: Place) -> tuple[tuple[str, Place], ...]:
    """The option that says where in a site to look.

    Raises
    ------
    BadInput
        Where it is no place in any site.
    """
    named = isinstance(place, str) and place in ("mean", "max", "cls", "centre")
    token = isinstance(place, int) and not isinstance(place, bool)
    cell = isinstance(place, tuple) and len(place) == 2 and all(isinstance(i, int) for i in place)
    if not (named or token or cell):
        raise BadInput(
            f"at={place!r} is no place; it can be 'mean', 'max', 'cls', 'centre', "
            "(row, column) or a token's number."
        )
    return (("at", place),)


def vector(site: Site, values: Any, length: int | None = None) -> np.ndarray:
    """A direction in a site, checked; a copy that can't be written to.

    Raises
    ------
    BadInput
        Where its length isn't the site's number of units (or ``length``), or it isn't finite.
    """
    array = np.array(detached(values), dtype=np.float32)
    needed = site.n_units if length is None else length
    if array.shape != (needed,):
        raise BadInput(
            f"a direction in {site.name} needs {needed} numbers, one a unit, "
            f"not an array of shape {array.shape}."
        )
    if not np.isfinite(array).all():
        raise BadInput(f"the direction in {site.name} has numbers that are NaN or infinite.")
    array.flags.writeable = False
    return array


def detached(values: Any) -> Any:
    """A tensor without its graph, on the CPU; anything else as it is."""
    return values.detach().cpu() if hasattr(values, "detach") else values


def read_data(written: Any, modules: Iterable[Any]) -> Any:
    """The ``data`` of a term from how its recipe has it."""
    if isinstance(written, list):
        return np.asarray(written, dtype=np.float32)
    if isinstance(written, dict) and "png" in written:
        return Picture.from_png(written["png"])
    if isinstance(written, dict) and "module" in written:
        for module in modules:
            if isinstance(module, nn.Module) and fingerprint(module) == written["module"]:
                return module
        raise BadInput(
            f"the recipe asks a module for a score, with the weights {written['module']}: "
            "rerun(recipe, modules=[module]) gives it."
        )
    return written


def _written(data: Any) -> Any:
    if isinstance(data, np.ndarray):
        return data.tolist()
    if isinstance(data, Picture):
        return {"png": data.png()}
    if isinstance(data, nn.Module):
        return {"module": fingerprint(data)}
    return data


def _lift(value: Objective | float) -> Objective:
    if isinstance(value, Objective):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"an objective goes with another or with a number, not {value!r}.")
    return Term("number", data=float(value))


def _is_zero(value: Any) -> bool:
    return isinstance(value, (int, float)) and value == 0
