"""How far a store is, in a few lines."""

from __future__ import annotations

from pathlib import Path

from lens.store import blocks
from lens.store.layout import Layout
from lens.store.lock import writer_of
from lens.store.place import Place
from lens.store.reading import open_store
from lens.store.writing import size

__all__ = ["status"]


def status(path: str | Path) -> str:
    """Tell what a store holds, how much of it is there, and what to do next.

    Parameters
    ----------
    path : str or Path
        Where it is. Records and sizes are read, no values.
    """
    store = open_store(path)
    place, layout = Place(path), Layout(store.manifest)
    made = blocks.recorded(place, layout)
    unsound = blocks.unsound(place, layout, made)
    whole = layout.bytes_per_block * layout.n_blocks
    there = layout.bytes_per_block * len(made)
    share = store.rows_done / store.manifest.count
    lines = [
        repr(store),
        f"  {store.rows_done:,} of {store.manifest.count:,} inputs ({share:.0%}), {len(made):,} of "
        f"{layout.n_blocks:,} blocks, {size(there)} of {size(whole)}",
    ]
    if store.skipped:
        label, why = store.skipped[0]
        lines.append(f"  {len(store.skipped):,} skipped, the first: {label}: {why}")
    if unsound:
        lines.append(f"  {len(unsound)} files are missing or cut short, such as {unsound[0][1]}")
    writer = writer_of(place)
    if writer is not None:
        lines.append(f"  being written by {writer}")
    elif unsound or not store.finished:
        lines.append("  not being written: the same lens capture again goes on")
    else:
        lines.append("  finished")
    return "\n".join(lines)
