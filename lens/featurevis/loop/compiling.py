"""torch.compile for the parts of a model that nobody looks into.

A compiled function can't be left early and shows nothing of its inside. So what is compiled are the
largest modules without a watched module in them: the blocks and stages before the target.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import torch
from torch import nn

from lens.errors import BadInput
from lens.sites import Site


@contextmanager
def compiled(sites: Sequence[Site]) -> Iterator[None]:
    """Compile what stands beside the sites; every module has its own forward back afterwards."""
    watched = {site.module for site in sites if site.path}
    if watched:
        with suppress(BadInput):  # a tower that can't be tried out is not the one that is climbed
            _ = sites[0].model.sites  # found in a trial run, which is not to be of compiled parts
    found = regions(sites[0].model.module, watched) if watched else []
    parts = [part for part in found if "forward" not in vars(part)]
    try:
        for part in parts:
            part.forward = torch.compile(part.forward)  # type: ignore[method-assign]
        yield
    finally:
        for part in parts:
            vars(part).pop("forward", None)


def regions(module: nn.Module, watched: set[nn.Module]) -> list[nn.Module]:
    """The largest modules under ``module`` with several layers and nothing watched in them."""
    inside = set(module.modules())
    children = list(module.children())
    if not inside & watched and not isinstance(module, (nn.ModuleList, nn.ModuleDict)):
        return [module] if children else []  # one layer alone gains nothing
    return [part for child in children for part in regions(child, watched)]
