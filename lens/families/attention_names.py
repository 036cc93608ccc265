"""What attention layers are called: by the block that each of them is in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from lens.families.attending import PARTS
from lens.families.family import Place, Tower
from lens.families.trace import Ran

__all__ = ["attention_layers", "with_attention"]

# What other towers' keys are attended to with, wherever it is not told by the number of tokens.
CROSS = re.compile(r"cross|enc_?dec|encoder_attn|attn2|multihead_attn", re.IGNORECASE)


def attention_layers(tower: Tower, ran: Mapping[str, Ran]) -> dict[str, str]:
    """Dotted paths of the modules that call attention, by name, in the order in which they ran.

    Parameters
    ----------
    tower : Tower
        With its named places.
    ran : mapping
        What `lens.families.trace.trace` told of it.

    Returns
    -------
    dict
        ``image.blocks.3.attention`` where a block has one; beside it ``.cross_attention`` where it
        has another that looks elsewhere; else by the module's own path: ``image.attnpool``.
    """
    paths = [path for path, seen in ran.items() if path and seen.attention]
    blocks = {place.path: place.name for place in tower.places if place.kind == "block"}
    inside = {path: _block_of(path, blocks) for path in paths}
    counts = Counter(block for block in inside.values() if block)
    named: dict[str, str] = {}
    for path in paths:
        block = inside[path]
        if block is None:
            name = _plain(path, tower.name)
        elif counts[block] == 1:
            name = f"{block}.attention"
        elif counts[block] == 2:
            name = f"{block}.{'cross_attention' if _is_cross(path, ran[path]) else 'attention'}"
        else:
            name = f"{block}.{path.rsplit('.', 1)[-1]}"
        while name in named:  # two that nothing tells apart
            name = f"{block or tower.name}.{path.rsplit('.', 1)[-1]}_{len(named)}"
        named[name] = path
    return named


def with_attention(places: Sequence[Place], layers: Mapping[str, str]) -> list[Place]:
    """Put the parts of each attention layer before the first place that comes after it."""
    waiting = dict(layers)
    blocks = {place.name for place in places if place.kind == "block"}
    ordered: list[Place] = []
    for place in places:
        for name in list(waiting):
            block = name.rsplit(".", 1)[0]
            reached = block in blocks and f"{place.name}.".startswith(f"{block}.")
            if reached or place is places[-1]:  # whatever pools stands before the result
                path = waiting.pop(name)
                ordered += [Place(f"{name}.{part}", path, "attention", part) for part in PARTS]
        ordered.append(place)
    return ordered


def _block_of(path: str, blocks: Mapping[str, str]) -> str | None:
    inside = [b for b in blocks if path == b or path.startswith(f"{b}.")]
    return blocks[max(inside, key=len)] if inside else None


def _is_cross(path: str, seen: Ran) -> bool:
    elsewhere = seen.attention["q"][2] != seen.attention["k"][2]
    return elsewhere or CROSS.search(path.rsplit(".", 1)[-1]) is not None


def _plain(path: str, tower: str) -> str:
    for prefix in ("visual.trunk.", "visual.", "text."):
        path = path.removeprefix(prefix)
    return f"{tower}.{path}"
