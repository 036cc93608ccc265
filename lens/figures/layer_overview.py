"""A model's places from its input up: shapes, units, how active and how many are multimodal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lens.errors import BadInput, UnknownSite, suggestion
from lens.figures.figure import Figure
from lens.figures.paper import area, paper, say
from lens.figures.style import GREY, INK, LINE, SMALL, TITLE, Width, house_style, millimetres
from lens.model import Model
from lens.neurons.overview import ACCEPTED, activity_of, multimodal_of, place, tables_of

if TYPE_CHECKING:
    from lens.sites import Site

__all__ = ["layer_overview"]

_TOP, _ROW = 14.5, 6.2
_MOST = 80


def layer_overview(
    model: Model,
    acts: Any = None,
    tables: Any = None,
    *,
    sites: Sequence[str] | None = None,
    width: Width | float = "double",
    title: str | None = None,
) -> Figure:
    """Draw a row a place: its shape and units, its activity, its share of multimodal units.

    The histogram is of the units' mean activations over the inputs, from the smallest to the
    largest, which stand beside it. A unit counts as multimodal where its q is at most 0.05.

    Parameters
    ----------
    model
        From `lens.load` or `lens.wrap`.
    acts
        What `lens.capture` gave of this model.
    tables
        What `lens.multimodal` gave of one site or several; or the tables by site.
    sites
        Which, by name; stages, blocks and all of which something is known if not given.
    width
        "single" (85 mm) or "double" (178 mm) column, or mm.
    title
        In place of the model's name.

    Raises
    ------
    BadInput
        Where these are not what they should be, or more than 80 sites.
    UnknownSite
        Where the model has no such site.
    """
    across = millimetres(width)
    if not isinstance(model, Model):
        raise BadInput(f"The overview is of a model of lens.load, not a {type(model).__name__}.")
    active, tested = activity_of(model, acts), tables_of(model, tables)
    chosen = _chosen(model, sites, {*active, *tested})
    rows = [
        (site, active.get(place(site)), multimodal_of(tested.get(place(site)))) for site in chosen
    ]
    said = title if title is not None else f"Layers of {model.name}"
    parameters = sum(weight.numel() for weight in model.module.parameters())
    told = f"{type(model.module).__name__}, {parameters:,} parameters"
    inputs = next((known["inputs"] for known in active.values()), 0)
    told += f"; activity over {inputs:,} inputs" if inputs else ""
    told += f"; multimodal: q at most {ACCEPTED:g}" if tested else ""
    with house_style():
        drawing = _drawn(rows, said, told, bool(active), bool(tested), across)
    return Figure(f"{said}: {len(rows)} sites", _frame(rows), drawing)


def _chosen(model: Model, names: Sequence[str] | None, known: set[str]) -> list[Site]:
    every = list(model.sites)
    if names is not None:
        by_name = {site.name: site for site in every}
        for name in names:
            if name not in by_name:
                hint = suggestion(name, list(by_name))
                raise UnknownSite(f"{model.name} has no site {name!r}.{hint}")
        chosen = [by_name[name] for name in names]
    else:
        chosen = [site for site in every if site.kind in ("stage", "block")]
        there = {place(site) for site in chosen}
        kept = {site.name for site in chosen}
        chosen = [
            site
            for site in every
            if site.name in kept or (place(site) in known and place(site) not in there)
        ] or every[:_MOST]
    if not 1 <= len(chosen) <= _MOST:
        raise BadInput(f"A figure holds 1 to {_MOST} sites, not {len(chosen)}; name some of them.")
    return chosen


def _frame(rows: list[tuple[Site, Any, Any]]) -> pd.DataFrame:
    table = []
    for site, activity, found in rows:
        seen, told = activity or {}, found or {}
        table.append(
            {
                "site": site.name,
                "kind": site.kind,
                "shape": " x ".join(map(str, site.shape)),
                "units": site.n_units,
                "mean": seen.get("mean", np.nan),
                "largest": seen.get("max", np.nan),
                "silent": seen.get("silent", pd.NA),
                "multimodal": told.get("count", pd.NA),
                "tested": told.get("of", pd.NA),
                "concepts": told.get("concepts", pd.NA),
            }
        )
    return pd.DataFrame(table)


def _drawn(
    rows: list[tuple[Site, Any, Any]],
    title: str,
    told: str,
    active: bool,
    tested: bool,
    across: float,
) -> Any:
    wide = across >= 140
    tower = None
    towers = len({site.tower for site, _, _ in rows})
    drawing = paper(across, _TOP + _ROW * len(rows) + 5.0 * towers + 2)
    say(drawing, 1, 1, title, room=across - 2, size=TITLE, bold=True)
    say(drawing, 1, 5.8, told, room=across - 2, size=SMALL, colour=GREY)
    # What is not known has no column; the others share its room.
    shares = {"site": 1.5, "shape": 1.1 if wide else 0.0, "units": 1.3 if wide else 0.8}
    shares |= {"activity": 1.7} if active else {}
    shares |= {"multimodal": 1.6} if tested else {}
    unit = min((across - 2) / sum(shares.values()), 40.0)
    starts, x = {}, 1.0
    for name, share in shares.items():
        starts[name] = (x, share * unit - 2.5)
        x += share * unit
    heads = {
        "site": "site", "shape": "shape", "units": "units",
        "activity": "mean activations", "multimodal": "multimodal units",
    }  # fmt: skip
    for name, (left, room) in starts.items():
        if room > 0:
            say(drawing, left, _TOP - 4.2, heads[name], room=room, size=SMALL, colour=GREY)
    largest = max(site.n_units for site, _, _ in rows)
    y = _TOP
    for site, activity, found in rows:
        if site.tower != tower:
            tower = site.tower
            say(drawing, 1, y + 0.4, f"{tower} tower", room=40, bold=True)
            y += 5.0
        left, room = starts["site"]
        say(drawing, left, y + 1, site.name.removeprefix(f"{tower}."), room=room)
        left, room = starts["shape"]
        if room > 0:
            shape = " × ".join(f"{side:,}" for side in site.shape)
            said = f"{shape} ({site.layout[1:]})"
            say(drawing, left, y + 1, said, room=room, size=SMALL, colour=GREY)
        left, room = starts["units"]
        _bar(drawing, left, y, room, site.n_units / largest, f"{site.n_units:,}", GREY)
        if active and activity:
            _activity(drawing, activity, *starts["activity"], y)
        if tested and found:
            left, room = starts["multimodal"]
            share = found["count"] / max(found["of"], 1)
            said = f"{found['count']:,} of {found['of']:,} ({share:.0%})"
            _bar(drawing, left, y, room, share, said, INK)
        y += _ROW
    return drawing


def _bar(
    drawing: Any, left: float, top: float, room: float, share: float, said: str, colour: str
) -> None:
    say(drawing, left, top + 0.2, said, room=room, size=SMALL)
    bar = area(drawing, left, top + 3.2, room, 1.1)
    bar.set(xlim=(0, 1), ylim=(0, 1))
    bar.set_axis_off()
    bar.barh(0.5, 1, 1, color=LINE)
    bar.barh(0.5, share, 1, color=colour)


def _activity(drawing: Any, activity: Any, left: float, room: float, top: float) -> None:
    low, high = activity["edges"]
    words = 8.0 if room > 30 else 7.0
    say(
        drawing,
        left + words - 1,
        top + 1,
        _said(low, room > 30),
        room=words,
        size=SMALL,
        align="right",
    )
    say(drawing, left + room - words + 1, top + 1, _said(high, room > 30), room=words, size=SMALL)
    counts = np.asarray(activity["counts"], float)
    axes = area(drawing, left + words, top + 0.4, room - 2 * words, _ROW - 1.6)
    axes.bar(np.arange(len(counts)), counts, 1.0, align="edge", color=INK)
    axes.set(
        xticks=[], yticks=[], xlim=(0, len(counts)), ylim=(0, max(float(counts.max()), 1) * 1.02)
    )
    axes.spines["left"].set_visible(False)


def _said(value: float | None, roomy: bool) -> str:
    if value is None:
        return ""
    return f"{value:.2g}" if roomy or abs(value) >= 0.1 else f"{value:.1g}"
