"""What each head of attention is worth to one similarity: zero ablation, one head at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lens import edit
from lens.capture.inputs import as_batch
from lens.errors import BadInput, UnknownSite, suggestion
from lens.model import Model
from lens.sites import TowerName

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["head_scores", "scored_layers"]


def head_scores(
    model: Model, image: Any, text: Any, layers: str | Sequence[str] | None = None
) -> pd.DataFrame:
    """Change of the image-text similarity when a head's output is set to zero.

    Negative: without the head, picture and text are less alike. Heads make up for each other, so
    that the changes do not add up. Michel et al., "Are Sixteen Heads Really Better than One?"
    (2019), section 3, with the cosine in the place of accuracy.

    Parameters
    ----------
    model : Model
        With both towers.
    image : picture
        One.
    text : str
        One.
    layers : str or list of str, optional
        As `lens.attention` names them; all layers of both towers by default. Each head takes one
        forward pass of its tower.

    Returns
    -------
    DataFrame
        ``layer, head, change, similarity``: the cosine with the head ablated minus the cosine of
        the model as it is, which is the last column.

    Raises
    ------
    BadInput
        If the model has no two towers, there is more than one picture or text, or there is no head
        that can be ablated.
    UnknownSite
        If a layer does not exist, with the nearest names.
    """
    import pandas as pd

    if "image" not in model.towers or "text" not in model.towers:
        raise BadInput(f"{model.name} has no similarity of pictures and texts: it has one tower.")
    known = scored_layers(model)
    chosen = list(known) if layers is None else [layers] if isinstance(layers, str) else [*layers]
    for layer in chosen:
        if layer not in known:
            raise UnknownSite(
                f"{model.name} has no attention {layer!r} whose heads can be ablated."
                f"{suggestion(layer, known)}"
            )
    if not chosen:
        raise BadInput(f"{model.name} has no head of attention that can be ablated.")
    batches = {"image": as_batch(model, "image", image), "text": as_batch(model, "text", text)}
    for tower, batch in batches.items():
        if len(batch) != 1:
            raise BadInput(f"Heads are scored on one {tower}, not on {len(batch)}.")
    rows = []
    with torch.no_grad():
        whole = {tower: _unit(model, tower, batch) for tower, batch in batches.items()}
        similarity = float((whole["image"] * whole["text"]).sum())
        for layer in chosen:
            tower = known[layer]
            other = whole["text" if tower == "image" else "image"]
            for head in range(model.site(f"{layer}.heads").n_heads):
                with edit.heads(model, layer, head):
                    left = float((_unit(model, tower, batches[tower]) * other).sum())
                rows.append((layer, head, left - similarity, similarity))
    return pd.DataFrame(rows, columns=["layer", "head", "change", "similarity"])


def scored_layers(model: Model) -> dict[str, TowerName]:
    """Name the layers of both towers whose heads can be ablated, with their towers."""
    towers = [tower for tower in model.towers if tower != "cross"]
    return {
        layer: tower
        for tower in towers
        for layer in model.attention_layers(tower)
        if model.has_site(f"{layer}.heads")
    }


def _unit(model: Model, tower: Any, batch: Any) -> Tensor:
    output = model.run(tower, batch)
    if output.ndim != 2:
        raise BadInput(f"{model.name} gives no single vector for each input.")
    return F.normalize(output.double(), dim=-1).cpu()
