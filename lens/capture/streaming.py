"""`lens.capture(..., store=...)`: a data set of any size, to disk, resumable at any block."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import torch
from tqdm.auto import tqdm

from lens.capture.block_run import made_blocks
from lens.capture.run import on_device, one_tower
from lens.capture.sources import Source, preprocessing_fingerprint, source_of
from lens.errors import BadInput, LensError
from lens.model import Model
from lens.sites import Site
from lens.store import blocks
from lens.store.layout import Layout, kept_positions, rows_in_a_block
from lens.store.lock import writing_to
from lens.store.manifest import Manifest, StoredSite
from lens.store.place import Place
from lens.store.reading import Store, open_store
from lens.store.writing import begin, check_room, is_same, left_to_do, size

__all__ = ["Engine", "stream"]

Engine = Literal["local", "ray"]
REDUCTIONS = ("mean", "max", "cls", "eot", "full")
#: Threads that read at most where none are asked for.
READERS = 8


def stream(
    model: Model,
    inputs: Any,
    sites: str | Site | Iterable[str | Site] | Callable[[Site], bool],
    *,
    store: str | Path,
    reduce: Any = None,
    quantize: str | None = None,
    batch_size: int = 64,
    block_rows: int | None = None,
    strict: bool = False,
    progress: bool = True,
    device: str | torch.device | None = None,
    budget: int | str | None = None,
    workers: int | None = None,
    engine: Engine = "local",
) -> Store:
    """Stream what some sites compute to a store; parameters are those of `lens.capture`.

    Decoding, computing and writing overlap; in memory are two batches that are read, one that is
    computed, and two blocks.

    Returns
    -------
    Store
        Open for reading.
    """
    chosen = one_tower(model.sites(sites))
    named = _checked(reduce, quantize, chosen, batch_size, block_rows, workers, engine)
    source = source_of(inputs, model, chosen[0].tower)
    place = Place(store)
    ray = engine == "ray"
    where = torch.device(device or model.device).type  # with Ray, the driver need not have it
    with on_device(model, None if ray else device):
        manifest = _manifest(model, chosen, source, named, quantize, batch_size, block_rows, where)
        layout = Layout(manifest)
        if is_same(place, manifest) and not left_to_do(place, layout):
            return open_store(store)
        todo = layout.n_blocks - len(blocks.recorded(place, layout))
        whole = check_room(place, layout, todo, budget)
        if progress:
            print(_told(place, manifest, layout, whole))
        with writing_to(place) as alive:
            begin(place, manifest, layout)
            left = left_to_do(place, layout)
            reading = workers or min(READERS, os.cpu_count() or 1)
            if ray:
                from lens.capture.on_ray import made_on_ray

                made = made_on_ray(
                    model, chosen, source, layout, left, workers=workers, strict=strict
                )
            else:
                made = _made_here(model, chosen, source, layout, left, reading, strict)
            try:
                skipped = _write(place, layout, left, made, alive, progress)
            except LensError as error:
                error.done = open_store(store)
                raise
            finally:
                place.sweep()
    _report(skipped, layout, left)
    return open_store(store)


Step = tuple[int, Callable[[], blocks.Made] | None, list[tuple[int, str, str]]]


def _made_here(
    model: Model,
    sites: Sequence[Site],
    source: Source,
    layout: Layout,
    todo: Sequence[int],
    workers: int,
    strict: bool,
) -> Iterator[Step]:
    """Run the blocks in this process; the files of a block are made by whoever writes it."""
    steps = made_blocks(model, sites, source, layout, todo, workers=workers, strict=strict)
    for count, block in steps:
        yield count, block.files if block else None, block.skipped if block else []


def _write(
    place: Place,
    layout: Layout,
    todo: Sequence[int],
    made: Iterator[Step],
    alive: Callable[[], None],
    progress: bool,
) -> list[tuple[int, str, str]]:
    """Write blocks as they come, one while the next is computed; returns what was skipped."""
    skipped: list[tuple[int, str, str]] = []
    left = sum(len(layout.rows(block)) for block in todo)
    bar = tqdm(
        total=layout.manifest.count,
        initial=layout.manifest.count - left,
        desc="capture",
        unit="input",
        disable=not progress,
    )
    writing: Future[None] | None = None

    def write(files: Callable[[], blocks.Made]) -> None:
        blocks.write(place, files())

    with bar, ThreadPoolExecutor(1, thread_name_prefix="lens-writes") as writer:
        try:
            for count, files, gone in made:
                alive()
                if writing is not None and (writing.done() or files is not None):
                    writing.result()
                    writing = None
                if files is not None:
                    writing = writer.submit(write, files)
                    skipped += gone
                bar.update(count)
            if writing is not None:
                writing.result()
        finally:
            made.close()  # type: ignore[attr-defined]
    return skipped


def _report(skipped: Sequence[tuple[int, str, str]], layout: Layout, done: Sequence[int]) -> None:
    if not skipped:
        return
    tried = sum(len(layout.rows(block)) for block in done)
    if len(skipped) == layout.manifest.count:
        raise BadInput(f"None of the {tried} inputs could be read: {skipped[0][2]}")
    warnings.warn(
        f"{len(skipped)} of {tried} inputs were skipped ({skipped[0][2]}"
        f"{' ...' if len(skipped) > 1 else ''}); strict=True stops there instead.",
        stacklevel=4,
    )


def _checked(
    reduce: Any,
    quantize: Any,
    sites: Sequence[Site],
    batch_size: int,
    block_rows: int | None,
    workers: int | None,
    engine: str,
) -> str:
    """Check what was asked for; returns the name of the reduction."""
    if callable(reduce):
        raise BadInput(
            "A store keeps a reduction by its name, so that a run can go on: mean, max, cls, eot, "
            "top8 (the 8 largest positions) or full; not a function."
        )
    named = "full" if reduce is None else reduce
    if not isinstance(named, str) or (named not in REDUCTIONS and not named.startswith("top")):
        raise BadInput(
            f"reduce is one of {', '.join(REDUCTIONS)} or top8 (any number), not {reduce!r}."
        )
    if sites[0].tower not in ("image", "text"):
        raise BadInput(f"Sites of the {sites[0].tower} tower cannot be stored; capture them.")
    if named == "eot" and sites[0].tower != "text":
        raise BadInput("reduce='eot' is for texts; pictures take 'mean', 'max' or 'cls'.")
    count = kept_positions(named)
    for site in sites:
        places = site.n_positions - site.n_prefix
        if count is not None and count > places:
            raise BadInput(f"{site.name} has {places} positions; it cannot keep the top {count}.")
        if named == "cls" and site.layout != "BD" and site.n_prefix == 0:
            raise BadInput(
                f"{site.name} of {site.model.name} has no class token; use 'mean' or 'max'."
            )
    if quantize not in (None, "uint8"):
        raise BadInput(f"quantize is None or 'uint8', not {quantize!r}.")
    for name, number in (("batch_size", batch_size), ("workers", workers)):
        if number is not None and number < 1:
            raise BadInput(f"{name} must be at least 1, not {number}.")
    if block_rows is not None and (block_rows < 1 or block_rows % batch_size):
        raise BadInput(f"block_rows is a multiple of batch_size, {batch_size}, not {block_rows}.")
    if engine not in ("local", "ray"):
        raise BadInput(f"engine is 'local' or 'ray', not {engine!r}.")
    return named


def _manifest(
    model: Model,
    sites: Sequence[Site],
    source: Source,
    reduce: str,
    quantize: str | None,
    batch_size: int,
    block_rows: int | None,
    device: str,
) -> Manifest:
    from importlib.metadata import version

    row = sum(4 * (_numbers(site) if reduce == "full" else site.n_units) for site in sites)
    row *= 2 * (kept_positions(reduce) or 1) if reduce.startswith("top") else 1
    rows = min(block_rows, source.count) if block_rows else None
    tower = sites[0].tower
    # `image.layer4.pre_relu` is a place that goes by another name; a store has no model to ask.
    table = [site for site in model.sites("*") if site.tower == tower]
    before = [(place.pre_activation, f"{place.name}.pre_relu") for place in table]
    return Manifest(
        model=model.name,
        weights=model.fingerprint,
        preprocessing=preprocessing_fingerprint(model, tower),
        dataset={
            "kind": source.kind,
            "count": source.count,
            "fingerprint": source.fingerprint(),
            "key": source.key,
        },
        settings={
            "reduce": reduce,
            "quantize": quantize,
            "batch_size": batch_size,
            "rows_per_block": rows or rows_in_a_block(row, batch_size, source.count),
            "device": device,
            "dtype": str(model.dtype).removeprefix("torch."),
        },
        sites=tuple(_stored(site, before) for site in sites),
        made_with={"lens": version("lens-workbench"), "torch": str(torch.__version__)},
    )


def _numbers(site: Site) -> int:
    return site.n_positions * site.n_units


def _stored(site: Site, before: Sequence[tuple[Site, str]]) -> StoredSite:
    layout, shape = site.layout, site.shape
    if layout == "TBD":  # kept batch first
        layout = "BTD"
    return StoredSite(
        name=site.name,
        path=site.path,
        at=site.at,
        tower=site.tower,
        kind=site.kind,
        layout=layout,
        n_units=site.n_units,
        shape=tuple(shape),
        n_prefix=site.n_prefix,
        grid=site.grid,
        calls=site.calls,
        aliases=tuple(
            name for place, name in before if place == site and site.model.has_site(name)
        ),
    )


def _told(place: Place, manifest: Manifest, layout: Layout, whole: int) -> str:
    free = place.free()
    room = "" if free is None else f" ({size(free)} are free)"
    return (
        f"{place}: {manifest.count:,} inputs at {len(manifest.sites)} "
        f"site{'s' if len(manifest.sites) > 1 else ''} take {size(whole)}{room}, in "
        f"{layout.n_blocks:,} blocks of {manifest.rows_per_block:,}"
    )
