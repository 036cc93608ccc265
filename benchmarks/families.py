"""Which models open, and does what is seen in them hold? ``python benchmarks/families.py``.

Every architecture of the installed open_clip and some of timm, torchvision, transformers and
diffusers, with random weights, one after the other. Above 400M parameters the depth is cut down,
and the table says so. Text towers from a hub take their configuration from transformers' own
classes: the widths of the published ones, nothing fetched.
"""

from __future__ import annotations

import argparse
import gc
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from architectures import makers
from torch import Tensor, nn

import lens
from lens import edit
from lens.capture.attention import watched
from lens.errors import LensError
from lens.families.attending import Attended
from lens.families.trace import first_tensor

# What a module ends with after its attention, by its own name: heads are mixed, and given.
MIXED = ("out_proj", "proj", "o", "c_proj", "to_out.0")
HEAD = ("name", "opens", "parameters", "sites", "attention layers", "max error", "edit", "notes")


@dataclass
class Row:
    """What was found out about one model."""

    name: str
    opens: bool = False
    parameters: int = 0
    sites: int = 0
    layers: int = 0
    error: float | None = None
    edits: bool | None = None
    notes: str = ""

    def __str__(self) -> str:
        error = "" if self.error is None else f"{self.error:.0e}"
        edits = {None: "", True: "yes", False: "NO"}[self.edits]
        opens = "yes" if self.opens else "NO"
        size = f"{self.parameters / 1e6:.0f}M" if self.parameters else ""
        cells = (self.name, opens, size, self.sites, self.layers, error, edits, self.notes)
        return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Print one line a model."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="*", help="a glob over the names")
    parser.add_argument("--start", help="go on from this model, where a walk was cut off")
    parser.add_argument("--limit", type=int, help="stop after so many models")
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    logging.disable(logging.WARNING)  # random weights are what is asked for
    chosen = {name: make for name, make in makers().items() if fnmatchcase(name, args.only)}
    if args.start is not None:
        names = list(chosen)
        chosen = {name: chosen[name] for name in names[names.index(args.start) :]}
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    begun, rows = time.perf_counter(), []
    for name, make in list(chosen.items())[: args.limit]:
        rows.append(looked_at(name, make))
        print(rows[-1], flush=True)
        gc.collect()
    opened = sum(row.opens for row in rows)
    holds = sum(row.edits is True for row in rows)
    print(
        f"\n{opened} of {len(rows)} open, an edit works in {holds}; "
        f"{time.perf_counter() - begun:.0f} s, torch {torch.__version__}"
    )


def looked_at(name: str, make: Callable[[], tuple[nn.Module, str]]) -> Row:
    """Build a model, open it, and look at every tower."""
    row = Row(name)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module, row.notes = make()
        row.parameters = sum(p.numel() for p in module.parameters())
        filled_in(module)
        model = lens.wrap(module.eval(), name=name)
        row.sites = len(model.sites)
        row.opens = True
        row.layers, row.error = attention_of(model)
        row.edits = all(edits(model, tower) for tower in model.towers)
    except Exception as error:  # the table says what does not work, and goes on
        lines = str(error).strip().splitlines() or [""]
        told = lines[0] if isinstance(error, LensError) else f"{type(error).__name__}: {lines[0]}"
        row.notes = f"{row.notes} {told}".strip().replace("|", "/")[:200]
    return row


def filled_in(module: nn.Module) -> None:
    """Give random numbers to what a library leaves as it was in memory, or begins at zero."""
    decoder = getattr(module, "text_decoder", None)
    if isinstance(getattr(decoder, "text_projection", None), nn.Parameter):
        nn.init.normal_(decoder.text_projection, std=decoder.width**-0.5)
    for child in module.modules():
        if isinstance(child, nn.Linear) and not child.weight.any():
            nn.init.normal_(child.weight, std=child.in_features**-0.5)


