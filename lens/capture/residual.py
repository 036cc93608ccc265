"""A tower's output as a sum: of what the embedding, every head and every MLP write into the stream.

A transformer with norms before its layers adds to one residual stream, which a last norm and a
projection turn into the output. With the norm's own mean and variance held at what they are, both
are linear, so the output is a sum over everything that was written (Elhage et al. 2021, "A
Mathematical Framework for Transformer Circuits"; for CLIP, Gandelsman et al. 2024, "Interpreting
CLIP's Image Representation via Text-Based Decomposition").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from lens.capture.hooks import record
from lens.capture.inputs import as_batch
from lens.errors import BadInput
from lens.model import Model
from lens.sites import Site, TowerName, by_position

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Decomposition", "decompose"]

# How far the parts may be from the output, beside the output's own size.
TOLERANCE = 1e-4
# What the libraries call a head's mixing layer, and what scales a layer before it is added.
MIXING = ("out_proj", "c_proj", "proj")
SCALES = (("ls_1", "ls_2"), ("ls1", "ls2"), ("layer_scale1", "layer_scale2"))
PROJECTIONS = ("proj", "text_projection")

Stream = Float[Tensor, "batch tokens width"]


@dataclass(frozen=True, repr=False)
class Decomposition:
    """A tower's output, part by part.

    Attributes
    ----------
    parts : list of str
        "embedding", "blocks.0.head.3", "blocks.0.mlp", ..., and "bias" for all that depends on no
        input but through the last norm's scale.
    values : ndarray
        (n, parts, dim): their sum over the parts is the output.
    output : ndarray
        (n, dim): what the tower gave, not normalised.
    error : float
        The largest difference between the output and the sum, relative to the output's largest.
    """

    parts: list[str]
    values: Float[np.ndarray, "n parts dim"]
    output: Float[np.ndarray, "n dim"]
    error: float

    def frame(self, direction: Float[np.ndarray, " dim"]) -> pd.DataFrame:
        """How much each part adds along a direction: inputs down, parts across.

        Parameters
        ----------
        direction : ndarray
            Such as a text's embedding: the row's sum over the parts is the output's dot product
            with it.
        """
        import pandas as pd

        return pd.DataFrame(self.values @ np.asarray(direction), columns=self.parts)

    def __repr__(self) -> str:
        n, parts, dim = self.values.shape
        return f"Decomposition of {n} outputs of {dim} into {parts} parts, off by {self.error:.1e}"


@torch.no_grad()
def decompose(model: Model, inputs: Any, tower: TowerName = "image") -> Decomposition:
    """Decompose a transformer's output into what its parts wrote.

    Parameters
    ----------
    model : Model
        From `lens.load` or `lens.wrap`.
    inputs : picture, text, batch, or a list of pictures or texts
        What to run it on.
    tower : {"image", "text"}
        Which tower.

    Returns
    -------
    Decomposition
        One part for the embedding, for every head and for every MLP.

    Raises
    ------
    BadInput
        If the tower is no transformer of this kind: its parts would not add up to its output.
    """
    batch = as_batch(model, tower, inputs)
    blocks = _blocks(model, tower)
    heads = [_heads_of(model, block) for block in blocks]
    entry = replace(blocks[0], name="entry", at="input")
    mlps = [model.site(f"{block.path}.mlp") for block in blocks]
    norm = _last_norm(model, tower, blocks[-1])
    normed = replace(norm, name="normed", at="input")
    with record([entry, *blocks[-1:], *heads, *mlps, norm, normed], stop=False) as taps:
        output = model.run(tower, batch)

    stream = [("embedding", by_position(entry, taps["entry"]))]
    constant = torch.zeros_like(stream[0][1])
    for number, (block, head, mlp) in enumerate(zip(blocks, heads, mlps, strict=True)):
        mixing, scales = _mixing(head), _scales(block)
        wide = mixing.weight.unflatten(1, (head.n_heads, -1))
        for h in range(head.n_heads):
            given = taps[head.name][:, h].to(wide) @ wide[:, h].T * scales[0]
            stream.append((f"blocks.{number}.head.{h}", given))
        if mixing.bias is not None:
            constant = constant + mixing.bias * scales[0]
        stream.append((f"blocks.{number}.mlp", by_position(mlp, taps[mlp.name]) * scales[1]))

    last = by_position(blocks[-1], taps[blocks[-1].name])
    tail = _Tail(model, tower, norm, taps["normed"], taps[norm.name], last, batch, output)
    values = torch.stack([tail.through(part) for _, part in stream], 1)
    bias = tail.through(constant) + tail.constant
    values = torch.cat([values, bias[:, None]], 1)
    error = float((values.sum(1) - output).abs().max() / output.abs().max())
    if not error <= TOLERANCE:
        raise BadInput(
            f"The parts of the {tower} tower of {model.name} do not add up to its output (off by "
            f"{error:.1e} of it): its blocks add something else to their stream."
        )
    names = [*(name for name, _ in stream), "bias"]
    return Decomposition(names, values.float().cpu().numpy(), output.float().cpu().numpy(), error)


class _Tail:
    """What turns the stream into the output: norm and pooling, in either order, and projection.

    Libraries spell these in many ways, so each candidate is tried: the one that gives the output is
    the one that the tower has.
    """

    def __init__(
        self,
        model: Model,
        tower: TowerName,
        norm: Site,
        normed: Tensor,
        result: Tensor,
        last: Stream,
        batch: Tensor,
        output: Float[Tensor, "batch dim"],
    ) -> None:
        module: Any = norm.module
        self._gain = 1.0 if module.weight is None else module.weight
        shift = torch.zeros_like(last[0, 0]) if module.bias is None else module.bias
        pools = _pools(model, tower, batch, last.shape[1])
        self._first = normed.ndim == 2  # pooled, then normalised
        if self._first:
            pools = [pool for pool in pools if _same(pool(last), normed)]
        elif not _same(normed, last):
            pools = []
        variance = normed.var(-1, unbiased=False, keepdim=True)
        self._rate = (variance + module.eps).rsqrt()
        for pool in pools:
            read = result if self._first else pool(result)
            for weight, bias in _projections(model, norm):
                if read.shape[-1] == weight.shape[0] and _same(read @ weight + bias, output):
                    self._pool, self._weight = pool, weight
                    self.constant = shift @ weight + bias
                    return
        raise BadInput(
            f"The {tower} tower of {model.name} does not read its output from its stream by one "
            f"norm, a token or a mean, and one projection, so it can't be decomposed."
        )

    def through(self, part: Stream) -> Float[Tensor, "batch dim"]:
        """What a part of the stream adds to the output."""
        value = self._pool(part) if self._first else part
        value = (value - value.mean(-1, keepdim=True)) * self._rate * self._gain
        return (value if self._first else self._pool(value)) @ self._weight


def _blocks(model: Model, tower: TowerName) -> list[Site]:
    found = [site for site in model.sites if site.tower == tower and site.kind == "block"]
    if not found or any(s.layout not in ("BTD", "TBD") or s.shape != found[0].shape for s in found):
        raise BadInput(
            f"The {tower} tower of {model.name} is no transformer with one residual stream."
        )
    if any("mlp" not in dict(site.module.named_children()) for site in found):
        raise BadInput(f"The blocks of the {tower} tower of {model.name} have no `mlp`.")
    return found


def _heads_of(model: Model, block: Site) -> Site:
    name = f"{block.name}.attention.heads"
    if not model.has_site(name):
        raise BadInput(f"{block.name} of {model.name} has no attention whose heads can be told.")
    return model.site(name)


def _mixing(head: Site) -> nn.Linear:
    """The layer that mixes a block's heads; nothing may stand between it and them."""
    children = dict(head.module.named_children())
    between = children.get("norm")
    found = next((children[key] for key in MIXING if key in children), None)
    if not isinstance(found, nn.Linear) or not isinstance(between, (nn.Identity, type(None))):
        raise BadInput(f"{head.name} of {head.model.name}: its heads are not mixed linearly.")
    return found


