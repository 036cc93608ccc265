"""A module of our own in the stream of a site, for captum to hook in the place of the model's.

captum's layer methods hook the model's own modules. That fails where the next module works in
place (the ReLUs of residual networks), where a module gives a tuple or runs several times, and
where what is meant is a module's input. At a tap, a copy of the site's value passes through an
identity, and a copy of what comes out goes on: whatever captum reads or replaces there is exactly
the site's value, as edits have left it.
"""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from lens.attribution.scores import Score
from lens.capture.hooks import attach
from lens.errors import BadInput
from lens.sites import Site, as_laid_out, by_position, unit_maps

__all__ = ["Tap"]


class Tap:
    """A score whose computation passes through `layer`; used as ``with``.

    Parameters
    ----------
    site : Site
        Where; its value passes as (batch, positions, units).
    score : Score
        What is computed.
    maps : bool
        Let only the positions with a place in the picture pass, as (batch, units, rows, columns).

    Attributes
    ----------
    layer : nn.Identity
        What captum is given.
    """

    def __init__(self, site: Site, score: Score, *, maps: bool = False) -> None:
        self.layer = nn.Identity()
        self._site, self._score, self._maps = site, score, maps
        self._calls = 0
        self._ends: list[Callable[[], None]] = []

    def __enter__(self) -> Tap:
        self._ends.append(attach(self._site, self._passed))
        return self

    def __exit__(self, *error: object) -> None:
        while self._ends:
            self._ends.pop()()

    def __call__(self, batch: Tensor) -> Float[Tensor, " batch"]:
        """Compute the score; the site's value passes through `layer` on the way.

        Raises
        ------
        BadInput
            If the site does not run before the score is known.
        """
        self._calls = 0
        scores = self._score(batch)
        if self._calls < self._site.calls:
            raise BadInput(
                f"{self._site.name} does not run before {self._score.label} is known, so it "
                f"cannot explain it."
            )
        return scores

    def _passed(self, tensor: Tensor) -> Tensor:
        self._calls += 1
        if self._calls != self._site.calls:  # a site is what its module does the last time
            return tensor
        placed = by_position(self._site, tensor)
        if not self._maps:
            placed = self.layer(placed.clone()).clone()
        else:
            made = self.layer(unit_maps(self._site, tensor).clone())
            placed = placed.clone()
            placed[:, self._site.n_prefix :] = made.flatten(2).transpose(1, 2)
        return as_laid_out(self._site, placed, tensor.shape)
