"""What a unit's site is called where views tell each other of a choice (`link.js`)."""

from __future__ import annotations

from lens.sites import Site

BEFORE = ".pre_relu"


def place(site: Site | str) -> str:
    """Give one name for all names of a site's units, before and after its final ReLU.

    A stage is its last block, and both are that block's sum before its ReLU. A table says by name
    alone where its values were taken, which is there.
    """
    name = site if isinstance(site, str) else site.pre_activation.name
    return name.removesuffix(BEFORE)
