"""A site in another format, and several stores as one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from lens.errors import BadInput, BadStore, MissingOption
from lens.store import blocks
from lens.store.layout import Layout, rows_in_a_block
from lens.store.lock import writing_to
from lens.store.place import Place
from lens.store.reading import Store, open_store
from lens.store.writing import begin, check_room, is_same, left_to_do

__all__ = ["concatenate", "export"]

FORMATS = (".npy", ".parquet", ".safetensors")


def export(store: Store, site: str, path: Path) -> None:
    """Write one site in another format, block after block where the format allows it.

    Parameters
    ----------
    store : Store
        Finished or not; what is missing is NaN.
    site : str
        Which.
    path : Path
        ``.npy``: the array. ``.parquet``: a row an input, with ``input`` and ``values`` (a list; of
        several axes the flat one, its shape in the metadata). ``.safetensors``: the array under the
        site's name; this one is put together in memory.

    Raises
    ------
    BadInput
        For another ending, or a folder that is not there.
    MissingOption
        For parquet, where pyarrow is not installed.
    """
    if path.suffix.lower() not in FORMATS:
        raise BadInput(f"A site is exported as {', '.join(FORMATS)}, not {path.name!r}.")
    if not path.expanduser().parent.is_dir():
        raise BadInput(f"There is no folder {str(path.parent)!r} to export to.")
    path = path.expanduser()
    part = path.with_name(f".{path.name}.partial")
    place = Place(str(path))
    try:
        with place.writing():
            {".npy": _npy, ".parquet": _parquet, ".safetensors": _safetensors}[path.suffix.lower()](
                store, site, part
            )
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def concatenate(
    stores: Sequence[Store | str | Path], out: str | Path, *, budget: int | str | None = None
) -> Store:
    """Put stores of parts of a data set one after the other into one.

    The same call goes on where it was killed, as `lens.capture` does.

    Parameters
    ----------
    stores : sequence of Store or path
        Finished, and made with the same model, sites and settings.
    out : str or Path
        The new one. Quantized values are quantized anew, each block from its own smallest to its
        own largest value.
    budget : int or str, optional
        As `lens.capture` takes it.

    Raises
    ------
    StoreMismatch
        Naming what differs between them.
    BadStore
        If one is not finished.
    """
    parts = [part if isinstance(part, Store) else open_store(part) for part in stores]
    if not parts:
        raise BadInput("There is nothing to concatenate: the list of stores is empty.")
    for part in parts:
        if not part.finished:
            raise BadStore(f"{part.path} is not finished; run its lens.capture again first.")
        first = parts[0].manifest
        like = replace(part.manifest, dataset=first.dataset, settings=_of_run(parts[0], part))
        first.check_same(like, parts[0].path)
    manifest = _joined(parts)
    layout, place = Layout(manifest), Place(out)
    if not is_same(place, manifest) or left_to_do(place, layout):
        check_room(place, layout, layout.n_blocks, budget)
        with writing_to(place) as alive:
            begin(place, manifest, layout)
            for number in left_to_do(place, layout):
                blocks.write(place, _block(layout, number, parts))
                alive()
            place.sweep()
    return open_store(out)


def _of_run(first: Store, part: Store) -> dict[str, Any]:
    """Settings to compare: how a run was cut into blocks may differ."""
    free = ("rows_per_block", "batch_size", "device")
    return part.manifest.settings | {name: first.manifest.settings[name] for name in free}


def _joined(parts: Sequence[Store]) -> Any:
    told = json.dumps([part.manifest.dataset["fingerprint"] for part in parts])
    first = parts[0].manifest
    count = sum(part.manifest.count for part in parts)
    dataset = {
        "kind": "concatenated",
        "count": count,
        "fingerprint": hashlib.sha256(told.encode()).hexdigest()[:32],
    }
    row_bytes = sum(
        4 * int(np.prod(array.shape[1:])) for array in (parts[0][name] for name in parts[0])
    )
    batch = int(first.settings["batch_size"])
    rows = max(first.rows_per_block, rows_in_a_block(row_bytes, batch, count))
    return replace(first, dataset=dataset, settings=first.settings | {"rows_per_block": rows})


def _block(layout: Layout, number: int, parts: Sequence[Store]) -> blocks.Made:
    """Gather a block of the new store out of the old ones."""
    rows = layout.rows(number)
    spans = []
    begins = 0
    for part in parts:
        count = part.manifest.count
        low, high = max(rows.start, begins) - begins, min(rows.stop, begins + count) - begins
        if low < high:
            spans.append((part, np.arange(low, high), begins))
        begins += count
    columns = {}
    for name, stored in layout.parts.items():
        columns[name] = {"values": np.concatenate([p[name][local] for p, local, _ in spans])}
        if stored.positions is not None:
            found = [p[name].positions_of_rows(local) for p, local, _ in spans]
            columns[name]["positions"] = np.concatenate(found)
    labels = [label for p, local, _ in spans for label in p.inputs[local[0] : local[-1] + 1]]
    skipped = [
        (row + offset, label, why)
        for p, local, offset in spans
        for row, label, why in p.skipped_rows(int(local[0]), int(local[-1]) + 1)
    ]
    positions = None
    if parts[0].text_positions is not None:
        told = [cast("np.ndarray", p.text_positions)[local] for p, local, _ in spans]
        positions = np.concatenate(told).tolist()
    return blocks.make(layout, number, columns, labels, skipped, positions)


# The formats -------------------------------------------------------------------------------------


def _npy(store: Store, site: str, path: Path) -> None:
    array = store[site]
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": array.shape}
        np.lib.format.write_array_header_1_0(file, header)
        for _, values in array.blocks():
            file.write(np.ascontiguousarray(values, "<f4").tobytes())


def _parquet(store: Store, site: str, path: Path) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingOption("Parquet needs pyarrow: `pip install pyarrow`.") from error
    array = store[site]
    width = int(np.prod(array.shape[1:]))
    told = {"site": site, "shape": json.dumps(list(array.shape[1:])), "model": store.manifest.model}
    kind = pa.list_(pa.float32(), width)
    schema = pa.schema([("input", pa.string()), ("values", kind)], metadata=told)
    with pq.ParquetWriter(path, schema) as writer:
        for rows, values in array.blocks():
            flat = pa.array(np.ascontiguousarray(values).reshape(-1))
            names = [label.encode(errors="replace").decode() for label in _labels(store, rows)]
            columns = [pa.array(names, pa.string()), pa.FixedSizeListArray.from_arrays(flat, width)]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def _safetensors(store: Store, site: str, path: Path) -> None:
    from safetensors.numpy import save_file

    about = {"model": store.manifest.model, "reduce": str(store.manifest.settings["reduce"])}
    save_file({site: np.ascontiguousarray(store.load(site))}, path, metadata=about)


def _labels(store: Store, rows: range) -> list[str]:
    return list(store.inputs[rows.start : rows.stop])
