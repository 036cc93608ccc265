"""The work on one block of rows: batches through the model, reduced on its device, kept by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from lens.capture.forwarding import Forward, check_numbers, length
from lens.capture.hooks import Taps, record
from lens.capture.reading_ahead import Ready, read_ahead
from lens.capture.run import pooled
from lens.capture.sources import Source
from lens.errors import BadInput
from lens.model import Model
from lens.sites import Site, TowerName, by_position
from lens.store import blocks
from lens.store.layout import Arrays, Layout, kept_positions

__all__ = ["batches_of", "made_blocks"]


def made_blocks(
    model: Model,
    sites: Sequence[Site],
    source: Source,
    layout: Layout,
    todo: Sequence[int],
    *,
    workers: int,
    strict: bool,
) -> Iterator[tuple[int, _Filled | None]]:
    """Run a model over some blocks.

    A batch never reaches over the end of a block, so that what it holds, and so every bit of what
    the model computes, depends on the block alone.

    Yields
    ------
    (int, block or None)
        After every batch, how many inputs it had; and a block when that was its last batch.
    """
    tower = sites[0].tower
    size = int(layout.manifest.settings["batch_size"])
    spans = [(block, rows) for block in todo for rows in batches_of(layout.rows(block), size)]
    ready = read_ahead(
        source, model, tower, [rows for _, rows in spans], workers=workers, strict=strict
    )
    filled: _Filled | None = None
    with torch.no_grad(), record(sites) as taps:
        forward = Forward(taps)
        try:
            for (block, rows), batch in zip(spans, ready, strict=True):
                if filled is None:
                    filled = _Filled(layout, block, tower, source)
                filled.add(forward, taps, sites, batch)
                if rows[-1] == layout.rows(block)[-1]:
                    yield len(rows), filled
                    filled = None
                else:
                    yield len(rows), None
        finally:
            ready.close()  # type: ignore[attr-defined]


def batches_of(rows: range, size: int) -> list[range]:
    """Divide the rows of a block into batches."""
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def reduced(site: Site, tensor: Tensor, reduce: str, read_at: Tensor | None) -> dict[str, Tensor]:
    """Reduce a site's tensor on its device, batch axis first.

    Returns
    -------
    dict of str to Tensor
        ``values``, and for top positions ``positions``: both (batch, units, k).
    """
    count = kept_positions(reduce)
    if count is None:
        return {"values": pooled(site, tensor, None if reduce == "full" else reduce, read_at)}
    best = by_position(site, tensor)[:, site.n_prefix :].topk(count, dim=1)
    return {"values": best.values.transpose(1, 2), "positions": best.indices.transpose(1, 2)}


class _Filled:
    """The arrays of a block while they fill up."""

    def __init__(self, layout: Layout, block: int, tower: TowerName, source: Source) -> None:
        self.layout, self.block, self._source = layout, block, source
        self._rows = layout.rows(block)
        self._reduce = str(layout.manifest.settings["reduce"])
        self._columns: dict[str, Arrays] = {}
        for name, parts in layout.parts.items():
            shape = (len(self._rows), *parts.values.row_shape)
            self._columns[name] = {"values": np.full(shape, np.nan, np.float32)}
            if parts.positions is not None:
                self._columns[name]["positions"] = np.full(shape, -1, np.int32)
        self.skipped: list[tuple[int, str, str]] = []
        self._read_at = np.zeros(len(self._rows), np.int64) if tower == "text" else None

    def add(self, forward: Forward, taps: Taps, sites: Sequence[Site], ready: Ready) -> None:
        """Run a batch and keep what the sites computed."""
        self.skipped += [(row, self._source.label(row), why) for row, why in ready.skipped]
        if ready.batch is None:
            return
        rows = np.asarray(ready.rows) - self._rows.start
        done = 0
        for part in forward(ready.batch):
            self._keep(taps, sites, part, rows[done : done + length(part)])
            done += length(part)

    def _keep(
        self, taps: Taps, sites: Sequence[Site], part: Any, at: Int[np.ndarray, " batch"]
    ) -> None:
        read_at = None
        if self._read_at is not None:
            read_at = sites[0].model.pooled_token(part)
            self._read_at[at] = read_at.cpu().numpy()
        for site in sites:
            columns = self._columns[site.name]
            check_numbers(site, taps[site.name])
            for kind, tensor in reduced(site, taps[site.name], self._reduce, read_at).items():
                if tensor.shape[1:] != columns[kind].shape[1:]:
                    raise BadInput(
                        f"{site.name} gave the shape {tuple(tensor.shape[1:])} and the store keeps "
                        f"{columns[kind].shape[1:]}."
                    )
                wanted = torch.int32 if kind == "positions" else torch.float32
                columns[kind][at] = tensor.detach().to("cpu", wanted).numpy()

    def files(self) -> blocks.Made:
        """Turn the block into files."""
        labels = [self._source.label(row) for row in self._rows]
        at = None if self._read_at is None else self._read_at.tolist()
        return blocks.make(self.layout, self.block, self._columns, labels, self.skipped, at)
