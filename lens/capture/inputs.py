"""Whatever the user has - files, arrays, a folder, texts, a data set - as batches for a model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lens.errors import BadImage, BadInput
from lens.families.trace import shapes
from lens.model import Model
from lens.sites import Batch, TowerName

__all__ = [
    "Batches",
    "as_batch",
    "batch_ndim_of",
    "each_item",
    "files_below",
    "image_batches",
    "is_many",
    "label_of",
    "named_batches",
    "text_batches",
]


class Batches:
    """Batches of inputs, made while they are iterated over; what cannot be read is skipped.

    Attributes
    ----------
    total : int or None
        How many inputs there are, where that is known beforehand.
    skipped : list of (str, str)
        What was skipped so far, and why.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, Any]],
        total: int | None,
        load: Callable[[Any, str], Batch],
        batch_size: int,
        strict: bool,
    ) -> None:
        if batch_size < 1:
            raise BadInput(f"batch_size must be at least 1, not {batch_size}.")
        self.total = total
        self.skipped: list[tuple[str, str]] = []
        self._named = named
        self._load = load
        self._batch_size = batch_size
        self._strict = strict

    def __iter__(self) -> Iterator[tuple[Any, list[str]]]:
        """Yield batches with the labels of their inputs.

        Raises
        ------
        BadInput
            If nothing at all could be read; with `strict`, at the first input that could not.
        """
        self.skipped.clear()
        read = 0
        shape: Any = None
        rows: list[Batch] = []
        labels: list[str] = []
        for label, item in self._named:
            who = f"Input {label}" if label.isdigit() else label
            try:
                row = self._load(item, who)
                shape = shape or shapes(row)
                if shapes(row) != shape:
                    raise BadImage(
                        f"{who} has the shape {shapes(row)}, the inputs before it have {shape}."
                    )
            except BadInput as error:
                if self._strict or self.total == 1:
                    raise
                self.skipped.append((label, str(error)))
                continue
            rows.append(row)
            labels.append(label)
            read += 1
            if len(rows) == self._batch_size:
                yield _stacked(rows), labels
                rows, labels = [], []
        if rows:
            yield _stacked(rows), labels
        self._report(read)

    def _report(self, read: int) -> None:
        if not self.skipped:
            if not read:
                raise BadInput("There is no input: nothing was given.")
            return
        count = len(self.skipped)
        if not read:
            raise BadInput(f"None of the {count} inputs could be read: {self.skipped[0][1]}")
        warnings.warn(
            f"{count} of {count + read} inputs were skipped ({self.skipped[0][1]}"
            f"{' ...' if count > 1 else ''}); strict=True stops there instead.",
            stacklevel=3,
        )


def _stacked(rows: list[Any]) -> Batch:
    if isinstance(rows[0], Mapping):
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    return torch.stack(rows)


def as_batch(model: Model, tower: TowerName, given: Any) -> Any:
    """Turn one or a few inputs into one batch of a tower.

    Parameters
    ----------
    model : Model
        Whose preprocessing and tokenizer to use.
    tower : {"image", "text", "cross"}
        Which tower they are for.
    given : picture, text, batch, or a list of these
        A float tensor is taken to be preprocessed, an integer one to be token numbers; for a
        "cross" tower what `named_batches` takes.

    Raises
    ------
    BadInput
        If there is nothing, or something that the tower does not take.
    """
    if tower == "cross":
        rows = [batch for batch, _ in named_batches(given, model, strict=True)]
        return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
    several = isinstance(given, (list, tuple))
    many = several or getattr(given, "ndim", 0) == batch_ndim_of(model, tower)
    items = list(given) if many else [given]
    if not items:
        what = {"image": "pictures", "text": "texts"}[tower]
        raise BadInput(f"There is nothing to look at: the list of {what} is empty.")
    if isinstance(given, Tensor) and tower == "text":
        return given if many else given[None]
    if tower == "text":
        return model.tokens(items)
    return torch.stack([model.picture(item) for item in items])


def image_batches(inputs: Any, model: Model, batch_size: int = 64, strict: bool = False) -> Batches:
    """Read pictures in batches, preprocessed for a model.

    Parameters
    ----------
    inputs : picture, path, folder, array, tensor, data set, or a sequence of these
        Arrays are uint8 or floats in [0, 1], channels last; tensors channels first, and float
        tensors are taken to be preprocessed already. A folder stands for the files below it.
        A data set is anything with a length and items that are pictures or begin with one.
    model : Model
        Whose preprocessing to use.
    batch_size : int
        How many at once.
    strict : bool
        Whether to stop at the first picture that cannot be read, rather than skip it.

    Returns
    -------
    Batches
        An iterable of (tensor, labels), with `.skipped` and `.total`.

    Raises
    ------
    BadInput
        If there is nothing to read.
    """
    named, total = _listed(inputs, batch_ndim_of(model))
    return Batches(named, total, model.picture, batch_size, strict)


def text_batches(inputs: Any, model: Model, batch_size: int = 64, strict: bool = False) -> Batches:
    """Read texts in batches of token numbers; otherwise like `image_batches`."""
    texts = [inputs] if isinstance(inputs, str) else inputs
    if isinstance(texts, Tensor):  # token numbers already
        return Batches(
            ((str(i), row) for i, row in enumerate(texts)),
            len(texts),
            lambda row, label: row,
            batch_size,
            strict,
        )
    if isinstance(texts, (Image.Image, Path)) or not isinstance(texts, Iterable):
        raise BadInput(f"Text sites take a str or several, not {type(inputs).__name__}.")
    texts = list(texts)
    if not texts:
        raise BadInput("There is no input: the list is empty.")
    return Batches(
        ((str(text), text) for text in texts),
        len(texts),
        lambda text, label: model.tokens([text])[0],
        batch_size,
        strict,
    )


