"""How many images go through the model at once.

Memory is measured, not guessed: one image goes forward, and what autograd keeps of it for the way
back is counted. What draws the image may need more than the model that looks at it (a generator, a
network from places to colours): it is run there and back, and the most that it has at once counts.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from lens.errors import BadInput, TooLarge
from lens.featurevis.loop.positions import stretched
from lens.featurevis.objectives.formula import Objective
from lens.featurevis.objectives.looking import look, undisturbed
from lens.featurevis.parameterization import Parameterization
from lens.model import Model

# More than this at once gains no speed on a CPU and only takes memory (measured on a ModifiedResNet
# at 96 pixels: 3.1 ms an image and step in batches of 16, 2.8 in batches of 64).
_CPU_BATCH = 32
_GPU_BATCH = 256
# Gradients, the optimizer and the resampled images come on top of what autograd keeps.
_OVERHEAD = 2.0
_SHARE_OF_FREE = 0.5


def bytes_per_image(model: Model, objectives: Sequence[Objective], size: tuple[int, int]) -> int:
    """What autograd keeps of one image of this size on its way to the objectives' sites.

    Raises
    ------
    BadInput
        Where the model can't take images of this size, or doesn't reach a site.
    """
    kept: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    weights = {p.untyped_storage().data_ptr() for p in model.module.parameters()}
    image = torch.full((1, 3, *size), 0.5, device=model.device, requires_grad=True)
    alone = torch.zeros(1, dtype=torch.long, device=model.device)
    with (
        undisturbed(model.module),
        stretched(model, size),
        torch.autograd.graph.saved_tensors_hooks(count, lambda t: t),
    ):
        try:
            look(model, objectives, image, image, alone)
        except (RuntimeError, AssertionError, ValueError) as problem:
            if isinstance(problem, BadInput) or size == tuple(model.image_size):
                raise
            height, width = model.image_size
            raise BadInput(
                f"{model.name} can't take images of {size[0]} x {size[1]} as far as "
                f"{objectives[0].sites[0].name} (its positions are learned for one size); "
                f"its own size is {height} x {width}, which size=None takes."
            ) from problem
    return sum(size for pointer, size in kept.items() if pointer not in weights)


def bytes_drawn(source: Parameterization, size: tuple[int, int], device: torch.device) -> int:
    """The most memory that one image takes at once on its way from ``source`` and back.

    What a source shares between the images of a batch, or draws one after the other, counts as if
    each had it at once.
    """
    with torch.inference_mode(False), torch.enable_grad():
        z = source.start(size, [torch.Generator().manual_seed(0)]).to(device).requires_grad_(True)
        with _Living() as living:
            pixels = source.pixels(z, size)
            if pixels.requires_grad:
                pixels.backward(torch.ones_like(pixels))
    return living.most


class _Living(TorchDispatchMode):
    """Counts the bytes of the tensors that are made while it is on, as long as they live."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen: dict[int, Any] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        for storage in _storages((args, kwargs)):  # what was there before: weights, z
            self._note(storage, 0)
        made = func(*args, **kwargs)
        for storage in _storages(made):
            self._note(storage, storage.nbytes())
        return made

    def _note(self, storage: torch.UntypedStorage, size: int) -> None:
        key = storage._cdata
        if key in self._seen:
            return

        def gone(_: Any) -> None:
            self.now -= size
            del self._seen[key]

        self._seen[key] = weakref.ref(storage, gone)
        self.now += size
        self.most = max(self.most, self.now)


def _storages(values: Any) -> list[torch.UntypedStorage]:
    return [v.untyped_storage() for v in tree_flatten(values)[0] if isinstance(v, Tensor)]


def batch_size(needed: int, device: torch.device) -> int:
    """How many images of ``needed`` bytes to optimize at once.

    Raises
    ------
    TooLarge
        Where not even one fits.
    """
    room = _SHARE_OF_FREE * free_bytes(device)
    fitting = int(room // max(needed * _OVERHEAD, 1))
    if fitting == 0:
        raise TooLarge(
            f"one image of this size needs about {needed * _OVERHEAD / 2**20:,.0f} MiB on its way "
            f"to the target and back and {room / 2**20:,.0f} MiB can be spent: use a smaller size."
        )
    return min(fitting, _CPU_BATCH if torch.device(device).type == "cpu" else _GPU_BATCH)


def split(count: int, at_most: int, together: int = 1) -> list[range]:
    """Cut 0 .. count into full runs and a rest; ``together`` neighbours stay in one run.

    Runs don't depend on how many come after them: a shorter list is cut in the same places.
    """
    width = max(at_most // together, 1) * together
    return [range(start, min(start + width, count)) for start in range(0, count, width)]


def free_bytes(device: torch.device) -> int:
    """Return the bytes that are free on a device; on the CPU, in the container if it has less."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min(_free_in_machine(), _free_in_container())


def _free_in_machine() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (ValueError, OSError, AttributeError):
        return 2**30


def _free_in_container() -> int:
    """A container's own limit (cgroup 2, then 1), such as Binder's, is less than the machine's."""
    root = Path("/sys/fs/cgroup")
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            return int((root / limit).read_text()) - int((root / used).read_text())
        except (OSError, ValueError):  # no such file, or "max": no limit
            continue
    return 2**62
