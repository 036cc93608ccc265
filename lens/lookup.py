"""From a name to a site: friendly names first, then the module's own dotted paths."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from lens.errors import BadInput, UnknownSite, suggestion
from lens.families.attending import PARTS, Part
from lens.families.attention_names import attention_layers, with_attention
from lens.families.family import Place, Tower
from lens.families.trace import BATCH, Ran, layout_of, shapes, trace
from lens.site_table import SiteTable
from lens.sites import Layout, Site, TowerName

if TYPE_CHECKING:
    from lens.model import Model

__all__ = ["Lookup"]


class Lookup:
    """Finds the sites of one model; each tower is tried once, when one of its sites is asked for.

    Parameters
    ----------
    model : Model
        Whose sites to find.
    towers : sequence of Tower
        With their named places.
    """

    def __init__(self, model: Model, towers: Sequence[Tower]) -> None:
        self._model = model
        self._towers = list(towers)
        self._traces: dict[str, dict[str, Ran]] = {}
        self._places: dict[str, dict[str, Place]] = {}
        self._failed: dict[str, BadInput] = {}

    @cached_property
    def table(self) -> SiteTable:
        """Every named place."""
        found = [
            site
            for tower in self._towers
            if self._tried(tower)
            for place in self._named(tower).values()
            if (site := self._site(tower, place)) is not None
        ]
        return SiteTable(found, self.site, self.own_paths)

    def attention_layers(self, tower: TowerName) -> dict[str, str]:
        """Return the dotted paths of a tower's attention layers, by name."""
        for own in self._towers:
            if own.name == tower:
                return attention_layers(own, self._trace(own))
        return {}

    def site(self, name: str) -> Site:
        """Return the site of a name.

        Raises
        ------
        UnknownSite
            If there is none, with the nearest names.
        """
        site = self.find(name)
        if site is not None:
            return site
        model = self._model
        if name in dict(model.module.named_modules()):
            raise UnknownSite(
                f"{name!r} is a module of {model.name}, but it does not run by itself on whole "
                f"inputs, so there is nothing to look at."
            )
        friendly = [name for tower in self._towers for name in self._named(tower)]
        names = [*friendly, *self.own_paths()]
        raise UnknownSite(f"{model.name} has no site {name!r}.{suggestion(name, names)}")

    def find(self, name: str) -> Site | None:
        """Return the site of a name, or None."""
        for tower in self._towers:
            own = dict(tower.aliases).get(name, name)
            place = next((place for place in tower.places if place.name == own), None)
            if place is not None and (site := self._site(tower, place)) is not None:
                return site
        if name.rsplit(".", 1)[-1] in PARTS:
            for tower in self._towers:
                place = self._named(tower).get(name)
                if place is not None and (site := self._site(tower, place)) is not None:
                    return site
        for tower in self._towers:
            if name and name in self._tried(tower):
                return self._site(tower, Place(name, name, "module"))
        return None

    def own_paths(self, tower: TowerName | None = None) -> list[str]:
        """Return the dotted paths of the modules that run, in the order of the forward pass."""
        towers = [own for own in self._towers if tower in (None, own.name)]
        found = [path for own in towers for path in self._tried(own) if path]
        return list(dict.fromkeys(found))  # a cross tower runs the modules of the others, too

    def _named(self, tower: Tower) -> dict[str, Place]:
        """The places that have friendly names, those of attention among them."""
        if tower.name not in self._places:
            layers = attention_layers(tower, self._tried(tower))
            ordered = with_attention(tower.places, layers)
            self._places[tower.name] = {place.name: place for place in ordered}
        return self._places[tower.name]

    def _site(self, tower: Tower, place: Place) -> Site | None:
        ran = self._trace(tower).get(place.path)
        if ran is None:
            return None
        calls = ran.calls
        if place.at in PARTS:
            laid, calls = _attention_layout(place.at, ran), ran.attention_calls
        else:
            shape = ran.output if place.at == "output" else ran.input
            laid = layout_of(shape, self._model.image_size)
        if laid is None:
            return None
        layout, n_units, inner = laid
        return Site(
            self._model,
            place.name,
            place.path,
            place.at,
            tower.name,
            place.kind,
            layout,
            n_units,
            inner,
            calls,
            tower.in_picture,
        )

    def _tried(self, tower: Tower) -> dict[str, Ran]:
        """Its trace; none of a cross tower that does not run, since the others can be looked at."""
        try:
            return self._trace(tower)
        except BadInput:
            if tower.name != "cross" or len(self._towers) == 1:
                raise
            return {}

    def _trace(self, tower: Tower) -> dict[str, Ran]:
        if tower.name in self._failed:
            raise self._failed[tower.name]
        if tower.name not in self._traces:
            model = self._model
            example = model.placed(tower.example(BATCH))
            try:
                self._traces[tower.name] = trace(model.module, tower.run, example)
            except (RuntimeError, TypeError, ValueError, AssertionError, LookupError) as error:
                lines = str(error).strip().splitlines()
                self._failed[tower.name] = BadInput(
                    f"{model.name} does not run on a trial batch of shape {shapes(example)} "
                    f"({lines[0] if lines else type(error).__name__}); "
                    f"lens.wrap(..., example=batch) says what it takes."
                )
                raise self._failed[tower.name] from error
        return self._traces[tower.name]


def _attention_layout(part: Part, ran: Ran) -> tuple[Layout, int, tuple[int, ...]] | None:
    """Like `layout_of`, of a part of attention; None where windows or frames are attended to."""
    shape = ran.attention.get(part)
    if shape is None or shape[0] != BATCH:
        return None
    heads, _, width = shape[1:]
    return ("BNQK", heads, shape[1:]) if part == "pattern" else ("BNTD", heads * width, shape[1:])
