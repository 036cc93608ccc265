"""The array of one site, read from the disk where it is indexed, and there only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from lens.errors import BadStore, UnitOutOfRange
from lens.store.blocks import damage
from lens.store.layout import Layout, Parts, dequantized
from lens.store.place import Place
from lens.store.shard import StoredArray

__all__ = ["LazyArray"]


class LazyArray:
    """What a store has of one site: an array with a row an input, of which nothing is in memory.

    Indexing reads the blocks of the rows that are asked for. Rows of skipped inputs, and of
    blocks that are not made yet, are NaN. Quantized values come back as floats.

    Attributes
    ----------
    shape : tuple of int
        Rows first.
    dtype : numpy.dtype
        float32.
    """

    def __init__(self, place: Place, layout: Layout, parts: Parts, made: frozenset[int]) -> None:
        self._place, self._layout, self._parts, self._made = place, layout, parts, made
        self.shape = parts.values.shape
        self.dtype = np.dtype(np.float32)

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """What it would take in memory."""
        return int(np.prod(self.shape)) * 4

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) and key else (key, ())
        if first is Ellipsis or first is None or isinstance(first, tuple):
            return self.load()[key]
        rows = np.arange(len(self))[first]
        if rows.ndim > 1 or any(isinstance(part, (list, np.ndarray)) for part in rest):
            return self.load()[key]
        found = self._gathered(np.atleast_1d(rows))
        return found[(0 if rows.ndim == 0 else slice(None), *rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.load() if dtype is None else self.load().astype(dtype)

    def load(self) -> Float[np.ndarray, "n ..."]:
        """Read all of it into memory."""
        return self._gathered(np.arange(len(self)))

    def blocks(self) -> Iterator[tuple[range, Float[np.ndarray, "rows ..."]]]:
        """Read block after block: its rows and their values."""
        for number in range(self._layout.n_blocks):
            yield self._layout.rows(number), self._block(number)

    def units(self, unit: int) -> Iterator[tuple[range, Float[np.ndarray, "rows ..."]]]:
        """Read the values of one unit block after block, with all its places; only its chunks."""
        index = self._unit_index(unit)
        for number in range(self._layout.n_blocks):
            yield self._layout.rows(number), self._of_unit(number, index)

    def positions(self, unit: int) -> np.ndarray:
        """Return, for top positions, where they are: (rows, k) flat indices into the grid."""
        array = self._parts.positions
        if array is None:
            raise BadStore(f"{self._place} keeps no positions of {self._parts.site.name}.")
        index = self._unit_index(unit)
        parts = [self._inner(array, n, index[0]) for n in range(self._layout.n_blocks)]
        return np.concatenate(parts)

    # -- one block -------------------------------------------------------------------------

    def positions_of_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return, for top positions, where they are in some rows, all units: (rows, units, k)."""
        array = self._parts.positions
        if array is None:
            raise BadStore(f"{self._place} keeps no positions of {self._parts.site.name}.")
        size = self._layout.manifest.rows_per_block
        out = np.empty((len(rows), *array.row_shape), array.dtype)
        for number in np.unique(rows // size):
            here = rows // size == number
            out[here] = self._whole(array, int(number))[rows[here] - number * size]
        return out

    def _gathered(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), *self.shape[1:]), np.float32)
        size = self._layout.manifest.rows_per_block
        for number in np.unique(rows // size):
            here = rows // size == number
            out[here] = self._block(int(number))[rows[here] - number * size]
        return out

    def _block(self, number: int) -> np.ndarray:
        values, count = self._parts.values, len(self._layout.rows(number))
        if number not in self._made:
            return np.full((count, *self.shape[1:]), np.nan, np.float32)
        found = self._whole(values, number)[:count]
        if self._parts.low is None or self._parts.step is None:
            return found
        low, step = (self._whole(a, number)[0] for a in (self._parts.low, self._parts.step))
        return dequantized(found, low, step, self._parts.unit_axes)

    def _whole(self, array: StoredArray, number: int) -> np.ndarray:
        name = array.chunk_name(number)
        try:
            found = array.decode(self._place.read(name))
        except FileNotFoundError:
            found = None
        if found is None:
            raise damage(self._place, name)
        return found

    def _unit_index(self, unit: int) -> tuple[int, ...]:
        site = self._parts.site
        if not 0 <= int(unit) < site.n_units:
            raise UnitOutOfRange(
                f"{site.name} of {self._layout.manifest.model} has the units 0 to "
                f"{site.n_units - 1}, not {unit}."
            )
        axes = self._parts.unit_axes
        if len(axes) == 1:
            return (int(unit),)
        return divmod(int(unit), self._parts.values.row_shape[axes[1]])

    def _of_unit(self, number: int, index: tuple[int, ...]) -> np.ndarray:
        parts = self._parts
        if number not in self._made:
            gone = [axis + 1 for axis in parts.unit_axes]
            left = [n for axis, n in enumerate(self.shape) if axis not in gone][1:]
            return np.full((len(self._layout.rows(number)), *left), np.nan, np.float32)
        found = self._inner(parts.values, number, index[0])
        if len(index) == 2:  # the head is chosen; now its feature
            found = found.take(index[1], axis=parts.unit_axes[1])
        if parts.low is None or parts.step is None:
            return found
        low, step = (self._inner(a, number, index[0], 1)[0] for a in (parts.low, parts.step))
        if len(index) == 2:
            low, step = low[index[1]], step[index[1]]
        return dequantized(found, np.asarray(low), np.asarray(step), ())

    def _inner(
        self, array: StoredArray, number: int, unit: int, count: int | None = None
    ) -> np.ndarray:
        """Read one inner chunk of a file, and of it the values of one unit (or head)."""
        count = len(self._layout.rows(number)) if count is None else count
        if number not in self._made:
            return np.full((count, *array.row_shape[1:]), array.fill, array.dtype)
        inner, at = divmod(unit, array.units_per_chunk)
        name = array.chunk_name(number)
        try:
            found = array.decode_inner(self._place.read(name, *array.span(inner)))
        except FileNotFoundError:
            found = None
        if found is None:
            raise damage(self._place, name)
        return found[:count].take(at, axis=array.split + 1)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.shape))
        kept = "uint8 with a scale" if self._parts.low is not None else "float32"
        return f"{self._parts.site.name} of {self._place}: {shape}, {kept}, read when indexed"