def named_batches(inputs: Any, model: Model, batch_size: int = 64, strict: bool = False) -> Batches:
    """Read what a "cross" tower takes: several inputs at once, by name.

    Parameters
    ----------
    inputs : mapping, tuple, or a list of these
        A mapping from names to tensors is a whole batch, the inputs along their first axis. In a
        list, a mapping is one input, without that axis; a tuple is one input, too, and holds what
        `model.reads("cross")` lists, in its order: a picture or a text for each.
    model : Model
        Whose preprocessing and tokenizer to use.
    batch_size : int
        How many at once.
    strict : bool
        Whether to stop at the first input that cannot be read, rather than skip it.

    Raises
    ------
    BadInput
        If there is nothing to read, or the tensors do not agree on how many inputs there are.
    """
    reads = model.reads("cross")
    items: list[Any]
    if isinstance(inputs, Mapping):
        lengths = {len(tensor) for tensor in inputs.values()}
        if len(lengths) != 1:
            raise BadInput(
                f"The tensors disagree on how many inputs there are: {shapes(inputs)} have "
                f"{', '.join(map(str, sorted(lengths))) or 'none'}."
            )
        items = [{k: t[i] for k, t in inputs.items()} for i in range(lengths.pop())]
    elif isinstance(inputs, tuple) and not any(isinstance(p, (tuple, Mapping)) for p in inputs):
        items = [inputs]
    elif isinstance(inputs, Iterable) and not isinstance(inputs, (str, Tensor)):
        items = list(inputs)
    else:
        items = [inputs]
    if not items:
        raise BadInput("There is no input: the list is empty.")

    def load(item: Any, label: str) -> Batch:
        if isinstance(item, Mapping):
            return item
        if not isinstance(item, (tuple, list)) or not reads or len(item) != len(reads):
            wanted = f"a pair ({', '.join(reads)}) or " if reads else ""
            raise BadInput(
                f"{label} is a {type(item).__name__}; a cross site of {model.name} takes {wanted}a "
                f"dict of tensors named {', '.join(model.input_shape('cross'))}."
            )
        made = {}
        for (name, kind), part in zip(reads.items(), item, strict=True):
            ready = isinstance(part, Tensor) and not part.is_floating_point()
            if kind == "image":
                made[name] = model.picture(part, label)
            else:
                made[name] = part if ready else model.tokens([part])[0]
        return made

    return Batches(((str(i), x) for i, x in enumerate(items)), len(items), load, batch_size, strict)


def _listed(inputs: Any, batch_ndim: int) -> tuple[Iterable[tuple[str, Any]], int | None]:
    """Name every single picture, and count them where that needs no reading."""
    if isinstance(inputs, (str, Path)) and is_many(inputs, batch_ndim):
        files = files_below(Path(inputs).expanduser())
        return [(str(file), file) for file in files], len(files)
    if isinstance(inputs, (str, Path, Image.Image)):
        return [(label_of(inputs, 0), inputs)], 1
    if isinstance(inputs, (Tensor, np.ndarray)):
        # One dimension more than a single input has: several.
        many = inputs.ndim >= (batch_ndim if isinstance(inputs, Tensor) else 4)
        rows = inputs if many else inputs[None]
        if len(rows) == 0:
            raise BadInput(f"There is no input: the array has the shape {tuple(inputs.shape)}.")
        return ((str(i), row) for i, row in enumerate(rows)), len(rows)
    if hasattr(inputs, "__len__") and hasattr(inputs, "__getitem__"):
        if len(inputs) == 0:
            raise BadInput(f"There is no input: the {type(inputs).__name__} is empty.")
        parts: Iterable[Any] = (inputs[i] for i in range(len(inputs)))
        nested = isinstance(inputs, (list, tuple)) and any(is_many(p, batch_ndim) for p in inputs)
        return each_item(parts, batch_ndim), None if nested else len(inputs)
    if isinstance(inputs, Iterable):
        return each_item(inputs, batch_ndim), None
    raise BadInput(
        f"Pictures cannot be read from an object of type {type(inputs).__name__}; give PIL images, "
        f"arrays, tensors, paths, a folder or a data set."
    )


def each_item(parts: Iterable[Any], batch_ndim: int) -> Iterator[tuple[str, Any]]:
    """Name every single picture of some parts, each of which may hold several."""
    number = 0
    for part in parts:
        item = part[0] if isinstance(part, (tuple, list)) and part else part
        if is_many(item, batch_ndim):
            inside, _ = _listed(item, batch_ndim)
            for label, picture in inside:
                yield (label if isinstance(item, (str, Path)) else str(number)), picture
                number += 1
        else:
            yield label_of(item, number), item
            number += 1


def is_many(item: Any, batch_ndim: int) -> bool:
    """Tell whether an item holds several inputs: a folder, or an array with a batch axis."""
    if isinstance(item, (str, Path)):
        return Path(item).expanduser().is_dir()
    if isinstance(item, Tensor):
        return item.ndim >= batch_ndim
    return isinstance(item, np.ndarray) and item.ndim >= 4


def files_below(folder: Path) -> list[Path]:
    """List the files below a folder in order, hidden ones left out.

    Raises
    ------
    BadInput
        If there is none.
    """
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )
    if not found:
        raise BadInput(f"There is no input: the folder {str(folder)!r} is empty.")
    return found


def label_of(item: Any, number: int) -> str:
    """Say what an input is called: its file, or else its number."""
    if isinstance(item, (str, Path)):
        return str(item)
    return str(getattr(item, "filename", "") or number)


def batch_ndim_of(model: Model, tower: TowerName = "image") -> int:
    """Tell how many axes a batch of a tower has."""
    return len(model.input_shape(tower)) + 1
