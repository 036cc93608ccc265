"""Every head of every layer as a small map: where it looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from lens.attribution import scene
from lens.capture.attention_maps import AttentionMaps
from lens.errors import BadInput, UnknownSite, suggestion
from lens.figures.figure import Figure
from lens.figures.paper import area, fitted, length, paper, picture, say
from lens.figures.style import GREY, LINE, SMALL, TITLE, Width, house_style, millimetres

if TYPE_CHECKING:
    from lens.sites import TowerName

__all__ = ["attention_sheet"]

#: The colours of weights, from none to the largest: the attention explorer's.
RAMP = "inferno"
_LABELS, _GAP, _LARGEST, _LEAST = 21.0, 0.7, 24.0, 3.4
_HEAD = 12.0  # where the block of picture or words begins


@dataclass(frozen=True, eq=False)
class _Row:
    """A layer, or a rollout: its maps, one a head, and the mean of them where there are several."""

    name: str
    maps: Float[np.ndarray, "heads height width"]
    mean: Float[np.ndarray, "height width"]
    is_rollout: bool


def attention_sheet(
    maps: AttentionMaps,
    *,
    row: int = 0,
    tower: TowerName | None = None,
    layers: Sequence[str] | str | None = None,
    query: int | None = None,
    width: Width | float = "double",
    title: str | None = None,
) -> Figure:
    """Draw where each head looks: a row a layer, a column a head, their mean last.

    In a picture a map shows where one token looks: the class token or what pools, and the average
    token where there is neither. In a text it shows which token (down) looks at which (across).
    Below a tower's layers stands its rollout where there is one (Abnar and Zuidema 2020). The
    colours of each map go up to its own largest weight, which `frame` has.

    Parameters
    ----------
    maps
        What `lens.attention` gave.
    row
        Which input, from 0.
    tower
        "image", "text" or "cross"; the first of them that there is by default.
    layers
        Only these, by name.
    query
        The token that looks, in place of those above: its number among the tokens.
    width
        "single" (85 mm) or "double" (178 mm) column, or mm.
    title
        In place of the model's name.

    Returns
    -------
    Figure
        Its `frame` has a row a map: ``layer``, ``head`` (a number, or "mean"), ``entropy`` of the
        head's rows in nats (NaN for what is a mean), and the ``largest`` weight drawn.

    Raises
    ------
    BadInput
        Where there is no such input, tower or query, or the heads are too many for the width.
    UnknownSite
        Where there is no such layer.
    """
    across = millimetres(width)
    if not isinstance(maps, AttentionMaps):
        raise BadInput(f"The sheet shows what lens.attention gives, not a {type(maps).__name__}.")
    names = _chosen(maps, tower, layers)
    inputs = max(scene.count(maps, _tower(maps, name)) for name in names)
    if not 0 <= row < inputs:
        raise BadInput(f"There are the inputs 0 to {inputs - 1}, not {row}.")
    words = scene.words_of(maps, row)
    rows, entropies, sides = [], {}, []
    for name in names:
        pattern, asks, keys = scene.seen(maps, name, row, words)
        if query is not None and not 0 <= query < asks["count"]:
            raise BadInput(f"{name} has the queries 0 to {asks['count'] - 1}, not {query}.")
        icons = scene.icons_of(pattern, asks, keys, query)
        rows.append(_Row(name, icons, icons.mean(0), name not in maps))
        safe = np.where(pattern > 0, pattern, 1)
        entropies[name] = -(pattern * np.log(safe)).sum(-1).mean(-1)
        sides.append((asks, keys))
    said = title if title is not None else f"Attention of {maps.model}"
    told = _told(*sides[-1], query)
    read = [] if sides[-1][1]["kind"] == "picture" else list(sides[-1][1]["labels"])
    shown = scene.picture_of(maps, row) if _tower(maps, names[0]) != "text" else None
    with house_style():
        drawing = _drawn(rows, said, told, shown, read, across)
    return Figure(f"{said}: {told}", _frame(rows, entropies), drawing)


def _tower(maps: AttentionMaps, name: str) -> Any:
    return maps[name].tower if name in maps else name.partition(".")[0]


def _chosen(maps: AttentionMaps, tower: Any, layers: Sequence[str] | str | None) -> list[str]:
    known = list(scene.listed(maps))
    if layers is not None:
        asked = [layers] if isinstance(layers, str) else list(layers)
        found = [next((k for k in (n, f"{n}.attention") if k in known), n) for n in asked]
        for name in found:
            if name not in known:
                hint = suggestion(name, known)
                raise UnknownSite(f"{maps.model} computes no attention in {name!r}.{hint}")
        known = found
    towers = list(dict.fromkeys(_tower(maps, name) for name in known))
    if not known:
        raise BadInput(f"There is no attention of {maps.model} to draw.")
    if tower is not None and tower not in towers:
        raise BadInput(f"There is no attention of {tower!r} here, but of {', '.join(towers)}.")
    return [name for name in known if _tower(maps, name) == (tower or towers[0])]


def _told(asks: dict[str, Any], keys: dict[str, Any], query: int | None) -> str:
    """Say what looks at what."""
    names = [*asks.get("prefix", []), *asks.get("labels", [])]
    if query is not None:
        if query < len(names):
            return f"where token {query}, {names[query]!r}, looks"
        return f"where patch {query - len(names)} looks"
    if keys["kind"] != "picture":
        return "which token (down) looks at which (across)"
    if keys["prefix"] or asks is not keys:
        return f"where the {'class token' if names[0] == 'class' else names[0]} looks"
    return "where the patches look, on average"


def _frame(rows: list[_Row], entropies: dict[str, np.ndarray]) -> pd.DataFrame:
    table: list[tuple[str, str, float, float]] = []
    for line in rows:
        if not line.is_rollout:
            table += [
                (line.name, str(head), float(entropies[line.name][head]), float(icon.max()))
                for head, icon in enumerate(line.maps)
            ]
        table.append((line.name, "mean", float("nan"), float(line.mean.max())))
    return pd.DataFrame(table, columns=["layer", "head", "entropy", "largest"])


def _drawn(
    rows: list[_Row],
    title: str,
    told: str,
    shown: np.ndarray | None,
    words: list[str],
    across: float,
) -> Any:
    heads = max((len(line.maps) for line in rows if not line.is_rollout), default=0)
    columns = heads + 1 if heads != 1 else 1
    room = across - _LABELS - 1
    wide = min(room / columns - _GAP, _LARGEST)
    if wide < _LEAST:
        raise BadInput(f'{columns} maps in a row don\'t fit {across:g} mm; choose width="double".')
    block, lines = (20.0 if shown is not None else 0.0), _lines(words, across - 2)
    top = _HEAD + max(block, 7.0) + 2 + 3.2 * len(lines)
    sides = [min(max(line.mean.shape[0] / line.mean.shape[1], 0.25), 1.6) for line in rows]
    tall = [max(wide * side, 3.0) for side in sides]
    drawing = paper(across, top + 4 + sum(tall) + (_GAP + 0.6) * len(rows) + 1)
    say(drawing, 1, 1, title, room=across - 2, size=TITLE, bold=True)
    say(drawing, 1, 5.8, told, room=across - 2, size=SMALL, colour=GREY)
    if shown is not None:
        picture(drawing, shown, 1, _HEAD - 1.5, block, block)
    _legend(drawing, _LABELS + 3 if shown is not None else 1, _HEAD - 1, across)
    for i, line in enumerate(lines):
        say(drawing, 1, top - 3.2 * (len(lines) - i) - 0.5, line, room=across - 2, size=SMALL)
    for head in range(heads if columns > 1 else 0):
        x = _LABELS + head * (wide + _GAP) + wide / 2
        say(drawing, x, top, head, room=wide + 0.5, size=SMALL, colour=GREY, align="center")
    if columns > 1:
        x = _LABELS + heads * (wide + _GAP) + wide / 2
        said = "mean" if wide > 6 else "all"
        say(drawing, x, top, said, room=wide + 4, size=SMALL, align="center")
        say(drawing, _LABELS - 2, top, "head", room=12, size=SMALL, colour=GREY, align="right")
    y = top + 3.6
    for each, high in zip(rows, tall, strict=True):
        _named(drawing, each, y + high / 2)
        icons = [] if each.is_rollout or columns == 1 else list(enumerate(each.maps))
        for place, icon in [*icons, (columns - 1, each.mean)]:
            _map(drawing, icon, _LABELS + place * (wide + _GAP), y, wide, high)
        y += high + _GAP + 0.6
    return drawing


def _named(drawing: Any, line: _Row, middle: float) -> None:
    name = line.name.removesuffix(".attention").partition(".")[2] or line.name
    say(drawing, 1, middle - 1.2, name, room=_LABELS - 2, size=SMALL)


def _map(drawing: Any, icon: np.ndarray, left: float, top: float, wide: float, tall: float) -> None:
    axes = area(drawing, left, top, wide, tall)
    most = float(icon.max())
    axes.imshow(icon, cmap=RAMP, vmin=0, vmax=most if most > 0 else 1, aspect="auto")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=LINE, linewidth=0.3)


def _legend(drawing: Any, left: float, top: float, across: float) -> None:
    wide = min(44.0, across - left - 2)
    bar = area(drawing, left, top, wide, 1.8)
    bar.imshow(np.linspace(0, 1, 256)[None], cmap=RAMP, aspect="auto")
    bar.set_axis_off()
    say(drawing, left, top + 2.4, "0", room=wide / 2, size=SMALL)
    said = "the largest weight of each map"
    say(drawing, left + wide, top + 2.4, said, room=wide, size=SMALL, align="right")


def _lines(words: list[str], room: float) -> list[str]:
    """Number the tokens, broken into lines; what does not fit six lines is only counted."""
    lines, line = [], ""
    for i, word in enumerate(words):
        said = f"{i} {fitted(word, 40, SMALL)}"
        longer = f"{line}  \u00b7  {said}" if line else said
        if line and length(longer, SMALL) > room - 2:
            lines.append(line)
            line = said
            if len(lines) == 6:
                rest = len(words) - i
                return [*lines, f"and {rest} more"]
        else:
            line = longer
    return [*lines, line] if line else lines
