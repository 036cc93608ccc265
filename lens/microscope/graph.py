"""The layers of a model as one picture: towers side by side, stages and blocks with their sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lens.microscope.markup import Markup, number, plain, short, tag
from lens.model import Model
from lens.sites import Site

WIDE, TALL, GAP, APART = 300, 40, 16, 44
CHIP, CHIP_GAP = 20, 6
#: Places of a tower that are drawn; a model of any kind may have thousands.
AT_MOST = 48


@dataclass(frozen=True)
class Layer:
    """A stage, a block or another place, with the places inside it."""

    site: Site
    inside: list[Site] = field(default_factory=list)


def layers(model: Model, tower: str) -> list[Layer]:
    """Sort a tower's places: those inside a stage or block lie with it."""
    sites = [site for site in model.sites if site.tower == tower]
    owners = [site for site in sites if site.kind in ("stage", "block")]
    tops: dict[str, Layer] = {}
    for site in sites:
        around = [o for o in owners if site.name.startswith(f"{o.name}.")]
        outermost = min(around, key=lambda owner: len(owner.name), default=None)
        if outermost is None and site.kind == "attention":
            # The parts of one attention stand together, at their last one.
            key = site.name.rsplit(".", 1)[0]
            tops.setdefault(key, Layer(site))
            tops[key] = Layer(site, [*tops[key].inside, site])
        elif outermost is None:
            known = tops.pop(site.name, None)
            tops[site.name] = Layer(site, known.inside if known else [])
        else:
            tops.setdefault(outermost.name, Layer(outermost)).inside.append(site)
    return list(tops.values())


def graph(model: Model, pages: Mapping[str, str]) -> Markup:
    """Draw the towers from input to output.

    Parameters
    ----------
    model
        Its sites are drawn.
    pages
        The page of each site that has one, by the site's name.
    """
    columns = [(tower, layers(model, tower)) for tower in model.towers]
    drawn, tallest = [], 0
    for column, (tower, found) in enumerate(columns):
        left = 8 + column * (WIDE + APART)
        shown = found[:AT_MOST]
        parts = [tag("text", f"{tower} tower", class_="tower", x=left, y=16)]
        top = 30
        for i, layer in enumerate(shown):
            if i:
                middle = left + WIDE / 2
                arrow = f"M{middle:g} {top - GAP + 2}v{GAP - 4}m-3.5 -3.5l3.5 3.5l3.5 -3.5"
                parts.append(tag("path", class_="flow", d=arrow))
            height = _height(layer, pages)
            parts.append(_box(layer, left, top, height, pages))
            top += height + GAP
        if len(found) > len(shown):
            parts.append(tag("text", f"and {len(found) - len(shown)} more", x=left, y=top + 8))
            top += 24
        drawn.append(tag("g", parts))
        tallest = max(tallest, top)
    width = 16 + len(columns) * WIDE + max(0, len(columns) - 1) * APART
    return tag(
        "svg",
        drawn,
        class_="graph",
        viewbox=f"0 0 {width} {tallest}",
        width=width,
        height=tallest,
        role="group",
        aria_label=f"Layers of {short(model.name)}, from input to output",
    )


def size_of(site: Site) -> str:
    """Say how many units a place has, and over how many places or tokens."""
    units = f"{site.n_units:,} units"
    if site.grid is not None:
        rows, columns = site.grid
        return f"{units}, {rows} \u00d7 {columns}"
    return units if site.n_positions == 1 else f"{units}, {site.n_positions:,} positions"


def _chips(layer: Layer, pages: Mapping[str, str]) -> list[Site]:
    """Choose what is told of the inside: its blocks and neurons, and all that has a page."""
    wanted = ("block", "neurons")
    return [s for s in layer.inside if s.kind in wanted or s.name in pages][:12]


def _height(layer: Layer, pages: Mapping[str, str]) -> int:
    lines = -(-len(_chips(layer, pages)) // 2)
    return TALL + (lines * (CHIP + CHIP_GAP) + 4 if lines else 0)


def _box(layer: Layer, left: float, top: float, height: float, pages: Mapping[str, str]) -> Markup:
    site = layer.site
    title = site.name.rsplit(".", 1)[0] if site.kind == "attention" else site.name
    head = [
        tag("rect", x=left, y=top, width=WIDE, height=height, rx=7),
        tag("text", short(plain(title.partition(".")[2] or title), 24), x=left + 12, y=top + 25),
        tag("text", size_of(site), class_="size", x=left + WIDE - 12, y=top + 25),
        tag("title", f"{title} ({site.kind}): {size_of(site)}"),
    ]
    parts = [_linked(head, pages.get(site.name), "layer")]
    wide = (WIDE - 24 - CHIP_GAP) / 2
    for i, inner in enumerate(_chips(layer, pages)):
        x = left + 12 + (i % 2) * (wide + CHIP_GAP)
        y = top + TALL + (i // 2) * (CHIP + CHIP_GAP) - 2
        text = short(plain(inner.name[len(site.name) + 1 :] or inner.name), 14)
        chip = [
            tag("rect", x=f"{x:g}", y=f"{y:g}", width=f"{wide:g}", height=CHIP, rx=5),
            tag("text", text, x=f"{x + 8:g}", y=f"{y + 14:g}"),
            tag("text", number(inner.n_units, 6), class_="size", x=f"{x + wide - 8:g}",
                y=f"{y + 14:g}"),
            tag("title", f"{inner.name} ({inner.kind}): {size_of(inner)}"),
        ]  # fmt: skip
        parts.append(_linked(chip, pages.get(inner.name), "inner"))
    return tag("g", parts)


def _linked(parts: list[Markup], page: str | None, kind: str) -> Markup:
    if page is None:
        return tag("g", parts, class_=kind)
    return tag("a", parts, class_=f"{kind} there", href=page)
