"""One forward pass on zeros tells which modules run, and how their tensors are laid out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from lens.errors import MissingOption
from lens.families.attending import Attended, Part, Watch
from lens.sites import UNIT_AXIS, Batch, Layout

__all__ = [
    "Ran",
    "evaluating",
    "first_tensor",
    "is_compiled",
    "layout_of",
    "shapes",
    "trace",
    "with_first_tensor",
]

#: Inputs in the trial batch: two, so that the batch axis can be told from an axis of length one.
BATCH = 2


@dataclass(frozen=True)
class Ran:
    """What one module did in a forward pass: shapes with the batch axis, and how often it ran.

    The attention that it calls itself, not in a module inside of it, has shapes of its own.
    """

    output: tuple[int, ...] | None = None
    input: tuple[int, ...] | None = None
    calls: int = 0
    attention: dict[Part, tuple[int, ...]] = field(default_factory=dict)
    attention_calls: int = 0


def trace(
    module: nn.Module, run: Callable[[nn.Module, Any], Any], example: Batch
) -> dict[str, Ran]:
    """Run a module once and tell what each of its modules did.

    Parameters
    ----------
    module : nn.Module
        It is left as it was: hooks, mode and gradients.
    run : callable
        Runs the tower: a function of the module and the batch.
    example : Tensor or mapping of str to Tensor
        A batch of `BATCH` inputs.

    Returns
    -------
    dict
        From the dotted paths of modules that ran, in the order in which they finished; the empty
        path is the tower as a whole.
    """
    ran: dict[nn.Module, Ran] = {}
    running: list[nn.Module] = []

    def after(child: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        del running[running.index(child) :]
        before = ran.pop(child, Ran())  # popped, so that the order is that of finishing
        ran[child] = replace(before, output=_shape(output), calls=before.calls + 1)

    def before(child: nn.Module, args: Any, kwargs: Any) -> None:
        running.append(child)
        ran[child] = replace(ran.get(child, Ran()), input=_shape((args, kwargs)))

    def attended(call: Attended) -> None:
        if running:
            seen = ran[running[-1]]
            ran[running[-1]] = replace(
                seen, attention=call.shapes, attention_calls=seen.attention_calls + 1
            )

    handles = []
    try:
        for child in module.modules():
            handles.append(child.register_forward_pre_hook(before, with_kwargs=True))
            handles.append(child.register_forward_hook(after, with_kwargs=True))
        with torch.no_grad(), evaluating(module), Watch(attended):
            result = run(module, example)
    finally:
        for handle in handles:
            handle.remove()

    paths: dict[nn.Module, list[str]] = {}
    for path, child in module.named_modules(remove_duplicate=False):
        paths.setdefault(child, []).append(path)
    told = {path: seen for child, seen in ran.items() if seen.calls for path in paths[child]}
    return {**told, "": Ran(output=_shape(result), input=_shape(example), calls=1)}


def shapes(batch: Batch, from_axis: int = 0) -> Any:
    """Return the shape of a batch, or of each of its tensors by name; 1 leaves out the batch."""
    if isinstance(batch, Mapping):
        return {name: tuple(tensor.shape[from_axis:]) for name, tensor in batch.items()}
    return tuple(batch.shape[from_axis:])


def layout_of(
    shape: tuple[int, ...] | None, image_size: tuple[int, int], batch: int = BATCH
) -> tuple[Layout, int, tuple[int, ...]] | None:
    """Tell a tensor's layout, its number of units, and its shape without the batch axis.

    Parameters
    ----------
    shape : tuple of int or None
        As it came out of a trial with `batch` inputs.
    image_size : tuple of int
        Height and width of the picture; channels-last tensors are told by their proportions.

    Returns
    -------
    tuple or None
        None where no axis counts the inputs, as in windowed attention.
    """
    layout: Layout
    if shape is None:
        return None
    if len(shape) == 2 and shape[0] == batch:
        layout = "BD"
    elif len(shape) == 3 and shape[0] == batch:
        layout = "BTD"
    elif len(shape) == 3 and shape[1] == batch:
        layout = "TBD"
    elif len(shape) == 4 and shape[0] == batch:
        _, a, b, c = shape
        height, width = image_size
        # Cross products rather than quotients: odd sizes round, hence the tolerance of one place.
        first = abs(b * width - c * height) <= max(height, width)
        last = abs(a * width - b * height) <= max(height, width)
        layout = "BHWC" if last and not first else "BCHW"
    else:
        return None
    axis = layout.index("B")
    return layout, shape[UNIT_AXIS[layout]], shape[:axis] + shape[axis + 1 :]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Run a module in eval mode, uncompiled; each of its modules gets its own mode back."""
    training = [child for child in module.modules() if child.training]
    for child in training:
        child.training = False
    try:
        with _eager() if is_compiled(module) else nullcontext():
            yield
    finally:
        for child in training:
            child.training = True


def is_compiled(module: nn.Module) -> bool:
    """Tell whether any part of a module runs through torch.compile."""
    return any(
        hasattr(child, "_orig_mod") or getattr(child, "_compiled_call_impl", None) is not None
        for child in module.modules()
    )


def _eager() -> AbstractContextManager[None]:
    if not hasattr(torch.compiler, "set_stance"):
        raise MissingOption(
            f"Compiled modules need torch 2.6 to be looked at, not {torch.__version__}."
        )
    return torch.compiler.set_stance("force_eager")


def first_tensor(value: Any) -> Tensor | None:
    """Return the first tensor in what a module takes or gives, however it is packed."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        return next((t for t in map(first_tensor, value) if t is not None), None)
    return None


def with_first_tensor(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return what a module takes or gives with its first tensor changed, packed as it was."""
    changed, found = _changed(value, change)
    return changed if found else value


def _changed(value: Any, change: Callable[[Tensor], Tensor]) -> tuple[Any, bool]:
    if isinstance(value, Tensor):
        return change(value), True
    if isinstance(value, dict):
        for key, item in value.items():
            made, found = _changed(item, change)
            if found:
                other = copy.copy(value)  # a dict of one's own class stays one
                other[key] = made
                return other, True
    if isinstance(value, (tuple, list)):
        for i, item in enumerate(value):
            made, found = _changed(item, change)
            if found:
                items = [*value[:i], made, *value[i + 1 :]]
                named = hasattr(value, "_fields")
                return type(value)(*items) if named else type(value)(items), True
    return value, False


def _shape(value: Any) -> tuple[int, ...] | None:
    tensor = first_tensor(value)
    return None if tensor is None else tuple(tensor.shape)
