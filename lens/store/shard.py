"""One array of a store: its shape and chunks, and the bytes of a block of its rows.

A block of rows is one file, a shard of zarr version 3: its inner chunks hold all rows of a block
and a few units each, one after the other, each with its crc32c, and the index that tells where they
stand comes last. Every inner chunk has the same size, so the values of one unit are found without
reading the index.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import google_crc32c
import numpy as np

__all__ = ["StoredArray", "crc"]

# Bytes that an inner chunk has at least where there are units enough: what a disk reads at once.
PAGE = 4096
_CRC = 4


@dataclass(frozen=True)
class StoredArray:
    """An array with a row an input (or, with `of_blocks`, a row a block), written block by block.

    Attributes
    ----------
    name : str
        Its path inside the store.
    count : int
        How many rows it has.
    row_shape : tuple of int
        The shape of one row.
    dtype : str
        "float32", "uint8" or "int32".
    fill : float or int
        What stands for what is missing.
    rows : int
        How many rows a block has.
    split : int
        The axis of `row_shape` along which inner chunks divide it: that of the units.
    axes : tuple of str
        Names of the axes.
    attributes : tuple of (str, object)
        What plain zarr shows beside the array.
    """

    name: str
    count: int
    row_shape: tuple[int, ...]
    dtype: str
    fill: float | int
    rows: int
    split: int
    axes: tuple[str, ...]
    attributes: tuple[tuple[str, Any], ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        return (self.count, *self.row_shape)

    @property
    def n_blocks(self) -> int:
        """How many files it has."""
        return math.ceil(self.count / self.rows)

    @property
    def units_per_chunk(self) -> int:
        """How many units share an inner chunk."""
        each = self.rows * math.prod(self.row_shape) // self.row_shape[self.split] * self._itemsize
        return min(self.row_shape[self.split], 2 ** math.ceil(math.log2(max(1, PAGE / each))))

    @property
    def inner_shape(self) -> tuple[int, ...]:
        """Shape of one inner chunk, rows first."""
        return (self.rows, *self._with_units(self.units_per_chunk))

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """Shape of one file, rows first; units are filled up to whole inner chunks."""
        return (self.rows, *self._with_units(self.n_inner * self.units_per_chunk))

    @property
    def n_inner(self) -> int:
        """How many inner chunks a file has."""
        return math.ceil(self.row_shape[self.split] / self.units_per_chunk)

    @property
    def inner_bytes(self) -> int:
        """Bytes of one inner chunk with its checksum."""
        return math.prod(self.inner_shape) * self._itemsize + _CRC

    @property
    def chunk_bytes(self) -> int:
        """Bytes of one file: always the same, as nothing is compressed."""
        return self.n_inner * (self.inner_bytes + 16) + _CRC

    @property
    def _itemsize(self) -> int:
        return np.dtype(self.dtype).itemsize

    def _with_units(self, count: int) -> tuple[int, ...]:
        return (*self.row_shape[: self.split], count, *self.row_shape[self.split + 1 :])

    def chunk_name(self, block: int) -> str:
        """Return the path of a block's file inside the store."""
        return f"{self.name}/c/{block}" + "/0" * len(self.row_shape)

    def metadata(self) -> bytes:
        """Return what plain zarr reads first: the array's ``zarr.json``."""
        little = {"name": "bytes", "configuration": {"endian": "little"}}
        sharding = {
            "chunk_shape": list(self.inner_shape),
            "codecs": [little, {"name": "crc32c"}],
            "index_codecs": [little, {"name": "crc32c"}],
            "index_location": "end",
        }
        fill = "NaN" if isinstance(self.fill, float) and math.isnan(self.fill) else self.fill
        body = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self.shape),
            "data_type": self.dtype,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": list(self.chunk_shape)},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": fill,
            "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
            "dimension_names": list(self.axes),
            "attributes": dict(self.attributes),
        }
        return (json.dumps(body, indent=1) + "\n").encode()

    def encode(self, block: np.ndarray) -> bytes:
        """Return the file of a block of rows; missing rows and units are filled up."""
        axis = self.split + 1
        padded = block
        if block.shape != self.chunk_shape:
            padded = np.full(self.chunk_shape, self.fill, self.dtype)
            padded[tuple(slice(0, length) for length in block.shape)] = block
        padded = padded.astype(np.dtype(self.dtype).newbyteorder("<"), copy=False)
        before, after = padded.shape[:axis], padded.shape[axis + 1 :]
        divided = padded.reshape(*before, self.n_inner, self.units_per_chunk, *after)
        size = self.inner_bytes
        body = np.empty((self.n_inner, size), np.uint8)
        values = np.ascontiguousarray(np.moveaxis(divided, axis, 0)).reshape(self.n_inner, -1)
        body[:, :-_CRC] = values.view(np.uint8)
        for chunk in body:
            chunk[-_CRC:] = np.frombuffer(crc(chunk[:-_CRC]), np.uint8)
        index = np.empty((self.n_inner, 2), "<u8")
        index[:, 0] = np.arange(self.n_inner) * size
        index[:, 1] = size
        told = index.tobytes()
        return body.tobytes() + told + crc(told)

    def span(self, inner: int) -> tuple[int, int]:
        """Return where an inner chunk begins and ends in its file."""
        return inner * self.inner_bytes, (inner + 1) * self.inner_bytes

    def decode_inner(self, data: bytes) -> np.ndarray | None:
        """Return the values of one inner chunk; None where it is damaged."""
        if len(data) != self.inner_bytes or crc(data[:-_CRC]) != data[-_CRC:]:
            return None
        values = np.frombuffer(data[:-_CRC], np.dtype(self.dtype).newbyteorder("<"))
        return values.reshape(self.inner_shape)

    def decode(self, data: bytes) -> np.ndarray | None:
        """Return the values of a whole file, (rows, *row_shape); None where it is damaged."""
        if len(data) != self.chunk_bytes:
            return None
        spans = (self.span(number) for number in range(self.n_inner))
        parts = [self.decode_inner(data[start:stop]) for start, stop in spans]
        sound = [part for part in parts if part is not None]
        if len(sound) < len(parts):
            return None
        whole = np.concatenate(sound, axis=self.split + 1)
        units = slice(0, self.row_shape[self.split])
        return whole[(slice(None),) * (self.split + 1) + (units,)]


def crc(data: bytes | np.ndarray) -> bytes:
    """Return the crc32c of some bytes as zarr writes it."""
    raw = data if isinstance(data, bytes) else data.tobytes()
    return google_crc32c.value(raw).to_bytes(4, "little")
