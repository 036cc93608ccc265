"""What the tokens of each layer are, of one input: places of a picture, words, or numbers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from lens.attribution.explain import shown
from lens.attribution.tokens import readable
from lens.capture.attention_maps import AttentionLayer, AttentionMaps
from lens.capture.rollout import rollout
from lens.errors import BadInput
from lens.sites import TowerName

#: What a layer's queries or keys are, as the page takes it, and which of the pattern they are.
Side = tuple[dict[str, Any], np.ndarray]

# Less than this of any row may go to padding that is not shown.
UNSEEN = 1e-6


def listed(maps: AttentionMaps) -> dict[str, AttentionLayer | None]:
    """List the layers by name, and after each tower its rollout where there is one: None."""
    found: dict[str, AttentionLayer | None] = {}
    for tower in ("image", "text", "cross"):
        layers = maps.tower(tower)  # type: ignore[arg-type]
        found |= {layer.name: layer for layer in layers}
        shapes = [layer.pattern.shape for layer in layers]
        passed = pairwise(shapes)
        if len(layers) > 1 and all(a[0] == b[0] and a[2] == b[3] for a, b in passed):
            found[f"{tower}.rollout"] = None
    return found


def seen(
    maps: AttentionMaps, name: str, row: int, words: list[str]
) -> tuple[Float[np.ndarray, "heads queries keys"], dict[str, Any], dict[str, Any]]:
    """Give the pattern of one input, cut to the tokens that are shown, and what these are.

    `name` is one of `listed`; `words` come from `words_of`.
    """
    layer = maps.get(name)
    if layer is None:
        parts = maps.tower(name.partition(".")[0])  # type: ignore[arg-type]
        pattern = rollout([pattern_of(maps, part, row)[None] for part in parts])
        layer = parts[0]  # whose keys they are
    else:
        pattern = pattern_of(maps, layer, row)
    (query, queries), (key, keys) = sides(maps, layer, pattern, words)
    return pattern[:, queries][:, :, keys], query, key


def icons_of(
    pattern: Float[np.ndarray, "heads queries keys"],
    query: dict[str, Any],
    key: dict[str, Any],
    chosen: int | None = None,
) -> Float[np.ndarray, "heads height width"]:
    """Give each head as one map: where one query looks in the picture, or the whole pattern.

    The query is the one `chosen`, else the class token or what pools; the mean over queries where
    there is neither. Keys that are words have a row a query, or that of the one `chosen`.
    """
    if key["kind"] != "picture":
        return pattern if chosen is None else pattern[:, chosen : chosen + 1]
    prefix, (rows, columns) = len(key["prefix"]), key["grid"]
    if chosen is not None:
        looked = pattern[:, chosen]
    else:
        looked = pattern[:, 0] if prefix > 0 or query is not key else pattern.mean(1)
    return looked[:, prefix:].reshape(-1, rows, columns)


def count(maps: AttentionMaps, tower: TowerName) -> int:
    """How many inputs a tower read."""
    batch: Any = maps.inputs.get(tower)
    if batch is not None:
        return len(next(iter(batch.values())) if isinstance(batch, dict) else batch)
    return max((len(layer.pattern) for layer in maps.tower(tower)), default=0)


def pattern_of(
    maps: AttentionMaps, layer: AttentionLayer, row: int
) -> Float[np.ndarray, "heads queries keys"]:
    """Give the pattern of one input; of a layer that looks at windows, that of the first one."""
    inputs = max(count(maps, layer.tower), 1)
    windows = max(len(layer.pattern) // inputs, 1)
    return layer.pattern[min(row, inputs - 1) * windows]


def picture_of(maps: AttentionMaps, row: int) -> UInt8[np.ndarray, "height width 3"] | None:
    """Give what the model saw, where it is known and a picture."""
    batch = maps.inputs.get("image")
    if maps.of is None or not isinstance(batch, torch.Tensor) or batch.ndim != 4:
        return None
    row = min(row, len(batch) - 1)
    return shown(maps.of, batch[row : row + 1])


def words_of(maps: AttentionMaps, row: int) -> list[str]:
    """Spell the tokens that one text was read as, padding left out."""
    tokens = maps.inputs.get("text")
    if maps.of is None or not isinstance(tokens, torch.Tensor):
        return []
    row = min(row, len(tokens) - 1)
    text = maps.texts[row] if row < len(maps.texts) else ""
    try:
        return readable(maps.of, text, tokens[row : row + 1])
    except BadInput:  # no tokenizer: the tokens came as numbers
        return [f"#{int(number)}" for number in tokens[row]]


def sides(
    maps: AttentionMaps,
    layer: AttentionLayer,
    pattern: Float[np.ndarray, "heads queries keys"],
    words: list[str],
) -> tuple[Side, Side]:
    """Tell what the queries and the keys of a layer are."""
    _, queries, keys = pattern.shape
    if layer.tower == "image":
        side = _placed(maps, layer, keys)
        return (side if queries == keys else _numbered(queries, "query")), side
    written = _written(maps, words, queries)
    if queries == keys:
        side = written or _numbered(keys, "token")
        hidden = np.setdiff1d(np.arange(keys), side[1])
        if pattern[:, side[1]][:, :, hidden].sum(-1).max(initial=0) > UNSEEN:
            side = _numbered(keys, "token", words)
        return side, side
    return written or _numbered(queries, "query"), _seen(maps, keys)


def _placed(maps: AttentionMaps, layer: AttentionLayer, keys: int) -> Side:
    prefix, grid = layer.n_prefix, layer.grid
    if grid is None or prefix + grid[0] * grid[1] != keys:
        return _numbered(keys, "token")
    # A tower without a class token may pool by attention, from the mean of what it looks at.
    first = "mean token" if maps.of is not None and maps.of.prefix_tokens == 0 else "class"
    names = [first, *(f"register {i}" for i in range(1, prefix))][:prefix]
    side = {"kind": "picture", "prefix": names, "grid": list(grid), "count": keys}
    return side, np.arange(keys)


def _numbered(number: int, what: str, words: list[str] | None = None) -> Side:
    if number == 1:
        names = ["pooling query"] if what == "query" else [what]
    else:
        names = [*(words or []), *(f"{what} {i}" for i in range(len(words or []), number))]
    return {"kind": "words", "labels": names, "count": number}, np.arange(number)


def _written(maps: AttentionMaps, words: list[str], number: int) -> Side | None:
    """Words in their places; a class token may stand after all padding."""
    tokens: Any = maps.inputs.get("text")
    length = tokens.shape[1] if isinstance(tokens, torch.Tensor) else 0
    if not words or number not in (length - 1, length, length + 1):
        return None
    used = min(len(words), number)
    labels, places = words[:used], list(range(used))
    if number == length + 1:
        labels, places = [*labels, "class"], [*places, length]
    return {"kind": "words", "labels": labels, "count": len(labels)}, np.array(places)


def _seen(maps: AttentionMaps, keys: int) -> Side:
    """The picture's tokens as a text attends to them: as many as a layer of its tower has."""
    for layer in reversed(maps.tower("image")):
        if layer.grid is not None and layer.pattern.shape[-1] == keys:
            return _placed(maps, layer, keys)
    return _numbered(keys, "token")