def inputs_of(model: lens.model.Model, tower: str) -> Any:
    """One random input of a tower."""
    example = model.example(tower, 1)

    def noise(tensor: Tensor) -> Tensor:
        return torch.randn_like(tensor) if tensor.is_floating_point() else tensor + 2

    if isinstance(example, dict):
        return {key: noise(tensor) for key, tensor in example.items()}
    return noise(example)


def attention_of(model: lens.model.Model) -> tuple[int, float | None]:
    """How many layers attend, and how far what is read is from what the modules give."""
    count, worst = 0, None
    for tower in model.towers:
        given: dict[str, list[Tensor]] = {}
        taken: dict[str, list[Tensor]] = {}
        with ExitStack() as attached:
            seen = attached.enter_context(watched(model, tower))
            for path, child in model.module.named_modules():
                hook = child.register_forward_hook(keeping(given, taken, path))
                attached.callback(hook.remove)
            model.run(tower, inputs_of(model, tower))
        count += len(seen)
        paths = model.attention_layers(tower)
        for number, (layer, call) in enumerate(seen):
            path = paths[layer]
            earlier = sum(other == layer for other, _ in seen[:number])
            module = model.module.get_submodule(path)
            last = next((p for p in MIXED if p in dict(module.named_modules())), "")
            mixed = taken.get(f"{path}.{last}")
            if mixed is not None:  # what the model itself gives to the layer that mixes the heads
                error = before_mixing(module, call, mixed[earlier])
            else:
                error = after_mixing(module, last, call, given[path][earlier])
            if error is not None:
                worst = error if worst is None else max(worst, error)
    return count, worst


def keeping(
    given: dict[str, list[Tensor]], taken: dict[str, list[Tensor]], path: str
) -> Callable[..., None]:
    """A hook that lists what a module gives and takes."""

    def hook(module: nn.Module, args: Any, output: Any) -> None:
        for listed, value in ((given, output), (taken, args)):
            tensor = first_tensor(value)
            if tensor is not None:
                listed.setdefault(path, []).append(tensor.clone())

    return hook


def before_mixing(module: nn.Module, call: Attended, taken: Tensor) -> float | None:
    """``softmax(q k^T) v`` against what the module's last layer takes."""
    made = [call.heads.transpose(1, 2).flatten(2)]
    for key in ("inner_attn_ln", "norm"):  # of the heads together, in some towers
        norm = module._modules.get(key)
        if norm is not None and getattr(norm, "normalized_shape", None) == made[0].shape[-1:]:
            made.append(norm(made[0]))
    if made[0].numel() != taken.numel():
        return None
    return min(float((m.reshape(taken.shape) - taken).abs().max()) for m in made)


def after_mixing(module: nn.Module, last: str, call: Attended, output: Tensor) -> float | None:
    """``softmax(q k^T) v`` through the module's own last layer, against the module's output.

    For torch's own layer, which mixes the heads itself. None where it is not known what a module
    does after attending.
    """
    if call.q.shape[0] not in output.shape[:2]:
        return None  # windows, which the module has put together again
    made = call.heads.transpose(1, 2).flatten(2)
    if last:
        made = module.get_submodule(last)(made.to(output.dtype))
    if output.ndim == 3 and made.shape != output.shape and made.shape[0] == output.shape[1]:
        output = output.transpose(0, 1)  # tokens first
    if made.numel() != output.numel():
        return None
    return float((made.reshape(output.shape) - output).abs().max())


def edits(model: lens.model.Model, tower: str) -> bool:
    """Whether zeroing a tower's last block changes its result, and leaves no trace."""
    inside = [s for s in model.sites if s.tower == tower and s.kind in ("block", "stage")]
    if not inside:
        raise LookupError(f"no block of the {tower} tower has a name")
    batch = inputs_of(model, tower)
    before = model.run(tower, batch)
    with edit.zero(inside[-1]):
        changed = (model.run(tower, batch) - before).abs().max()
    restored = (model.run(tower, batch) - before).abs().max()
    # Random weights may let a signal fade to almost nothing: what counts is relative to it.
    size = before.abs().max()
    return bool(changed > 1e-3 * size) and bool(restored <= 1e-4 * size)


if __name__ == "__main__":
    main()
