"""Change what a model computes, while a block is active: ablate, patch, steer.

An edit is a value. It changes nothing until it is entered, adds up with others, and may be entered
again; leaving it, in any order and after any exception, leaves the model as it was. Captures and
attributions inside of the block see what the edit made.

>>> from lens import edit
>>> with edit.zero(site.units([3, 17])):
...     lens.capture(model, pictures, "image.embedding")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lens.capture.forwarding import split
from lens.capture.hooks import attach, forward_to
from lens.capture.inputs import as_batch
from lens.errors import BadInput, UnknownSite, suggestion
from lens.model import Model
from lens.sites import Site, Unit, as_laid_out, by_position

__all__ = ["Edit", "add", "apply", "heads", "mean", "patch", "resample", "scale", "zero"]

Where = Unit | Site | Sequence[Unit | Site]
#: From (batch, positions, units), those that are edited, to the same shape.
Change = Callable[[Float[Tensor, "batch positions units"]], Tensor]


class Edit:
    """One or several changes, to be used as ``with``; ``a + b`` applies both, `a` first."""

    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = tuple(parts)
        self._entered: list[ExitStack] = []

    def __add__(self, other: Edit) -> Edit:
        return Edit(self._parts + other._parts)

    def __enter__(self) -> Edit:
        with ExitStack() as attached:
            for part in self._parts:
                attached.callback(attach(part.site, part.changed))
            self._entered.append(attached.pop_all())
        return self

    def __exit__(self, *error: object) -> None:
        self._entered.pop().close()

    def __repr__(self) -> str:
        return " + ".join(map(repr, self._parts))


def zero(where: Where, *, tokens: int | Sequence[int] | None = None) -> Edit:
    """Zero ablation.

    Parameters
    ----------
    where : Unit, Site or a list of these
        What is edited; of one site or of several.
    tokens : int or list of int, optional
        Which positions, in the order of `lens.sites.by_position`; all by default.

    Raises
    ------
    BadInput
        If there is nothing to edit, or a token that the site does not have.
    """
    return apply(where, torch.zeros_like, tokens=tokens, label="zero")


def scale(where: Where, factor: float, *, tokens: int | Sequence[int] | None = None) -> Edit:
    """Multiply by a number; 0 is `zero`, 1 changes nothing."""
    return apply(where, lambda value: value * factor, tokens=tokens, label=f"scale {factor:g}")


def add(
    where: Where,
    direction: Float[Tensor, " units"] | Float[np.ndarray, " units"],
    strength: float = 1.0,
    *,
    tokens: int | Sequence[int] | None = None,
) -> Edit:
    """Steer: add a direction, a number for each unit that is edited, at every position.

    Raises
    ------
    BadInput
        If the direction has another number of units, or `where` lies in several sites.
    """
    found = _by_site(where)
    if len(found) > 1:
        names = ", ".join(site.name for site, _ in found)
        raise BadInput(f"A direction lies in one site; these units are in several: {names}.")
    ((site, units),) = found
    vector = torch.as_tensor(direction, dtype=torch.float32)
    count = site.n_units if units is None else len(units)
    if vector.shape != (count,):
        raise BadInput(
            f"The direction has the shape {tuple(vector.shape)}; {count} units of {site.name} are "
            f"edited, so it has to be ({count},)."
        )
    return apply(
        where,
        lambda value: value + strength * vector.to(value),
        tokens=tokens,
        label=f"add {strength:g} x direction",
    )


def mean(where: Where, inputs: Any, *, tokens: int | Sequence[int] | None = None) -> Edit:
    """Mean ablation: every unit gets its mean over some inputs and all their positions.

    Parameters
    ----------
    inputs : picture, text, or a list of these
        What the mean is over; the wider, the less the edit says about them.
    """
    parts: list[_Part] = []
    for site, units in _by_site(where):
        middle = _seen(site, inputs).mean((0, 1))
        chosen = middle if units is None else middle[list(units)]
        parts.append(_part(site, units, tokens, _constant(chosen), "mean"))
    return Edit(parts)


def resample(
    where: Where, inputs: Any, *, seed: int = 0, tokens: int | Sequence[int] | None = None
) -> Edit:
    """Resample ablation: every input gets what a random one of some others has there.

    The draw is seeded, and starts again whenever the edit is made.
    """
    parts: list[_Part] = []
    for site, units in _by_site(where):
        values = _edited(_seen(site, inputs), units, tokens, site)
        parts.append(_part(site, units, tokens, _drawn(values, seed), "resample"))
    return Edit(parts)


def patch(where: Where, source: Any, *, tokens: int | Sequence[int] | None = None) -> Edit:
    """Activation patching: what another input has there takes the place of what this one has.

    Parameters
    ----------
    source : picture, text, or a list of these
        One, which stands in for all inputs of a batch; or as many as the batch has.
    """
    parts: list[_Part] = []
    for site, units in _by_site(where):
        values = _edited(_seen(site, source), units, tokens, site)
        parts.append(_part(site, units, tokens, _constant(values), "patch"))
    return Edit(parts)


def apply(
    where: Where,
    change: Change,
    *,
    tokens: int | Sequence[int] | None = None,
    label: str | None = None,
) -> Edit:
    """Edit with any function.

    Parameters
    ----------
    change : callable
        From the edited part of the site's tensor, (batch, positions, units) whatever the site's own
        layout is, to new values of the same shape.

    Raises
    ------
    BadInput
        When the model runs, if what the function returns has another shape.
    """
    label = label or str(getattr(change, "__name__", "function"))
    return Edit([_part(site, units, tokens, change, label) for site, units in _by_site(where)])


def heads(
    model: Model,
    layer: str,
    which: int | Sequence[int],
    change: Change | float = 0.0,
    *,
    tokens: int | Sequence[int] | None = None,
) -> Edit:
    """Edit attention heads: scale them (0 ablates), or apply a function.

    Short for an edit of the units of ``model.site(f"{layer}.heads").head(i)``; the other parts of
    attention (``.q``, ``.k``, ``.v``, ``.pattern``) are sites as well, and are edited like any.

    Parameters
    ----------
    layer : str
        As `lens.attention` names it: ``"image.blocks.3.attention"``.
    which : int or list of int
        The heads.
    change : float or callable
        A factor, or a function of the heads' outputs before they are mixed, (batch, positions,
        heads x width of a head), to the same shape.
    tokens : int or list of int, optional
        Which queries; all by default.

    Raises
    ------
    UnknownSite
        If there is no such layer, with the nearest names.
    UnitOutOfRange
        If the layer has no such head.
    """
    known = [name for tower in model.towers for name in model.attention_layers(tower)]
    if layer not in known:
        raise UnknownSite(f"{model.name} has no attention {layer!r}.{suggestion(layer, known)}")
    site = model.site(f"{layer}.heads")
    numbers = (which,) if isinstance(which, int) else tuple(which)
    units = [unit for number in numbers for unit in site.head(number)]
    label = f"heads {', '.join(map(str, numbers))}:"
    function = change if callable(change) else _times(float(change))
    return apply(units, function, tokens=tokens, label=label)


@dataclass(frozen=True, repr=False)
class _Part:
    """One site's change."""

    site: Site
    units: tuple[int, ...] | None
    tokens: tuple[int, ...] | None
    change: Change
    label: str

    def changed(self, tensor: Tensor) -> Tensor:
        placed = by_position(self.site, tensor)
        at = _index(placed, self.units, self.tokens)
        before = placed[at]
        made = self.change(before)
        try:
            fits = torch.broadcast_shapes(made.shape, before.shape) == before.shape
        except RuntimeError:
            fits = False
        if not fits:
            raise BadInput(
                f"The edit of {self.site.name} gives values of the shape {tuple(made.shape)}; "
                f"they have to be {tuple(before.shape)} (batch, positions, units)."
            )
        edited = placed.clone()
        edited[at] = made.to(edited).expand(before.shape)
        return as_laid_out(self.site, edited, tensor.shape)

    def __repr__(self) -> str:
        what = "all units" if self.units is None else f"{len(self.units)} units"
        where = "" if self.tokens is None else f" at {len(self.tokens)} tokens"
        return f"{self.label} {what} of {self.site.name}{where}"


