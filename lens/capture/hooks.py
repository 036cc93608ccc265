"""Hooks on the modules that are looked at, and on no other; gone when the block is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from lens.errors import BadInput
from lens.families.trace import first_tensor
from lens.sites import Site, TowerName

__all__ = ["Taps", "forward_to", "record"]


class _Enough(BaseException):
    """Ends a forward pass; no error, so that no `except Exception` of a model swallows it."""


class Taps(dict[str, Tensor]):
    """What was recorded, by site name; filled by every forward pass inside `record`."""

    def __init__(self, sites: Sequence[Site], stop: bool) -> None:
        super().__init__()
        self._sites = list(sites)
        self._stop = stop
        self._ending = False
        self._missing: dict[str, int] = {}

    def forward(self, batch: Tensor) -> Taps:
        """Run the sites' tower on a batch, up to the last site if `stop` was asked for.

        Parameters
        ----------
        batch : Tensor
            Normalised pictures (batch, 3, height, width), or token numbers (batch, tokens).

        Returns
        -------
        Taps
            Itself, filled.

        Raises
        ------
        BadInput
            If one of the sites' modules did not run.
        """
        self.clear()
        self._missing = {site.name: site.calls for site in self._sites}
        self._ending = self._stop
        site = self._sites[0]
        try:
            site.model.run(site.tower, batch)
        except _Enough:
            pass
        finally:
            self._ending = False
        for other in self._sites:
            if other.name not in self:
                raise BadInput(f"{other.name} of {other.model.name} did not run on this batch.")
        return self

    def _take(self, site: Site, value: Any, detach: bool) -> None:
        tensor = first_tensor(value)
        if tensor is None:
            return
        if detach:
            tensor = tensor.detach()
        if self._ending:
            self._missing[site.name] -= 1
            if all(count <= 0 for count in self._missing.values()):
                # Nothing runs after this, so nothing can overwrite it.
                self[site.name] = tensor
                raise _Enough
        # An in-place ReLU or `out += identity` further on would overwrite what was taken.
        self[site.name] = tensor.clone()


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
        False keeps the graph, for gradients through the recorded tensors.

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
    _check(sites)
    taps = Taps(sites, stop)
    with ExitStack() as attached:
        for site in sites:
            attached.callback(_attach(taps, site, detach))
        yield taps


def forward_to(
    sites: Sequence[Site] | Site, batch: Tensor, *, detach: bool = True
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


def _attach(taps: Taps, site: Site, detach: bool) -> Callable[[], None]:
    """Start to listen at a site; what is returned ends it."""
    if not site.path:  # the tower as a whole

        def result(tower: TowerName, output: Tensor) -> None:
            if tower == site.tower:
                taps._take(site, output, detach)

        site.model._on_result.append(result)
        return lambda: site.model._on_result.remove(result)

    # Hooks run in the order in which they were added: ours sees what the user's hooks made of it.
    if site.at == "output":

        def after(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            taps._take(site, output, detach)

        return site.module.register_forward_hook(after, with_kwargs=True).remove

    def before(module: nn.Module, args: Any, kwargs: Any) -> None:
        taps._take(site, (args, kwargs), detach)

    return site.module.register_forward_pre_hook(before, with_kwargs=True).remove


def _check(sites: Sequence[Site]) -> None:
    if not sites:
        raise BadInput("There is no site to look at: the list is empty.")
    if len({(id(site.model), site.tower) for site in sites}) > 1:
        raise BadInput("Sites that are recorded together must be of one tower of one model.")
