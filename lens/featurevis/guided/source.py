"""Where guided images come from, and at which of its draws each of them begins."""

from __future__ import annotations

import torch
from torch import nn

from lens import zoo
from lens.errors import BadInput
from lens.featurevis.loop.optimize import generator
from lens.featurevis.loop.positions import stretched
from lens.featurevis.objectives.formula import Objective
from lens.featurevis.objectives.looking import look, undisturbed
from lens.featurevis.objectives.measures import measure
from lens.featurevis.parameterization import Parameterization
from lens.featurevis.parameterization.chosen import Chosen
from lens.featurevis.parameterization.stylegan import stylegan
from lens.model import Model

_AT_ONCE = 32


def as_source(given: nn.Module | Parameterization | None, truncation: float) -> Parameterization:
    """A parameterization: as it is, of a module, or of the generator that ships.

    Raises
    ------
    BadInput
        Where it is neither a module nor a parameterization.
    """
    if given is None:
        given = zoo.generator()
    if isinstance(given, nn.Module):
        return stylegan(given, truncation=truncation)
    if all(callable(getattr(given, name, None)) for name in ("start", "pixels", "optimizer")):
        return given
    raise BadInput(
        f"a generator is a torch module or a parameterization, not {type(given).__name__}."
    )


@torch.no_grad()
def best_draws(
    model: Model,
    objective: Objective,
    source: Parameterization,
    size: tuple[int, int],
    *,
    seed: int,
    copies: int,
    candidates: int,
) -> Chosen:
    """Let every copy begin at the best of its first draws, judged as they stand, in float32."""
    chosen = []
    with undisturbed(model.module, *objective.modules), stretched(model, size):
        for copy in range(copies):
            own = generator(seed, 0, copy)
            values: list[float] = []
            while len(values) < candidates:
                count = min(_AT_ONCE, candidates - len(values))
                with torch.no_grad():
                    z = source.start(size, [own] * count).to(model.device)
                    pixels = source.pixels(z, size)
                    every = [objective] * count
                    scene = look(model, every, pixels, pixels, torch.zeros(count).long())
                    found = measure(every, scene).nan_to_num(nan=-float("inf"))
                values += found.tolist()
            chosen.append((own.initial_seed(), values.index(max(values))))
    return Chosen(source, tuple(chosen))
