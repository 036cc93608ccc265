"""`lens.capture`: inputs in, activations out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from lens.capture.activations import Activations
from lens.capture.forwarding import Forward, check_numbers
from lens.capture.hooks import record
from lens.capture.inputs import image_batches, named_batches, text_batches
from lens.capture.memory import check_fits
from lens.devices import chosen_device, moved
from lens.errors import BadInput, LensError
from lens.model import Model
from lens.precision import Precision, autocast, in_bf16
from lens.sites import Site, unit_values

if TYPE_CHECKING:
    from lens.capture.streaming import Engine
    from lens.store import Store

__all__ = ["capture"]

Reduce = str | Callable[[Site, Tensor], Tensor] | None
Sites = str | Site | Iterable[str | Site] | Callable[[Site], bool]
POOLS = ("mean", "max", "cls", "eot")
READERS = {"image": image_batches, "text": text_batches, "cross": named_batches}


def capture(
    model: Model,
    inputs: Any,
    sites: Sites,
    *,
    reduce: Reduce = None,
    batch_size: int = 64,
    strict: bool = False,
    progress: bool = True,
    device: str | torch.device | None = None,
    precision: Precision = "fp32",
    store: str | Path | None = None,
    quantize: Literal["uint8"] | None = None,
    budget: int | str | None = None,
    workers: int | None = None,
    block_rows: int | None = None,
    engine: Engine = "local",
) -> Activations | Store:
    """Run a model on some inputs and keep what some of its sites compute, in memory or on disk.

    The model runs in eval mode without gradients, and only as far as the last site; it is left
    as it was.

    Parameters
    ----------
    model : Model
        From `lens.load` or `lens.wrap`.
    inputs : pictures or texts
        For image sites: PIL images, paths, a folder, arrays (uint8, or floats in [0, 1]; channels
        last), tensors (channels first; float tensors are taken to be preprocessed), a data set,
        or a list of these. For text sites: strings. For cross sites: pairs, such as
        ``[(image, text), ...]``, or a dict of tensors (see `named_batches`).
    sites : str, Site, several of these, or a predicate
        Names and globs, as `model.sites(...)` takes them; of one tower.
    reduce : {"mean", "max", "cls", "eot"} or callable, optional
        Keep one number a unit (see `unit_values`; "eot" reads texts at their end), or what a
        function of the site and its tensor gives, batch first. For a store also "full", and
        "top8" (any number): the largest positions of a unit and where they are; no function.
    batch_size : int
        How many inputs run at once.
    strict : bool
        Whether an input that cannot be read is an error; otherwise it is skipped, counted in
        `.skipped`, and a warning says so.
    progress : bool
        Whether to show a bar.
    device : str or torch.device, optional
        Where to run; the model is moved there and back.
    precision : {"fp32", "bf16", "auto"}
        "fp32" runs the model in its own arithmetic; "bf16" under autocast, about twice as fast
        where the processor is made for it; "auto" decides by the processor. A store keeps the
        model's own: convert the model instead (`lens.load(dtype=...)`).
    store : str or Path, optional
        A folder, or an address that fsspec opens, to stream to: for data sets larger than memory.
        Killed at any moment and called again, it goes on and ends with the same bits; a finished
        store is returned at once. Rows stay in place: a skipped input has a row of NaN.
    quantize : "uint8", optional
        Keep a byte a number in a store, with a scale for each block and unit.
    budget : int or str, optional
        What a store may take, such as "20 GB"; by default what is free on the disk.
    workers : int, optional
        How many threads read and decode for a store; with ``engine="ray"`` how many actors compute.
    block_rows : int, optional
        How many rows of a store are written at once, a multiple of `batch_size`; by default about
        32 MB, and at most 1,024.
    engine : {"local", "ray"}
        What fills a store: this process, or a Ray cluster.

    Returns
    -------
    Activations or Store
        Float32 arrays by site name, one row an input, batch axis first; with `store`, on disk.

    Raises
    ------
    UnknownSite
        If there is no such site, with the nearest names.
    BadInput
        If nothing could be read, or with `strict` the first that could not be; what had been
        captured until then is in the error's `.done`.
    TooLarge
        If the result would not fit into memory, or onto the disk, with the numbers.
    StoreMismatch
        If the store was made with another model, data set or setting, by name.
    StoreBusy
        If another process is writing the store.
    NotWritten
        If the disk is full or the place may not be written to; what was written stays usable.

    Examples
    --------
    >>> acts = lens.capture(model, "pictures/", ["image.layer4"], reduce="mean")
    >>> acts["image.layer4"].shape
    (1000, 1024)
    >>> store = lens.capture(model, "pictures/", "image.layer4", reduce="mean", store="acts.zarr")
    >>> store.top(17, 100)
    """
    if store is not None:
        if precision != "fp32":
            raise BadInput("A store keeps the model's own arithmetic: use lens.load(dtype=...).")
        from lens.capture.streaming import stream

        return stream(
            model, inputs, sites, store=store, reduce=reduce, quantize=quantize,
            batch_size=batch_size, block_rows=block_rows, strict=strict, progress=progress,
            device=device, budget=budget, workers=workers, engine=engine,
        )  # fmt: skip
    if (quantize, budget, workers, block_rows, engine) != (None, None, None, None, "local"):
        raise BadInput("quantize, budget, workers, block_rows and engine need store='a folder'.")
    chosen = one_tower(model.sites(sites))
    tower = chosen[0].tower
    _check_reduce(reduce, tower)
    batches = READERS[tower](inputs, model, batch_size, strict)
    _check_size(chosen, batches.total, reduce)
    columns = {site.name: _Column(batches.total) for site in chosen}
    labels: list[str] = []
    positions = _Column(batches.total, np.int64)

    def so_far() -> Activations:
        arrays = {name: column.array[: len(labels)] for name, column in columns.items()}
        read_at = positions.array[: len(labels)] if tower == "text" else None
        return Activations(arrays, chosen, labels, batches.skipped, read_at)

    arithmetic = autocast(device or model.device, in_bf16(precision, device or model.device))
    bar = tqdm(total=batches.total, desc="capture", unit="input", disable=not progress)
    try:
        with bar, on_device(model, device), torch.no_grad(), arithmetic, record(chosen) as taps:
            forward = Forward(taps)
            for batch, names in batches:
                for part in forward(batch):
                    read_at = model.pooled_token(part) if tower == "text" else None
                    for site in chosen:
                        check_numbers(site, taps[site.name])
                        columns[site.name].add(pooled(site, taps[site.name], reduce, read_at))
                    if read_at is not None:
                        positions.add(read_at)
                labels.extend(names)
                bar.update(len(labels) + len(batches.skipped) - bar.n)
    except LensError as error:
        error.done = so_far() if labels else None
        raise
    return so_far()


def pooled(site: Site, tensor: Tensor, reduce: Reduce, read_at: Tensor | None) -> Tensor:
    """Apply a reduction to a site's tensor (see `capture`); the batch axis comes first."""
    if callable(reduce):
        return reduce(site, tensor)
    if reduce == "eot":
        return tensor if site.layout == "BD" else unit_values(site, tensor, position=read_at)
    if reduce is not None:
        pool: Any = reduce
        return unit_values(site, tensor, pool)
    return tensor.movedim(site.batch_axis, 0)


