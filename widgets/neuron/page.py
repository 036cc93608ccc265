"""The neuron page: one unit of a model on one screen, live in a notebook or saved as HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets
from PIL import Image

from lens.errors import BadInput, UnitOutOfRange
from lens.sites import Site, Unit
from lens.widgets import host
from lens.widgets.esm import module
from lens.widgets.link import named_for, place
from lens.widgets.neuron.judgement import judging
from lens.widgets.neuron.pictures import Draw, Pictures, drawing
from lens.widgets.neuron.traits import card_traits
from lens.widgets.neuron.verdict import ACCEPTED
from lens.widgets.theme import styles
from lens.widgets.view import View

if TYPE_CHECKING:
    import pandas as pd

    from lens.figures import Figure
    from lens.neurons.card import NeuronCard
    from lens.neurons.responses import Responses

HERE = Path(__file__).parent


class NeuronPage(View):
    """What one unit wants, what excites it, and how sure we are; made by `lens.neuron`.

    Attributes
    ----------
    index
        The unit shown. Set it to show another one.
    listed
        The units that previous and next walk through: ``{"index", "label"}`` each.
    """

    _esm = module(HERE / "neuron.js")
    _css = styles(HERE / "neuron.css")

    index = traitlets.Int().tag(sync=True)
    listed = traitlets.List(traitlets.Dict()).tag(sync=True)
    card = traitlets.Dict().tag(sync=True)
    picture = traitlets.Dict().tag(sync=True)
    place = traitlets.Unicode().tag(sync=True)
    notice = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        index: int,
        make_card: Callable[[int], NeuronCard],
        draw: Draw | None = None,
        labels: Mapping[int, str] | None = None,
        place: str = "",
        called: Callable[[int], str] | None = None,
    ) -> None:
        """Build the page of one unit; `lens.neuron` knows where the data comes from.

        Parameters
        ----------
        index
            The unit shown first.
        make_card
            Gives the card of any unit of the site.
        draw
            Gives the pictures of units; None for a page without pictures.
        labels
            The listed units, in order, with a word for each.
        place
            What its site is called where views tell each other of a choice.
        called
            Gives what a stimulus is called there, by its row.
        """
        self._make_card, self._called = make_card, called
        self._cards: dict[int, dict[str, Any]] = {}
        self._pictures = Pictures(draw, self._deliver)
        first = self._card(index)
        super().__init__(
            index=index,
            card=first,
            picture=self._pictures.now(index),
            listed=[{"index": i, "label": label} for i, label in (labels or {}).items()],
            place=place,
        )
        self.on_msg(self._opened)

    @property
    def heading(self) -> str:
        """The unit's name."""
        return str(self._card(self.index)["name"])

    def figure(self, **settings: Any) -> Figure:
        """Draw the card of the unit shown, with its picture where the page has pictures.

        A picture that is not there yet is computed. ``settings`` are `lens.figures.unit_card`'s.
        """
        from lens.figures import unit_card

        (made,) = self._pictures.all([self.index])
        found = self._make_card(self.index)
        if made["state"] == "ready":
            with Image.open(BytesIO(made["image"])) as image:
                pixels = np.asarray(image.convert("RGB"))
            value = float("nan") if made["value"] is None else made["value"]
            found = replace(found, visualization=pixels, visualization_value=value)
        return unit_card(found, **settings)

    def answers(self) -> host.Answers:
        """The unit shown and the listed ones; pictures that are not there yet are computed."""
        indices = list(self._labels)
        pictures = self._pictures.all(indices)
        self._deliver(pictures[indices.index(self.index)])
        cards = [self._card(index) for index in indices]
        told = zip(indices, cards, pictures, strict=True)
        return {"index": {i: {"card": card, "picture": picture} for i, card, picture in told}}

    def state(self) -> dict[str, Any]:
        """Give the traits of a page of the unit shown and the listed ones."""
        listed = [{"index": i, "label": label} for i, label in self._labels.items()]
        return {**super().state(), "listed": listed, "notice": ""}

    @property
    def _labels(self) -> dict[int, str]:
        labels = {unit["index"]: unit["label"] for unit in self.listed}
        return labels if self.index in labels else {self.index: "", **labels}

    def __repr__(self) -> str:
        return f"{self.card['name']}: {self.card['verdict']['headline']}"

    def _card(self, index: int) -> dict[str, Any]:
        if index not in self._cards:
            self._cards[index] = card_traits(self._make_card(index), self._called)
        return self._cards[index]

    @traitlets.validate("index")
    def _in_range(self, proposal: Any) -> int:
        index, n_units = proposal["value"], next(iter(self._cards.values()))["n_units"]
        if not 0 <= index < n_units:
            raise UnitOutOfRange(f"This page has the units 0 to {n_units - 1}, not {index}.")
        return index

    @traitlets.observe("index")
    def _answer(self, change: Any) -> None:
        """Send the card at once; the picture follows from its thread when it is done."""
        index = change["new"]
        if self.card["index"] == index and not self.notice:
            return
        try:
            card = self._card(index)
        except Exception as problem:  # the page says it; the notebook goes on
            self.notice = f"Unit {index} could not be shown: {problem}"
            return
        with self.hold_sync():  # one message, so that the page never shows two units at once
            self.notice = ""
            self.picture = self._pictures.now(index)
            self.card = card
        self._pictures.want(index)

    def _opened(self, _widget: Any, message: Any, _buffers: Any) -> None:
        """Begin with the first picture once somebody looks; a page that is only saved waits."""
        if message == {"kind": "open"}:
            self._pictures.want(self.index)

    def _deliver(self, picture: dict[str, Any]) -> None:
        if picture["index"] == self.index:
            self.picture = picture
        if self.picture["index"] != self.index:  # somebody walked on just now
            self.picture = self._pictures.now(self.index)


