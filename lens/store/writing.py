"""What comes before the first block of a store: is it ours, is there room, what is left to do."""

from __future__ import annotations

import re

from lens.errors import BadInput, BadStore, TooLarge
from lens.store import blocks
from lens.store.layout import Layout
from lens.store.lock import LOCK
from lens.store.manifest import MANIFEST, Manifest, read_manifest
from lens.store.place import PARTIAL, Place

__all__ = ["begin", "bytes_of", "check_room", "is_same", "left_to_do", "size"]

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}


def is_same(place: Place, wanted: Manifest) -> bool:
    """Tell whether a store is there already, made with the same.

    Raises
    ------
    StoreMismatch
        If it was made with something else.
    BadStore
        If there is a folder with other things, or a store that cannot be read.
    """
    found = read_manifest(place)
    if found is not None:
        found.check_same(wanted, place)
        return True
    others = sorted(set(place.listed()) - {LOCK, PARTIAL})
    if others:
        raise BadStore(
            f"{place} exists and is no store of activations (it holds {others[0]!r}); give store= "
            f"another name."
        )
    return False


def begin(place: Place, manifest: Manifest, layout: Layout) -> None:
    """Write what a store begins with, and sweep up after a run that was killed.

    The manifest comes first: from then on everything else can be worked out again.
    """
    place.sweep()
    if not is_same(place, manifest):
        place.write(MANIFEST, manifest.dump())
    for name, data in layout.metadata().items():
        if place.size(name) != len(data):
            place.write(name, data, durable=False)


def left_to_do(place: Place, layout: Layout) -> list[int]:
    """Return the blocks that are to be made: those without a record, or with a file cut short."""
    made = blocks.recorded(place, layout)
    unsound = {block for block, _ in blocks.unsound(place, layout, made)}
    return sorted(set(range(layout.n_blocks)) - (set(made) - unsound))


def check_room(place: Place, layout: Layout, todo: int, budget: int | str | None) -> int:
    """Work out what a store will take, and refuse it where that is too much.

    Parameters
    ----------
    place, layout
        The store.
    todo : int
        How many blocks are still to be made.
    budget : int or str, optional
        Bytes, or words such as "20 GB", for the whole store; by default what is left to do has to
        fit into what is free on the disk.

    Returns
    -------
    int
        Bytes of the whole store.

    Raises
    ------
    TooLarge
        With both numbers.
    """
    whole = layout.bytes_per_block * layout.n_blocks
    if budget is not None:
        allowed, needed, which = bytes_of(budget), whole, "the budget is"
    else:
        allowed, needed = place.free() or 0, layout.bytes_per_block * todo
        if place.free() is None:
            return whole
        which = "what is free on the disk is"
    if needed > allowed:
        raise TooLarge(
            f"{place} would take {size(needed)} and {which} {size(allowed)}; reduce='mean' keeps "
            f"one number a unit, quantize='uint8' a quarter of the bytes, or look at fewer sites."
        )
    return whole


def bytes_of(budget: int | str) -> int:
    """Read a number of bytes, or words such as "20 GB"."""
    text = str(budget).strip().lower()
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", text, re.ASCII)
    if found is None or found[2] not in _UNITS:
        raise BadInput(f"A budget is a number of bytes or such as '20 GB', not {budget!r}.")
    return int(float(found[1]) * _UNITS[found[2]])


def size(count: int) -> str:
    """Say a number of bytes."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000  # type: ignore[assignment]
    return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
