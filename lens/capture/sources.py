"""Data sets by row: any input can be read again, alone, and the whole has a fingerprint."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from lens.capture.inputs import batch_ndim_of, each_item, files_below, is_many, label_of
from lens.data.stimuli import Stimuli
from lens.errors import BadImage, BadInput
from lens.model import Model
from lens.sites import TowerName

__all__ = ["Source", "preprocessing_fingerprint", "source_of"]

#: Of a data set without a fingerprint of its own, so many items are looked into.
SAMPLE = 16
_COLUMNS = {
    "image": ("image", "img", "picture", "photo", "jpg", "png", "pixel_values"),
    "text": ("text", "caption", "sentence", "txt"),
}


def source_of(inputs: Any, model: Model, tower: TowerName) -> Source:
    """Turn inputs into rows that can be read in any order, as often as needed.

    Parameters
    ----------
    inputs : folder, list, array, tensor, or data set with a length and items
        For text sites strings, or a data set of them.
    model : Model
        Who is to see them.
    tower : {"image", "text"}
        Which of its towers.

    Raises
    ------
    BadInput
        For nothing, or for something that can be read only once.
    """
    if tower == "text":
        return _texts(inputs)
    ndim = batch_ndim_of(model)
    if isinstance(inputs, (str, Path)):
        folder = Path(inputs).expanduser()
        if folder.is_dir():
            return _Files([str(path.relative_to(folder)) for path in files_below(folder)], folder)
        return _Files([str(inputs)], None)
    if isinstance(inputs, Image.Image):
        return _Items([inputs], "image")
    if isinstance(inputs, (Tensor, np.ndarray)):
        many = inputs.ndim >= (ndim if isinstance(inputs, Tensor) else 4)
        return _Items(inputs if many else inputs[None], "image")
    if isinstance(inputs, (list, tuple)):
        if any(is_many(part, ndim) for part in inputs):
            inputs = [item for _, item in each_item(inputs, ndim)]
        if inputs and all(isinstance(item, (str, Path)) for item in inputs):
            return _Files([str(item) for item in inputs], None)
        return _Items(inputs, "image")
    return _countable(inputs, "image")


class Source:
    """Inputs by row.

    Attributes
    ----------
    kind : str
        What they are: folder, files, items, data set.
    count : int
        How many.
    """

    kind = "items"
    count: int

    @property
    def key(self) -> str | None:
        """The name that a data set gives itself by its content, if it does."""
        return None

    def label(self, row: int) -> str:
        """Return what a row is called."""
        return str(row)

    def items(self, rows: Sequence[int]) -> list[Any]:
        """Read some rows; a `BadInput` stands for an item that cannot be read."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """Return 32 hexadecimal digits that change with the inputs."""
        raise NotImplementedError

    def together(self, rows: Sequence[int]) -> bool:
        """Tell whether rows are best read in one go rather than a few by each thread."""
        return False


class _Files(Source):
    """Files, as they were when they were listed."""

    def __init__(self, names: list[str], folder: Path | None) -> None:
        self.kind = "files" if folder is None else "folder"
        self.count = len(names)
        self._names, self._folder = names, folder
        # Of a million files, the numbers alone are kept.
        self._seen = np.empty((len(names), 2), np.int64)
        for row in range(len(names)):
            self._seen[row] = _stamp(self._path(row))

    def _path(self, row: int) -> Path:
        name = Path(self._names[row]).expanduser()
        return name if self._folder is None else self._folder / name

    def label(self, row: int) -> str:
        return self._names[row] if self._folder is None else str(self._path(row))

    def items(self, rows: Sequence[int]) -> list[Any]:
        return [self._item(row) for row in rows]

    def _item(self, row: int) -> Any:
        path = self._path(row)
        if self._seen[row][0] >= 0 and _stamp(path) != tuple(self._seen[row]):
            what = "changed" if path.exists() else "was taken away"
            return BadImage(f"{str(path)!r} {what} while the run was reading its data set.")
        return path

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name, seen in zip(self._names, self._seen, strict=True):
            digest.update(name.encode(errors="surrogateescape") + b"\0" + seen.tobytes())
        return digest.hexdigest()[:32]


class _Items(Source):
    """A list, an array, or a data set: whatever has a length and items."""

    def __init__(self, items: Any, tower: TowerName, kind: str = "items") -> None:
        self.kind = kind
        self.count = len(items)
        if self.count == 0:
            raise BadInput(f"There is no input: the {type(items).__name__} is empty.")
        self._all, self._tower = items, tower
        self._drawn = isinstance(items, Stimuli)
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    def label(self, row: int) -> str:
        if isinstance(self._all, (list, tuple)):
            item = _chosen(self._all[row], self._tower)
            return item if self._tower == "text" else label_of(item, row)
        return str(row)

    def together(self, rows: Sequence[int]) -> bool:
        return self._drawn  # the stimuli of one concept are drawn at once

    def items(self, rows: Sequence[int]) -> list[Any]:
        if self._drawn:
            return list(self._all.pixels(list(rows)))
        with self._lock:  # a data set of the user's need not stand several threads
            return [self._one(row) for row in rows]

    def _one(self, row: int) -> Any:
        try:
            return _chosen(self._all[row], self._tower)
        except BadInput as error:
            return error
        except Exception as error:  # the user's own code raises whatever it likes
            reason = str(error).strip() or type(error).__name__
            return BadImage(f"Input {row} cannot be read ({reason}).")

    @property
    def key(self) -> str | None:
        for name in ("key", "fingerprint", "_fingerprint"):
            own = getattr(self._all, name, None)
            if isinstance(own, str) and own:
                return own
        return None

    def fingerprint(self) -> str:
        if self.key is not None:
            return _short(f"{type(self._all).__name__} {self.key} {self.count}".encode())
        digest = hashlib.sha256(f"{type(self._all).__name__} {self.count}".encode())
        if isinstance(self._all, (Tensor, np.ndarray, list, tuple)):
            rows: Sequence[int] = range(self.count)
        else:
            rows = sorted({round(r) for r in np.linspace(0, self.count - 1, SAMPLE)})
        for row in rows:
            for part in _bytes_of(self._one(row)):
                digest.update(part)
        return digest.hexdigest()[:32]


def preprocessing_fingerprint(model: Model, tower: TowerName) -> str:
    """Return 16 hexadecimal digits that change with what a model makes of an input.

    A picture, or a text, made for this is preprocessed and looked at.
    """
    try:
        if tower == "text":
            made = model.tokens(["a photo of two dogs, and the word PIZZA 2026"])
        else:
            across, down = np.meshgrid(np.arange(97), np.arange(61))
            pixels = np.stack([across * 2, down * 4, (across * down) % 251], axis=2)
            made = model.preprocess(Image.fromarray(pixels.astype(np.uint8)))
    except BadInput as error:
        return _short(f"none: {error}".encode())[:16]
    except Exception as error:  # the user's own code: inputs may come preprocessed all the same
        return _short(f"none: {type(error).__name__}".encode())[:16]
    return _short(b"".join(_bytes_of(made)))[:16]


def _texts(inputs: Any) -> Source:
    if isinstance(inputs, str):
        return _Items([inputs], "text")
    if isinstance(inputs, (Image.Image, Path)):
        raise BadInput(f"Text sites take a str or several, not {type(inputs).__name__}.")
    if isinstance(inputs, (list, tuple, Tensor)):
        return _Items(inputs, "text")
    return _countable(inputs, "text")


def _countable(inputs: Any, tower: TowerName) -> Source:
    if hasattr(inputs, "__len__") and hasattr(inputs, "__getitem__"):
        return _Items(inputs, tower, "data set")
    raise BadInput(
        f"A store needs inputs that can be counted and read again, so that a run can go on: a "
        f"folder, a list, an array or a data set with a length; not {type(inputs).__name__}."
    )


def _chosen(item: Any, tower: TowerName) -> Any:
    """Of an item of a data set, the part that the tower looks at."""
    if isinstance(item, dict):
        for name in _COLUMNS.get(tower, ()):
            if name in item:
                return item[name]
        wanted: Callable[[Any], bool] = (
            (lambda value: isinstance(value, str))
            if tower == "text"
            else (lambda value: isinstance(value, (Image.Image, np.ndarray, Tensor)))
        )
        found = next((value for value in item.values() if wanted(value)), None)
        if found is None:
            raise BadInput(f"No column of {', '.join(map(str, item))} holds what is looked at.")
        return found
    return item[0] if isinstance(item, (tuple, list)) and item else item


def _stamp(path: Path) -> tuple[int, int]:
    try:
        seen = path.stat()
    except OSError:
        return -1, -1  # reading it will say why
    return seen.st_size, seen.st_mtime_ns


def _bytes_of(item: Any) -> Iterator[bytes]:
    """Yield what tells an item from others; nothing for what only its address would tell."""
    if isinstance(item, Image.Image):
        yield f"{item.mode} {item.size}".encode() + item.tobytes()
    elif isinstance(item, Tensor):
        plain = item.detach().cpu().contiguous()
        yield f"{plain.dtype} {tuple(plain.shape)}".encode()
        yield plain.flatten().view(-1).numpy().tobytes()
    elif isinstance(item, np.ndarray):
        yield f"{item.dtype} {item.shape}".encode() + np.ascontiguousarray(item).tobytes()
    elif isinstance(item, (str, Path, Exception)):
        yield str(item).encode(errors="surrogateescape")


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