def neuron(
    unit: Unit,
    *,
    units: Iterable[Unit | int] | pd.DataFrame | None = None,
    stimuli: Any = None,
    activations: Any = None,
    visualize: bool | Mapping[str, Any] = True,
) -> NeuronPage:
    """Open the page of one unit: what it wants, what excites it, and how sure we are.

    Live in JupyterLab, every unit of the site can be walked to; ``page.save("unit.html")`` writes
    the same page as one file for which neither a kernel nor a network is needed.

    Parameters
    ----------
    unit
        The unit shown first, such as ``model.site("image.layer4").unit(17)``.
    units
        Units of the same site that previous and next walk through and that `save` exports: units,
        their numbers, or rows of the table that `lens.multimodal` returns. All units of the site
        are walked through where it is None, and `save` exports the one that is shown.
    stimuli
        What the unit is looked at with; the embedded glyphs if not given.
    activations
        What `lens.capture` made of these stimuli, in memory or a store: no pass over them is made
        then, and only the examples that are shown go through the model.
    visualize
        False leaves the feature visualization out; a mapping holds settings for `lens.visualize`,
        such as ``{"steps": 128}``.

    Raises
    ------
    BadInput
        If `unit` is not a unit, or `units` are not of its site.
    UnitOutOfRange
        If one of `units` does not exist.

    Examples
    --------
    >>> model = lens.load()
    >>> table = lens.multimodal(model)
    >>> site = model.site("image.layer4")
    >>> lens.neuron(site.unit(table.unit[0]), units=table.head(20))  # doctest: +SKIP
    """
    from lens.neurons.card import card
    from lens.neurons.responses import pictures, responses

    if not isinstance(unit, Unit):
        hint = "; ask it for one, as in site.unit(0)" if isinstance(unit, Site) else ""
        raise BadInput(f"lens.neuron takes a unit of a site, not a {type(unit).__name__}{hint}.")
    site = unit.site
    listed = _listed(unit, units)
    measured = responses(site, stimuli, activations=activations)
    settings = visualize if isinstance(visualize, Mapping) else {}
    draw = drawing(site, settings, judging(measured)) if visualize else None
    return NeuronPage(
        unit.index,
        lambda index: card(site.unit(index), measured),
        draw,
        _labelled(measured, listed),
        place(site),
        lambda row: named_for(site.model, pictures(measured.stimuli, [row])[0]),
    )


def _listed(unit: Unit, units: Iterable[Unit | int] | pd.DataFrame | None) -> list[int]:
    """Give the numbers of the listed units in order, with `unit` among them."""
    if units is None:
        return []
    site = unit.site
    table: Any = units if hasattr(units, "columns") else None
    if table is not None:
        if "unit" not in table:
            raise BadInput(f"A table of units needs a column 'unit'; it has {list(table)}.")
        if table.attrs.get("site", site.name) not in (site.name, site.pre_activation.name):
            raise BadInput(
                f"A page shows one site's units: the table is of {table.attrs['site']}, "
                f"the unit of {site.name}."
            )
    members: Any = units if table is None else table["unit"]
    listed = []
    for one in members:
        if isinstance(one, Unit) and one.site != site:
            raise BadInput(f"A page shows one site's units: {one!r} is not of {site.name}.")
        listed.append(site.unit(one.index if isinstance(one, Unit) else one).index)
    return list(dict.fromkeys(listed if unit.index in listed else [unit.index, *listed]))


def _labelled(measured: Responses, indices: Sequence[int]) -> dict[int, str]:
    """Give units the concept that was found for them; no word where none was."""
    from lens.neurons.multimodal import table_of

    if not indices:
        return {}
    try:
        table = table_of(measured)
    except BadInput:  # stimuli that allow for no test
        return dict.fromkeys(indices, "")
    found = table[table["q"] <= ACCEPTED].set_index("unit")["concept"]
    return {index: str(found.get(index, "")) for index in indices}
