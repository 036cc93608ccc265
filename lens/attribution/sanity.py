"""Parameter randomization: a map that survives it explains nothing about the model.

Adebayo et al., "Sanity checks for saliency maps", 2018.
"""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from lens.attribution.question import positive
from lens.attribution.result import Attribution
from lens.errors import BadInput
from lens.model import Model
from lens.sites import TowerName

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["layers_of", "randomized", "shuffled"]


def randomized(attribution: Attribution, stages: int = 4, seed: int = 0) -> pd.DataFrame:
    """Repeat an attribution on copies of its model whose weights are shuffled from the top down.

    The first row shuffles the last layer alone, the last row all layers of the tower, the rows
    between as many more. The model itself is never changed; a copy of it takes as much memory.

    Parameters
    ----------
    attribution : Attribution
        From `lens.attribute`.
    stages : int
        How many rows, and how often the method runs.
    seed : int
        Of the shuffles.

    Returns
    -------
    DataFrame
        ``shuffled`` (layers), ``down_to`` (the lowest one), ``spearman`` (rank correlation of the
        two maps) and ``spearman_abs`` (of their absolute values). Near 0 is good at the bottom;
        NaN where a map is the same everywhere, or has fewer than three places or words.

    Raises
    ------
    BadInput
        If the attribution was read from a file and has no model.
    """
    import pandas as pd

    model, ask, places = attribution._of, attribution._ask, attribution._compared
    if model is None or ask is None or places is None:
        raise BadInput("This attribution has lost its model; make it again with lens.attribute.")
    layers = layers_of(model, attribution._tower)
    if not layers:
        raise BadInput(f"{model.name} has no weights to shuffle.")
    counts = np.geomspace(1, len(layers), positive(stages, "stages")).round().astype(int)
    rows = []
    for count in dict.fromkeys(counts if stages > 1 else [len(layers)]):
        weights = [name for _, names in layers[:count] for name in names]
        made = ask(shuffled(model, weights, seed)).numpy()
        signed = _rank_correlation(places.numpy(), made)
        absolute = _rank_correlation(abs(places.numpy()), abs(made))
        rows.append((int(count), layers[count - 1][0], signed, absolute))
    return pd.DataFrame(rows, columns=["shuffled", "down_to", "spearman", "spearman_abs"])


def shuffled(model: Model, weights: list[str], seed: int = 0) -> Model:
    """Return a copy of a model with some weights permuted, each within itself.

    Parameters
    ----------
    model : Model
        It is not changed.
    weights : list of str
        Names of parameters, as in ``model.module.named_parameters()``.
    seed : int
        Of the permutations.
    """
    module = copy.deepcopy(model.module)
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in weights:
            weight = module.get_parameter(name)
            order = torch.randperm(weight.numel(), generator=g).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    return Model(
        module,
        model._family,
        name=model.name,
        preprocess=model._preprocess,
        tokenizer=model.tokenizer,
    )


def layers_of(model: Model, tower: TowerName) -> list[tuple[str, list[str]]]:
    """Return a tower's layers, the last to run first: a module's path and its weights' names.

    A module whose weights are used without running it (the projections of torch's attention)
    counts to the module around it that runs.
    """
    order = _finished(model, tower)
    groups: dict[str, list[str]] = {}
    for path, module in model.module.named_modules():
        names = [name for name, _ in module.named_parameters(prefix=path, recurse=False)]
        owner = path
        while owner and owner not in order:
            owner = owner.rpartition(".")[0]
        # A CLIP's root, which holds the text tower's projection, does not run itself.
        if names and (owner in order or not path):
            groups.setdefault(owner, []).extend(names)
    last_first = sorted(groups, key=lambda path: order.get(path, len(order)), reverse=True)
    return [(path or "the model's own", groups[path]) for path in last_first]


def _finished(model: Model, tower: TowerName) -> dict[str, int]:
    """Tell at which turn each module of a tower ended, at a trial."""
    turns: dict[str, int] = {}
    count = itertools.count()

    def after(path: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            turns[path] = next(count)

        return hook

    handles = []
    try:
        for path, module in model.module.named_modules():
            handles.append(module.register_forward_hook(after(path)))
        with torch.no_grad():
            model.run(tower, model.example(tower, 1))
    finally:
        for handle in handles:
            handle.remove()
    return turns


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rho; NaN where one of the two is constant, or there is too little to rank."""
    from scipy.stats import rankdata

    ranks = [rankdata(values.ravel()) for values in (one, other)]
    if one.size < 3 or any(np.ptp(rank) == 0 for rank in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])
