"""Images of another size for towers with learned positions: these are interpolated for a while.

The parameters stay what they are. While the context is active, whatever reads a learned table of
positions reads one that was resized, bicubically, to the image's own grid, as is done when such
models are fine-tuned at another size (Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR
2021, section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lens.errors import BadInput
from lens.model import Model
from lens.sites import rectangle

_NAMES = ("positional_embedding", "pos_embed")


@contextmanager
def stretched(model: Model, size: tuple[int, int]) -> Iterator[None]:
    """Resize the image tower's learned positions to images of ``size``, where they aren't so."""
    tables = _tables(model)
    if tuple(size) == tuple(model.image_size) or not tables:
        yield
        return
    strict: list[Any] = [
        module
        for module in model.module.modules()
        if getattr(module, "strict_img_size", False) is True  # timm's patches refuse other sizes
    ]
    try:
        for module in strict:
            module.strict_img_size = False
        with _Stretch(model, tables, size):
            yield
    finally:
        for module in strict:
            module.strict_img_size = True


def _tables(model: Model) -> list[Tensor]:
    """Tables of positions in the picture; not those that a module resizes by itself."""
    found = []
    text = ("text", "transformer")
    for path, module in model.module.named_modules():
        if path.split(".")[0] in text or getattr(module, "dynamic_img_size", False):
            continue
        for name in _NAMES:
            table = module._parameters.get(name)
            # A CLIP of open_clip keeps its text's positions at the root.
            of_text = not path and "text" in model.towers
            if table is not None and not of_text and _grid_of(model, table) is not None:
                found.append(table)
    return found


def _grid_of(model: Model, table: Tensor) -> tuple[int, tuple[int, int]] | None:
    """How many tokens stand first, and the rows and columns of the others."""
    if table.dim() not in (2, 3):
        return None
    height, width = model.image_size
    for prefix in dict.fromkeys((model.prefix_tokens, 0, 1)):
        grid = rectangle(table.shape[-2] - prefix, model.image_size)
        # 12 places are 3 x 4, which is no grid of a square picture: there are 4 more, and 4 x 4.
        if grid is not None and grid[0] * width == grid[1] * height:
            return prefix, grid
    return None


class _Stretch(TorchFunctionMode):
    """Puts a resized table in the place of a table, wherever torch is handed one."""

    def __init__(self, model: Model, tables: list[Tensor], size: tuple[int, int]) -> None:
        super().__init__()
        self._model, self._size = model, size
        self._tables = {id(table): table for table in tables}
        self._resized: dict[int, Tensor] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if any(id(value) in self._tables for value in args):
            args = tuple(self._other(v) if id(v) in self._tables else v for v in args)
        return func(*args, **(kwargs or {}))

    def _other(self, table: Tensor) -> Tensor:
        if id(table) not in self._resized:
            self._resized[id(table)] = self._resize(table)
        return self._resized[id(table)]

    @torch.no_grad()
    def _resize(self, table: Tensor) -> Tensor:
        found = _grid_of(self._model, table)
        assert found is not None
        prefix, grid = found
        cell = [own // count for own, count in zip(self._model.image_size, grid, strict=True)]
        if any(wanted % step for wanted, step in zip(self._size, cell, strict=True)):
            raise BadInput(
                f"{self._model.name} takes images whose sides are multiples of "
                f"{' and '.join(map(str, dict.fromkeys(cell)))} pixels here, not "
                f"{self._size[0]} x {self._size[1]}."
            )
        wanted = tuple(side // step for side, step in zip(self._size, cell, strict=True))
        first, places = table[..., :prefix, :], table[..., prefix:, :]
        maps = places.reshape(1, *grid, table.shape[-1]).permute(0, 3, 1, 2).float()
        made = F.interpolate(maps, wanted, mode="bicubic", antialias=True, align_corners=False)
        rows = made.flatten(2).transpose(1, 2).reshape(*places.shape[:-2], -1, table.shape[-1])
        return torch.cat([first, rows.to(table.dtype)], -2)
