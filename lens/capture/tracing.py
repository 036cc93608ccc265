"""`lens.trace`: what sites compute over any number of passes, with gradients at each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lens.capture.hooks import Taps, attach, in_order
from lens.capture.inputs import as_batch
from lens.errors import BadInput, UnknownSite, suggestion
from lens.model import Model
from lens.sites import Site, TowerName

__all__ = ["Trace", "trace"]


class Trace(Taps):
    """What was recorded, by site name: the last forward pass; `passes` has the ones before it.

    Tensors are in their sites' own layouts and belong to the graph where gradients are on.
    """

    def __init__(self, sites: Sequence[Site], *, gradients: bool) -> None:
        super().__init__(sites, stop=True, detach=not gradients)
        self._passes: dict[str, list[Tensor]] = {site.name: [] for site in sites}

    def __missing__(self, name: str) -> Tensor:
        if name in self._passes:
            raise BadInput(f"{name} has not run yet: run the model inside of the block.")
        raise UnknownSite(f"{name!r} is not traced.{suggestion(name, self._passes)}")

    def run(self, *, image: Any = None, text: Any = None, cross: Any = None) -> Trace:
        """Run towers, each no further than to the last of its sites.

        Passes that are started in another way, such as ``model.run``, are recorded as well, and run
        to their end.

        Parameters
        ----------
        image, text, cross
            Inputs for the tower of that name: pictures, strings, or batches that it takes.

        Raises
        ------
        BadInput
            If there is nothing to run, or a site was not reached.

        Examples
        --------
        >>> with lens.trace(model, ["image.layer2", "text.blocks.0"]) as seen:
        ...     seen.run(image=picture, text="a dog")
        """
        given: dict[TowerName, Any] = {"image": image, "text": text, "cross": cross}
        chosen = {tower: inputs for tower, inputs in given.items() if inputs is not None}
        if not chosen:
            raise BadInput("There is nothing to run: give image=..., text=... or both.")
        for tower, inputs in chosen.items():
            if not any(site.tower == tower for site in self.sites):
                raise BadInput(f"No site of the {tower} tower is traced.")
            self.forward(as_batch(self.sites[0].model, tower, inputs), tower)
        return self

    def keep(self, site: Site, tensor: Tensor) -> None:
        """Take what a site computed into the record."""
        super().keep(site, tensor)
        self._passes[site.name].append(tensor)

    def in_graph(self, tensor: Tensor) -> Tensor:
        """Make gradients stop nowhere before a site, frozen weights or not."""
        if torch.is_grad_enabled() and tensor.is_floating_point():
            if not tensor.requires_grad:
                tensor = tensor.detach().requires_grad_()
            tensor.retain_grad()
        return tensor

    def passes(self, site: str | Site) -> list[Tensor]:
        """Return what a site computed, whenever it ran, in that order."""
        name = site.name if isinstance(site, Site) else site
        if name not in self._passes:
            raise UnknownSite(f"{name!r} is not traced.{suggestion(name, self._passes)}")
        return list(self._passes[name])

    def gradients(self, of: Tensor, *, retain_graph: bool = True) -> dict[str, Tensor]:
        """Return the gradient of a number at every site that it depends on.

        The weights' own gradients stay as they are; after ``of.backward()`` each recorded tensor
        has its `.grad` too.

        Parameters
        ----------
        of : Tensor
            A number made from what the model gave: a similarity, a logit, a unit's value.
        retain_graph : bool
            False frees the graph.

        Returns
        -------
        dict
            From site names to tensors of the recorded ones' shapes.

        Raises
        ------
        BadInput
            If it is not one number, or the trace keeps no gradients, or no site comes before it.
        """
        if of.numel() != 1:
            raise BadInput(f"Gradients are of one number, not of {tuple(of.shape)}: sum it up.")
        if self._detach or not of.requires_grad:
            raise BadInput("There are no gradients here: trace(..., gradients=True) keeps them.")
        reached = {name: tensor for name, tensor in self.items() if tensor.requires_grad}
        before = {name: tensor.grad for name, tensor in reached.items()}
        found = torch.autograd.grad(
            of.sum(), list(reached.values()), retain_graph=retain_graph, allow_unused=True
        )
        for name, tensor in reached.items():  # those of `backward` alone are kept there
            tensor.grad = before[name]
        known = {n: g for n, g in zip(reached, found, strict=True) if g is not None}
        if not known:
            raise BadInput("This number depends on none of the sites that are traced.")
        return known


@contextmanager
def trace(
    model: Model,
    sites: str | Site | Iterable[str | Site] | Callable[[Site], bool],
    *,
    gradients: bool = False,
) -> Iterator[Trace]:
    """Record what some sites compute, in every pass of the block.

    The model runs as it always does, and its output is the same to the bit. When the block is left,
    in whatever way, its hooks are gone; what was recorded stays.

    Parameters
    ----------
    model : Model
        From `lens.load` or `lens.wrap`.
    sites : str, Site, several of these, or a predicate
        Names and globs, as `model.sites(...)` takes them; of any of its towers.
    gradients : bool
        Whether to keep the graph, for `Trace.gradients` and for ``backward``, through attention
        patterns too.

    Yields
    ------
    Trace
        A mapping from site names to tensors.

    Raises
    ------
    UnknownSite
        If there is no such site, with the nearest names.

    Examples
    --------
    >>> with lens.trace(model, ["image.layer3", "image.layer4"], gradients=True) as seen:
    ...     similarity = (model.run("image", batch) * target).sum()
    >>> seen.gradients(similarity)["image.layer3"].shape
    torch.Size([1, 512, 8, 8])
    """
    chosen = model.sites(sites)
    seen = Trace(chosen, gradients=gradients)
    with ExitStack() as attached:
        for site in in_order(chosen):
            attached.callback(attach(site, partial(seen.take, site)))
        yield seen
