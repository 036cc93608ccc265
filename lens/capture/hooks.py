"""Hooks on the modules that are looked at, and on no other; gone when the block is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from lens.errors import BadInput
from lens.families.attending import PARTS, Attended, Part
from lens.families.listening import listen
from lens.families.trace import first_tensor, with_first_tensor
from lens.model import Model
from lens.sites import At, Site, TowerName

__all__ = ["Taps", "attach", "forward_to", "record"]


# Whether what a module gives or takes, by path and side, is overwritten in place further on. Known
# after one pass; what is not overwritten needs no copy.
_overwritten: WeakKeyDictionary[Model, dict[tuple[str, At], bool]] = WeakKeyDictionary()


class _Enough(BaseException):
    """Ends a forward pass; no error, so that no `except Exception` of a model swallows it."""


class Taps(dict[str, Tensor]):
    """What was recorded, by site name; filled by every forward pass while its hooks are on.

    Parameters
    ----------
    sites : sequence of Site
        Of one model.
    stop : bool
        Whether `forward` ends as soon as the last site has run.
    detach : bool
        False keeps the graph.
    """

    def __init__(self, sites: Sequence[Site], *, stop: bool = True, detach: bool = True) -> None:
        super().__init__()
        if not sites:
            raise BadInput("There is no site to look at: the list is empty.")
        if len({id(site.model) for site in sites}) > 1:
            raise BadInput("Sites that are recorded together must be of one model.")
        self.sites = list(sites)
        self._stop = stop
        self._detach = detach
        # While `forward` runs: passes still to come, and what was taken with its version then.
        self._awaited: dict[str, int] | None = None
        self._taken: dict[Site, tuple[Tensor, int]] | None = None

    def forward(self, batch: Any, tower: TowerName | None = None) -> Taps:
        """Run a tower on a batch, up to the last of its sites if `stop` was asked for.

        Parameters
        ----------
        batch : Tensor
            Normalised pictures (batch, 3, height, width), or token numbers (batch, tokens).
        tower : {"image", "text"}, optional
            Which; that of the sites by default.

        Returns
        -------
        Taps
            Itself, filled.

        Raises
        ------
        BadInput
            If one of the sites' modules did not run.
        """
        tower = tower or self.sites[0].tower
        wanted = [site for site in self.sites if site.tower == tower]
        for site in wanted:
            self.pop(site.name, None)
        self._awaited = {site.name: site.calls for site in wanted} if self._stop else None
        self._taken = {}
        model = self.sites[0].model
        try:
            model.run(tower, batch)
        except _Enough:
            pass
        finally:
            taken, self._awaited, self._taken = self._taken, None, None
        for site in wanted:
            if site.name not in self:
                raise BadInput(f"{site.name} of {model.name} did not run on this batch.")
        if self._learn(model, taken):
            return self.forward(batch, tower)
        return self

    def _learn(self, model: Model, taken: Mapping[Site, tuple[Tensor, int]]) -> bool:
        """Note what was overwritten; tells whether something was that had not been copied."""
        known = _overwritten.setdefault(model, {})
        spoiled = False
        for site, (tensor, version) in taken.items():
            changed = tensor._version != version
            spoiled = spoiled or (changed and known.get((site.path, site.at)) is False)
            known[site.path, site.at] = changed or known.get((site.path, site.at), False)
        return spoiled

    def keep(self, site: Site, tensor: Tensor) -> None:
        """Take what a site computed into the record."""
        self[site.name] = tensor

    def take(self, site: Site, tensor: Tensor) -> Tensor | None:
        """Record a site's tensor; returns what the model goes on with, where that is another.

        An in-place ReLU or ``out += identity`` further on would overwrite what was taken: so one of
        the two, the record or the model, gets a copy. The model gets it where the graph is kept, so
        that gradients at what was recorded are those of what comes after.
        """
        taken = tensor.detach() if self._detach else self.in_graph(tensor)
        if self._awaited is not None:
            self._awaited[site.name] -= 1
            if all(count <= 0 for count in self._awaited.values()):
                self.keep(site, taken)  # nothing runs after this, so nothing can overwrite it
                raise _Enough
        if site.at in PARTS:  # worked out for us alone
            self.keep(site, taken)
            return None if self._detach else taken
        if self._is_left_alone(site, tensor):
            self.keep(site, taken)
            return None
        self.keep(site, taken.clone() if self._detach else taken)
        return None if self._detach else taken.clone()

    def _is_left_alone(self, site: Site, tensor: Tensor) -> bool:
        """Whether nothing overwrites a tensor, as is known; where it is not, it will be."""
        if self._taken is None or tensor.is_inference():  # nobody tells when the pass has ended
            return False
        self._taken[site] = tensor, tensor._version
        return _overwritten.get(site.model, {}).get((site.path, site.at)) is False

    def in_graph(self, tensor: Tensor) -> Tensor:
        """Return the tensor to record where the graph is kept."""
        return tensor


@contextmanager
def record(sites: Sequence[Site], *, stop: bool = True, detach: bool = True) -> Iterator[Taps]:
    """Record what some sites compute.

    Parameters
    ----------
    sites : sequence of Site
        Of one tower of one model.
    stop : bool
        Whether `taps.forward(batch)` ends as soon as the last site has run. Forward passes that
        are started in another way (`model.run`, the module itself) fill the taps as well, and
        always run to their end.
    detach : bool
        False keeps the graph, for gradients through and at the recorded tensors.

    Yields
    ------
    Taps
        A dict from site names to tensors in the sites' own layouts: the values that the model
        computed, in memory of their own. A module that runs several times in a forward pass
        leaves its last value.

    Examples
    --------
    >>> with record([site]) as taps:
    ...     for batch in batches:
    ...         values = taps.forward(batch)[site.name]
    """
    if len({site.tower for site in sites}) > 1:
        raise BadInput("Sites that are recorded together must be of one tower of one model.")
    taps = Taps(sites, stop=stop, detach=detach)
    with ExitStack() as attached:
        for site in in_order(sites):
            attached.callback(attach(site, partial(taps.take, site)))
        yield taps


def in_order(sites: Sequence[Site]) -> list[Site]:
    """Order sites so that of one attention layer the parts come as they follow from each other."""
    return sorted(sites, key=lambda site: PARTS.index(site.at) if site.at in PARTS else -1)


def forward_to(
    sites: Sequence[Site] | Site, batch: Any, *, detach: bool = True
) -> dict[str, Tensor]:
    """Run the sites' tower up to the last of them, and return what they compute, by name.

    Parameters
    ----------
    sites : Site or sequence of Site
        Of one tower of one model.
    batch : Tensor
        Normalised pictures (batch, 3, height, width), or token numbers (batch, tokens).
    detach : bool
        False keeps the graph, for gradients with respect to `batch`.
    """
    chosen = [sites] if isinstance(sites, Site) else list(sites)
    with record(chosen, detach=detach) as taps:
        return dict(taps.forward(batch))


def attach(site: Site, look: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
    """Show `look` a site's tensor in every forward pass.

    Parameters
    ----------
    site : Site
        Where to look.
    look : callable
        Gets the tensor, in the site's own layout; what it returns, if anything, takes its place.

    Returns
    -------
    callable
        Ends it. Several may be ended in any order; they are shown the tensor in the order in which
        they were attached, after hooks of the user's own that were there before.
    """
    if site.at in PARTS:
        part: Part = site.at

        def attended(call: Attended) -> Attended | None:
            made = look(getattr(call, part))
            return None if made is None else call.changed(part, made)

        return listen(site.module, attended)

    if not site.path:  # the tower as a whole

        def result(tower: TowerName, output: Tensor) -> Tensor | None:
            return look(output) if tower == site.tower else None

        site.model._on_result.append(result)
        return lambda: site.model._on_result.remove(result)

    def changed(value: Any) -> Any:
        tensor = first_tensor(value)
        made = None if tensor is None else look(tensor)
        return None if made is None else with_first_tensor(value, lambda _: made)

    if site.at == "output":

        def after(module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
            return changed(output)

        return site.module.register_forward_hook(after, with_kwargs=True).remove

    def before(module: nn.Module, args: Any, kwargs: Any) -> Any:
        return changed((args, kwargs))

    return site.module.register_forward_pre_hook(before, with_kwargs=True).remove