def _check_reduce(reduce: Reduce, tower: str) -> None:
    if reduce is not None and not callable(reduce) and reduce not in POOLS:
        raise BadInput(f"reduce is one of {', '.join(POOLS)} or a function, not {reduce!r}.")
    if reduce == "eot" and tower != "text":
        raise BadInput("reduce='eot' is for texts; pictures take 'mean', 'max' or 'cls'.")


def one_tower(sites: Sequence[Site]) -> list[Site]:
    """Return the sites, which have to be of one tower.

    Raises
    ------
    BadInput
        If there is none, or they are of several.
    """
    if not sites:
        raise BadInput("There is no site to look at: the list is empty.")
    if len({site.tower for site in sites}) > 1:
        raise BadInput(
            "Sites of several towers cannot be captured together: pictures go to the one, texts to "
            "the other."
        )
    return list(sites)


def _check_size(sites: Sequence[Site], total: int | None, reduce: Reduce) -> None:
    if total is None or callable(reduce):
        return
    row = sum(site.n_units if reduce else prod(site.shape) for site in sites)
    check_fits(
        4 * row * total,
        f"{total} inputs at {len(sites)} sites",
        "reduce='mean' keeps one number a unit" if reduce is None else "take fewer at a time",
    )


@contextmanager
def on_device(model: Model, device: str | torch.device | None) -> Iterator[None]:
    """Run a model on a device, and bring it back."""
    if device is None or chosen_device(device) == model.device:
        yield
        return
    home = model.device
    moved(model.module, device)
    try:
        yield
    finally:
        model.module.to(home)


class _Column:
    """Rows that arrive in batches, in one array: of the expected length, or else doubling."""

    def __init__(self, total: int | None, dtype: type = np.float32) -> None:
        self._total = total
        self._dtype = dtype
        self._filled = 0
        self.array: np.ndarray = np.empty((0,), dtype)

    def add(self, rows: Tensor) -> None:
        values = rows.detach().to("cpu", torch.float32 if self._dtype is np.float32 else None)
        end = self._filled + len(values)
        if end > len(self.array) or self._filled == 0:
            length = max(end, self._total or 2 * end)
            grown = np.empty((length, *values.shape[1:]), self._dtype)
            grown[: self._filled] = self.array[: self._filled] if self._filled else 0
            self.array = grown
        self.array[self._filled : end] = values.numpy()
        self._filled = end