def _part(
    site: Site,
    units: tuple[int, ...] | None,
    tokens: int | Sequence[int] | None,
    change: Change,
    label: str,
) -> _Part:
    return _Part(site, units, _token_list(site, tokens), change, label)


def _by_site(where: Where) -> list[tuple[Site, tuple[int, ...] | None]]:
    """Group what is edited by site; None stands for all units."""
    items = [where] if isinstance(where, (Unit, Site)) else list(where)
    if not items:
        raise BadInput("There is nothing to edit: the list is empty.")
    found: dict[Site, set[int] | None] = {}
    for item in items:
        if isinstance(item, Site):
            found[item] = None
        elif isinstance(item, Unit):
            units = found.setdefault(item.site, set())
            if units is not None:
                units.add(item.index)
        else:
            raise BadInput(f"Units and sites can be edited, not {type(item).__name__}.")
    return [(site, None if us is None else tuple(sorted(us))) for site, us in found.items()]


def _token_list(site: Site, tokens: int | Sequence[int] | None) -> tuple[int, ...] | None:
    if tokens is None:
        return None
    numbers = (tokens,) if isinstance(tokens, int) else tuple(tokens)
    count = site.n_positions
    for token in numbers:
        if not 0 <= token < count:
            raise BadInput(f"{site.name} has the positions 0 to {count - 1}, not {token}.")
    return numbers


def _index(
    placed: Tensor, units: Iterable[int] | None, tokens: Iterable[int] | None
) -> tuple[Any, ...]:
    """The edited part of (batch, positions, units), as an index that reads and writes."""
    rows = list(range(placed.shape[1])) if tokens is None else list(tokens)
    columns = list(range(placed.shape[2])) if units is None else list(units)
    where = torch.tensor(rows, device=placed.device)[:, None]
    return slice(None), where, torch.tensor(columns, device=placed.device)


def _edited(
    values: Tensor, units: tuple[int, ...] | None, tokens: int | Sequence[int] | None, site: Site
) -> Float[Tensor, "n positions units"]:
    return values[_index(values, units, _token_list(site, tokens))]


@torch.no_grad()
def _seen(site: Site, inputs: Any) -> Float[Tensor, "n positions units"]:
    """What a site computes on some inputs, unedited by what is made of it."""
    batch = as_batch(site.model, site.tower, inputs)
    parts = [forward_to(site, part)[site.name] for part in split(batch, 64)]
    return torch.cat([by_position(site, part) for part in parts])


def _constant(values: Tensor) -> Change:
    return lambda before: values.to(before)


def _times(factor: float) -> Change:
    return lambda before: before * factor


def _drawn(values: Float[Tensor, "n positions units"], seed: int) -> Change:
    g = torch.Generator().manual_seed(seed)

    def change(before: Tensor) -> Tensor:
        which = torch.randint(len(values), (len(before),), generator=g)
        return values[which.to(values.device)].to(before)

    return change
