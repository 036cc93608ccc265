"""The objective of an image over a run, as few numbers as a small line needs."""

from __future__ import annotations


class Curve:
    """A value a step, thinned as it grows; the first step and the last are always there.

    Parameters
    ----------
    most
        How many numbers it has at most, and one more; even.
    """

    def __init__(self, most: int = 128) -> None:
        self._most, self._every, self._steps = most, 1, 0
        self._kept: list[float] = []
        self._last: list[float] = []

    def add(self, value: float) -> None:
        """Put in the next step's value."""
        kept = self._steps % self._every == 0
        self._last = [] if kept else [value]
        self._steps += 1
        if not kept:
            return
        self._kept.append(value)
        if len(self._kept) > self._most:
            self._kept, self._every = self._kept[::2], 2 * self._every

    @property
    def values(self) -> list[float]:
        """The values that were kept, in order."""
        return self._kept + self._last
