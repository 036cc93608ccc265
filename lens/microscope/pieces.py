"""What several pages show in the same way: thumbnails, links to units, lists of facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lens.microscope.drawing import COLUMNS, TILES
from lens.microscope.findings import Facts, Findings
from lens.microscope.markup import Markup, name, share, tag
from lens.microscope.parts import Drawn
from lens.sites import Site
from lens.widgets.neuron.verdict import ACCEPTED


@dataclass(frozen=True, eq=False)
class Shown:
    """A site with all that its pages need.

    Attributes
    ----------
    number
        Its place in the web site, which is the name of its folder.
    site, units
        Which site; the numbers of the units that have a page.
    findings
        Facts about these units, in their order.
    drawn
        By the name of a drawer ("" is the plain visualization), what was drawn of each unit.
    asked
        By the same names, whose pictures were to be drawn.
    recipes
        How, by the same names.
    outlines
        A path for each example of each unit.
    quality
        For each unit, what was measured of its picture: (name, value, meaning).
    notes
        What is left out, and why.
    """

    number: int
    site: Site
    units: list[int]
    findings: Findings
    drawn: dict[str, dict[int, Drawn]]
    asked: dict[str, list[int]]
    recipes: dict[str, dict[str, object]]
    outlines: dict[int, list[str]]
    quality: dict[int, list[tuple[str, str, str]]]
    notes: list[str]

    @property
    def label(self) -> str:
        """The site's name without its tower's."""
        return self.site.name.partition(".")[2] or self.site.name


def found(facts: Facts) -> bool:
    """Tell whether a unit's concept passed the test."""
    return facts.statistics is not None and facts.statistics["q"] <= ACCEPTED


def thumbnail(shown: Shown, facts: Facts, root: str, said: str | None = None) -> Markup:
    """Show a unit small: its visualization, else the stimulus that excites it most.

    Parameters
    ----------
    root
        The way to the site's first page.
    said
        Read out in its place; nothing where a text beside it says the same.
    """
    hidden = {"role": "img", "aria_label": said} if said else {"aria_hidden": "true"}
    if facts.unit in shown.drawn.get("", {}):
        file, tile = divmod(shown.units.index(facts.unit), TILES)
        row, column = divmod(tile, COLUMNS)
        place = f"{_percent(column)} {_percent(row)}"
        source = f"{root}{shown.number}/thumb/{file}.webp"
        style = f"background:url({source}) {place}/{COLUMNS}00%"
        return tag("i", class_="thumb", style=style, **hidden)
    if len(facts.rows) and facts.alive:
        source = f"{root}img/{int(facts.rows[0])}.webp"
        return tag("img", class_="thumb", src=source, alt=said or "", loading="lazy")
    return tag("i", class_="thumb none", **hidden)


def unit_link(shown: Shown, facts: Facts, root: str, address: str, note: str = "") -> Markup:
    """Link to a unit with its thumbnail, number, concept and score."""
    statistics = facts.statistics
    return tag(
        "a",
        thumbnail(shown, facts, root),
        tag("b", str(facts.unit)),
        tag("span", name(statistics["concept"] if statistics else "", 40)) if statistics else None,
        tag("em", note or (share(statistics["score"]) if statistics else "")),
        href=address,
        class_="unit" if found(facts) else "unit unsure",
    )


def definitions(rows: Sequence[tuple[str, str, str]]) -> Markup:
    """List (name, value, meaning)."""
    return tag(
        "dl",
        [
            tag(
                "div",
                tag("dt", term),
                tag("dd", value),
                tag("dd", meaning, class_="meaning") if meaning else None,
            )
            for term, value, meaning in rows
        ],
        class_="facts",
    )


def notices(notes: Sequence[str]) -> Markup | None:
    """Say what is left out, and why."""
    if not notes:
        return None
    items = [tag("li", tag("bdi", note)) for note in notes]
    return tag("ul", items, class_="notes", aria_label="What is left out")


def _percent(place: int) -> str:
    return f"{100 * place / (COLUMNS - 1):.4g}%" if place else "0"