def _scales(block: Site) -> list[Tensor | float]:
    """What attention and MLP are scaled by before they are added (LayerScale), or ones."""
    module: Any = block.module
    children = dict(module.named_children())
    for pair in SCALES:
        if pair[0] in children:
            return [getattr(children[key], "gamma", 1.0) for key in pair]
    found = [getattr(module, key, None) for key in ("gamma_1", "gamma_2")]
    return [1.0 if scale is None else scale for scale in found]


def _last_norm(model: Model, tower: TowerName, block: Site) -> Site:
    """The first LayerNorm after the last block."""
    paths = model.own_paths(tower)
    for path in paths[paths.index(block.path) + 1 :]:
        if isinstance(model.module.get_submodule(path), nn.LayerNorm):
            return model.site(path)
    raise BadInput(f"The {tower} tower of {model.name} has no last LayerNorm to see through.")


def _pools(
    model: Model, tower: TowerName, batch: Tensor, tokens: int
) -> list[Callable[[Stream], Float[Tensor, "batch width"]]]:
    """How a tower may read one vector from its tokens."""
    pools: list[Callable[[Tensor], Tensor]] = []
    if tower == "text":
        at = model.pooled_token(batch).clamp(max=tokens - 1)
        pools.append(lambda x: x[torch.arange(len(x), device=x.device), at.to(x.device)])
    first = model.prefix_tokens if tower == "image" else 0
    pools += [lambda x: x[:, 0], lambda x: x[:, first:].mean(1), lambda x: x.mean(1)]
    return pools


def _projections(model: Model, norm: Site) -> Iterator[tuple[Tensor, Tensor | float]]:
    """Every linear map that may come after the norm, as (width, dim) and a bias."""
    paths = model.own_paths(norm.tower)
    for path in paths[paths.index(norm.path) + 1 :]:
        module = model.module.get_submodule(path)
        if isinstance(module, nn.Linear):
            yield module.weight.T, 0.0 if module.bias is None else module.bias
    for name, parameter in model.module.named_parameters():
        if name.rsplit(".", 1)[-1] in PROJECTIONS and parameter.ndim == 2:
            yield parameter, 0.0
    width = norm.n_units
    yield torch.eye(width, dtype=model.dtype, device=model.device), 0.0


def _same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    return bool((one - other).abs().max() <= TOLERANCE * other.abs().max())
