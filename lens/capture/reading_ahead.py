"""Batches of a source, read and prepared by threads while the model computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lens.capture.sources import Source
from lens.errors import BadImage, BadInput
from lens.model import Model
from lens.sites import TowerName

__all__ = ["Ready", "read_ahead"]

#: Batches that are being read or wait for the model: bounds the memory.
AHEAD = 2


@dataclass(frozen=True)
class Ready:
    """One batch of a source.

    Attributes
    ----------
    rows : list of int
        The rows that could be read, in order.
    batch : Tensor or None
        What the model takes, an input for each of `rows`; None where there is none.
    skipped : list of (int, str)
        The rows that could not be read, and why.
    """

    rows: list[int]
    batch: Tensor | None
    skipped: list[tuple[int, str]]


def read_ahead(
    source: Source,
    model: Model,
    tower: TowerName,
    spans: Sequence[Sequence[int]],
    *,
    workers: int,
    strict: bool,
) -> Iterator[Ready]:
    """Yield the batches of some spans of rows, in order, two of them ahead at most.

    Parameters
    ----------
    source : Source
        What to read.
    model : Model
        Whose preprocessing and tokenizer to use.
    tower : {"image", "text"}
        Which tower is to see them.
    spans : sequence of sequences of int
        The rows of each batch.
    workers : int
        How many threads read.
    strict : bool
        Whether an input that cannot be read is an error rather than skipped.
    """
    takes = model.input_shape(tower)

    def prepared(rows: Sequence[int]) -> list[Tensor | BadInput]:
        return [_prepared(model, tower, takes, source.label(row), item)
                for row, item in zip(rows, source.items(rows), strict=True)]  # fmt: skip

    with ThreadPoolExecutor(workers, thread_name_prefix="lens-reads") as pool:
        coming: deque[tuple[Sequence[int], list[Future[list[Tensor | BadInput]]]]] = deque()
        ahead = iter(spans)

        def ask() -> None:
            for rows in ahead:
                count = 1 if source.together(rows) else min(workers, len(rows))
                step = -(-len(rows) // count)
                slices = [rows[at : at + step] for at in range(0, len(rows), step)]
                coming.append((rows, [pool.submit(prepared, part) for part in slices]))
                return

        try:
            for _ in range(AHEAD):
                ask()
            while coming:
                rows, futures = coming.popleft()
                found = [row for future in futures for row in future.result()]
                ask()
                yield _batched(rows, found, strict)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _prepared(
    model: Model, tower: TowerName, takes: tuple[int, ...], label: str, item: Any
) -> Tensor | BadInput:
    if isinstance(item, BadInput):
        return item
    who = f"Input {label}" if label.isdigit() else label
    try:
        if tower == "text":
            row = item if isinstance(item, Tensor) else model.tokens([item])[0]
        else:
            row = model.picture(item, who)
        if tuple(row.shape) != takes:
            raise BadImage(f"{who} has the shape {tuple(row.shape)}, {model.name} takes {takes}.")
    except BadInput as error:
        return error
    return row


def _batched(rows: Sequence[int], found: Sequence[Tensor | BadInput], strict: bool) -> Ready:
    good: list[int] = []
    tensors: list[Tensor] = []
    skipped: list[tuple[int, str]] = []
    for row, each in zip(rows, found, strict=True):
        if isinstance(each, Tensor):
            good.append(row)
            tensors.append(each)
        elif strict:
            raise each
        else:
            skipped.append((row, str(each)))
    return Ready(good, torch.stack(tensors) if tensors else None, skipped)
