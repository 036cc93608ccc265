"""Which arrays a store has, and how a block of rows becomes files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from lens.errors import BadInput
from lens.store.manifest import Manifest, StoredSite
from lens.store.names import folder_of
from lens.store.shard import StoredArray

__all__ = [
    "BLOCK_BYTES",
    "INVALID",
    "Layout",
    "Parts",
    "dequantized",
    "kept_positions",
    "quantized",
]

#: What a block takes in memory at most, where one batch takes less; and rows it has at most.
BLOCK_BYTES = 32_000_000
BLOCK_ROWS = 1024
#: The code of a value that is not there, of quantized arrays.
INVALID = 255

# Axes of a row that count the units, by the layout of the stored rows; the others are places.
_UNIT_AXES: dict[str, tuple[int, ...]] = {
    "BCHW": (0,), "BHWC": (2,), "BTD": (1,), "BD": (0,), "BNQK": (0,), "BNTD": (0, 2)
}  # fmt: skip
_AXIS_NAMES = {"C": "unit", "D": "unit", "N": "head", "H": "height", "W": "width", "T": "token"}

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Parts:
    """The arrays of one site: its values, and what belongs to them."""

    site: StoredSite
    values: StoredArray
    positions: StoredArray | None
    low: StoredArray | None
    step: StoredArray | None
    unit_axes: tuple[int, ...]

    def all(self) -> list[StoredArray]:
        """Return those that there are."""
        return [a for a in (self.values, self.positions, self.low, self.step) if a is not None]


@dataclass(frozen=True)
class Layout:
    """The arrays of a store and its blocks, worked out from its manifest alone."""

    manifest: Manifest
    parts: dict[str, Parts] = field(init=False)

    def __post_init__(self) -> None:
        parts = {site.name: _parts(site, self.manifest) for site in self.manifest.sites}
        object.__setattr__(self, "parts", parts)

    @property
    def n_blocks(self) -> int:
        """How many blocks there are."""
        return math.ceil(self.manifest.count / self.manifest.rows_per_block)

    def rows(self, block: int) -> range:
        """Return the rows of a block."""
        size = self.manifest.rows_per_block
        return range(block * size, min((block + 1) * size, self.manifest.count))

    def arrays(self) -> list[StoredArray]:
        """Return every array, site after site."""
        return [array for parts in self.parts.values() for array in parts.all()]

    @property
    def bytes_per_block(self) -> int:
        """What the arrays of a block take on the disk."""
        return sum(array.chunk_bytes for array in self.arrays())

    def metadata(self) -> dict[str, bytes]:
        """Return the files that plain zarr reads first, by name."""
        import json

        def group(attributes: Mapping[str, Any]) -> bytes:
            body = {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}
            return (json.dumps(body, indent=1) + "\n").encode()

        about = {
            "made_by": "lens",
            "model": self.manifest.model,
            "read_me": "sites/<site>/values has a row an input; what was skipped: blocks/",
        }
        files = {"zarr.json": group(about), "sites/zarr.json": group({})}
        for name, parts in self.parts.items():
            site = parts.site
            files[f"sites/{folder_of(name)}/zarr.json"] = group(
                {"site": name, "layout": site.layout, "reduce": self.manifest.settings["reduce"]}
            )
            for array in parts.all():
                files[f"{array.name}/zarr.json"] = array.metadata()
        return files

    def encode(self, block: int, columns: Mapping[str, Arrays]) -> dict[str, bytes]:
        """Turn the values of a block into files.

        Parameters
        ----------
        block : int
            Which.
        columns : mapping
            By site name, ``values`` and, for top positions, ``positions``: a row each, NaN where
            an input was skipped.

        Returns
        -------
        dict of str to bytes
            The files by their names inside the store.
        """
        files = {}
        for name, parts in self.parts.items():
            arrays = dict(columns[name])
            if parts.low is not None:
                coded = quantized(arrays["values"], parts.unit_axes)
                arrays["values"], low, step = coded
                arrays |= {"low": low[None], "step": step[None]}
            for array in parts.all():
                kind = array.name.rsplit("/", 1)[1]
                files[array.chunk_name(block)] = array.encode(arrays[kind])
        return files


def rows_in_a_block(row_bytes: int, batch_size: int, count: int) -> int:
    """Choose how many rows are written at once: whole batches, of about `BLOCK_BYTES`."""
    fitting = min(BLOCK_ROWS, BLOCK_BYTES // max(1, row_bytes))
    return min(max(1, fitting // batch_size) * batch_size, max(1, count))


def kept_positions(reduce: str) -> int | None:
    """Return the 8 of "top8"; None for another reduction.

    Raises
    ------
    BadInput
        For "top" without a number above 0.
    """
    if not reduce.startswith("top"):
        return None
    digits = reduce[3:]
    if not (digits.isascii() and digits.isdigit()) or int(digits) < 1:
        raise BadInput(f"reduce='top8' keeps the 8 largest positions of a unit, not {reduce!r}.")
    return int(digits)


def quantized(
    values: Float[np.ndarray, "rows ..."], unit_axes: Sequence[int]
) -> tuple[UInt8[np.ndarray, "rows ..."], Float[np.ndarray, "*units"], Float[np.ndarray, "*units"]]:
    """Turn a block into codes: 0 to 254 from each unit's smallest to its largest value there.

    Returns
    -------
    codes, low, step
        ``value = low + code * step``, off by half a step at most; code 255 is no value (NaN).
    """
    places = tuple(a for a in range(values.ndim) if a - 1 not in unit_axes)
    finite = np.isfinite(values)
    low = np.where(finite, values, np.inf).min(axis=places)
    high = np.where(finite, values, -np.inf).max(axis=places)
    none = ~np.isfinite(low)
    low, high = np.where(none, 0, low), np.where(none, 0, high)
    step = ((high.astype(np.float64) - low) / (INVALID - 1)).astype(np.float32)
    wide_low, wide_step = (_spread(part, values.ndim, unit_axes) for part in (low, step))
    with np.errstate(invalid="ignore"):
        scaled = (values - wide_low) / np.where(wide_step > 0, wide_step, 1)
        codes = np.rint(np.clip(np.nan_to_num(scaled, nan=0), 0, INVALID - 1)).astype(np.uint8)
    codes[np.isnan(values)] = INVALID
    return codes, low.astype(np.float32), step


def dequantized(
    codes: UInt8[np.ndarray, "rows ..."],
    low: Float[np.ndarray, "*units"],
    step: Float[np.ndarray, "*units"],
    unit_axes: Sequence[int],
) -> Float[np.ndarray, "rows ..."]:
    """Undo `quantized`, to half a step."""
    wide_low, wide_step = (_spread(part, codes.ndim, unit_axes) for part in (low, step))
    values = wide_low + codes.astype(np.float32) * wide_step
    return np.where(codes == INVALID, np.float32(np.nan), values.astype(np.float32))


def _spread(part: np.ndarray, ndim: int, unit_axes: Sequence[int]) -> np.ndarray:
    shape = [1] * ndim
    for length, axis in zip(part.shape, unit_axes, strict=True):
        shape[axis + 1] = length
    return part.reshape(shape)


def _parts(site: StoredSite, manifest: Manifest) -> Parts:
    reduce, quantize = manifest.settings["reduce"], manifest.settings["quantize"]
    folder = f"sites/{folder_of(site.name)}"
    count, rows = manifest.count, manifest.rows_per_block
    top = kept_positions(reduce)
    unit_axes: tuple[int, ...] = (0,)
    if reduce == "full":
        row_shape = site.shape
        unit_axes = _UNIT_AXES[site.layout]
        names = [_AXIS_NAMES.get(letter, letter.lower()) for letter in site.layout[1:]]
        if site.layout == "BNTD":
            names[2] = "feature"
        axes = ("input", *names)
    elif top is not None:
        row_shape, axes = (site.n_units, top), ("input", "unit", "best")
    else:
        row_shape, axes = (site.n_units,), ("input", "unit")

    def array(kind: str, dtype: str, fill: float | int, **attributes: Any) -> StoredArray:
        given = tuple(attributes.items())
        return StoredArray(
            f"{folder}/{kind}", count, row_shape, dtype, fill, rows, unit_axes[0], axes, given
        )

    def of_blocks(kind: str) -> StoredArray:
        shape = tuple(row_shape[axis] for axis in unit_axes)
        named = ("block", *(axes[axis + 1] for axis in unit_axes))
        blocks = math.ceil(count / rows)
        return StoredArray(f"{folder}/{kind}", blocks, shape, "float32", math.nan, 1, 0, named)

    coded = quantize == "uint8"
    values = (
        array("values", "uint8", INVALID, value="low + code * step of the row's block; 255: none",
              rows_per_block=rows)
        if coded
        else array("values", "float32", math.nan)
    )  # fmt: skip
    return Parts(
        site,
        values,
        array("positions", "int32", -1) if top is not None else None,
        of_blocks("low") if coded else None,
        of_blocks("step") if coded else None,
        unit_axes,
    )
