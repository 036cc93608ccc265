"""The table of units: every unit of a site to sort, to filter and to choose from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import traitlets

from lens.errors import BadInput
from lens.sites import Site
from lens.widgets import host
from lens.widgets.esm import module
from lens.widgets.link import named_for, place
from lens.widgets.neuron.verdict import ACCEPTED
from lens.widgets.theme import styles
from lens.widgets.unit_table import traits
from lens.widgets.view import View

if TYPE_CHECKING:
    from lens.featurevis import Visualization
    from lens.figures import Figure

HERE = Path(__file__).parent


class UnitTable(View):
    """Units with what was found about them; made by `lens.widgets.units`.

    Attributes
    ----------
    chosen
        The number of the unit that is chosen; None for none. Set it to choose another one.
    order
        The column that rows are sorted by; with a hyphen before it, the largest first.
    search
        Only rows in which this text stands.
    sure
        Whether only units with q of at most 0.05 are listed.
    """

    _esm = module(HERE / "table.js")
    _css = styles(HERE / "table.css")

    about = traitlets.Dict().tag(sync=True)
    texts = traitlets.Dict().tag(sync=True)
    numbers = traitlets.Dict().tag(sync=True)
    thumbs = traitlets.Dict().tag(sync=True)
    chosen = traitlets.Int(None, allow_none=True).tag(sync=True)
    order = traitlets.Unicode().tag(sync=True)
    search = traitlets.Unicode().tag(sync=True)
    sure = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        table: pd.DataFrame,
        site: str,
        place: str,
        model: str,
        thumbs: Mapping[str, Any],
        pictured: Callable[[list[int]], Mapping[str, Any]] | None = None,
    ) -> None:
        """Lay a table out; see `units`. `pictured` gives a figure the pictures of some units."""
        self.table = table
        self._pictured = pictured or (lambda indices: {})
        columns = traits.columns(table)
        super().__init__(
            about={
                "model": model,
                "site": site,
                "place": place,
                "n": len(table),
                "columns": columns,
                "accepted": ACCEPTED,
                "tests": int(table.attrs.get("tests", 0)),
            },
            texts=traits.texts(table, columns),
            numbers=traits.numbers(table, columns),
            thumbs=dict(thumbs),
            order="-score" if "score" in table else "unit",
        )

    @property
    def heading(self) -> str:
        """The site's name."""
        return f"Units of {self.about['site'] or 'a table'}"

    @traitlets.validate("order")
    def _known(self, proposal: Any) -> str:
        order = str(proposal["value"])
        names = [column["name"] for column in self.about["columns"]]
        if order.removeprefix("-") not in names:
            raise BadInput(f"There is no column {order!r} to sort by; there are: {names}.")
        return order

    @property
    def listed(self) -> pd.DataFrame:
        """The rows that are listed, in their order, as `order`, `search` and `sure` have them."""
        return traits.listed(self.table, self.order, self.search, self.sure)

    def figure(self, *, rows: int = 20, **settings: Any) -> Figure:
        """Draw the first of the rows that are listed.

        ``settings`` are those of `lens.figures.unit_table`.

        Raises
        ------
        BadInput
            Where no row is listed.
        """
        from lens.figures import unit_table

        found = self.listed
        if not len(found):
            raise BadInput("No unit is listed: change search and sure.")
        shown = self._pictured([int(unit) for unit in found["unit"].head(rows)])
        name = self.about["site"]
        parts = (f"Units of {name}" if name else "Units", self.about["model"])
        said = ", ".join(part for part in parts if part)
        return unit_table(found, rows=rows, **{"title": said, **shown, **settings})

    def answers(self) -> host.Answers:
        """Nothing: a page holds the whole table."""
        return {}

    def __repr__(self) -> str:
        return f"{self.heading}: {len(self.table):,} rows"


def units(
    table: pd.DataFrame,
    site: Site | str | None = None,
    *,
    visualization: Visualization | Mapping[int, Any] | None = None,
    examples: int = 3,
    stimuli: Any = None,
    activations: Any = None,
) -> UnitTable:
    """Open a table of units: sorted, filtered by text and by q, with a picture of each.

    Choosing a row shows that unit in every other view of the same page or notebook that has it, the
    neuron page for one; what is chosen there is chosen here.

    Parameters
    ----------
    table
        What `lens.multimodal` returns, or any table with a column ``unit``; its columns of numbers
        and texts are shown.
    site
        Where the units are; what the table says if not given. A `Site`, as the one of a model,
        also gives the stimuli that excite each unit most.
    visualization
        What `lens.visualize` made of some of the units, or a picture for a unit's number.
    examples
        How many of the strongest stimuli stand in a row, of different concepts or renderings;
        they need a `Site`. 0 for none.
    stimuli, activations
        What the examples are chosen from, as in `lens.neuron`.

    Raises
    ------
    BadInput
        If `table` is none of units, or is of another site.
    UnitOutOfRange
        If one of them does not exist.

    Examples
    --------
    >>> model = lens.load()
    >>> table = lens.multimodal(model)
    >>> lens.widgets.units(table, model.site("image.layer4"))  # doctest: +SKIP
    """
    if not isinstance(table, pd.DataFrame) or "unit" not in table:
        has = f"it has {list(table)}" if isinstance(table, pd.DataFrame) else type(table).__name__
        raise BadInput(f"A table of units is a DataFrame with a column 'unit', not this: {has}.")
    if not len(table):
        raise BadInput("There are no units in this table.")
    said = str(table.attrs.get("site", ""))
    given = site or said
    if said and place(given) != place(said):
        name = getattr(given, "name", given)
        raise BadInput(f"The table is of the units of {place(said)}, not of {name}.")
    indices = [int(index) for index in table["unit"]]
    if isinstance(site, Site):
        site.units(indices)  # says which one it does not have
    drawn = traits.drawn(visualization)
    thumbs = traits.thumbnails(
        indices,
        drawn,
        traits.excited(site, indices, examples, stimuli, activations)
        if isinstance(site, Site) and examples
        else None,
        partial(named_for, site.model) if isinstance(site, Site) else None,
    )

    def pictured(some: list[int]) -> dict[str, Any]:
        made = {unit: drawn[unit] for unit in some if unit in drawn}
        if not isinstance(site, Site) or not examples:
            return {"visualization": made}
        which, shown = traits.excited(site, some, examples, stimuli, activations)
        real = {
            unit: [shown[one] for one in row if one >= 0]
            for unit, row in zip(some, which, strict=True)
        }
        return {"visualization": made, "examples": real}

    model = site.model.name if isinstance(site, Site) else str(table.attrs.get("model", ""))
    name = site.name if isinstance(site, Site) else site or place(said)
    return UnitTable(table, name, place(given), model, thumbs, pictured)
