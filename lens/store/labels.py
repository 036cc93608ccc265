"""What the rows of a store are called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from lens.store import blocks
from lens.store.layout import Layout
from lens.store.place import Place

__all__ = ["Labels"]


class Labels(Sequence[str]):
    """What the rows are called; a block of names is read at a time."""

    def __init__(self, place: Place, layout: Layout, made: frozenset[int]) -> None:
        self._place, self._layout, self._made = place, layout, made
        self._held: tuple[float, list[str]] = (inf, [])

    def __len__(self) -> int:
        return self._layout.manifest.count

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        number = row + len(self) if row < 0 else row
        if not 0 <= number < len(self):
            raise IndexError(f"There are {len(self)} inputs; there is no number {row}.")
        block, at = divmod(int(number), self._layout.manifest.rows_per_block)
        if block not in self._made:
            return str(number)
        if self._held[0] != block:
            self._held = (block, blocks.read_labels(self._place, block))
        return self._held[1][at]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__: Callable[..., int] = None  # type: ignore[assignment]
