"""The overview of layers: a model's towers, stages and blocks, and what is known of their units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import traitlets

from lens.errors import BadInput, UnknownSite, suggestion
from lens.model import Model
from lens.neurons.overview import ACCEPTED, activity_of, multimodal_of, place, tables_of
from lens.sites import Site
from lens.widgets import host
from lens.widgets.esm import module
from lens.widgets.theme import styles
from lens.widgets.view import View

if TYPE_CHECKING:
    from lens.figures import Figure

HERE = Path(__file__).parent


class LayerOverview(View):
    """A model's named places, from its input up; made by `lens.widgets.layers`.

    Attributes
    ----------
    chosen
        The site that is looked at. Set it to look at another one.
    """

    _esm = module(HERE / "layers.js")
    _css = styles(HERE / "layers.css")

    about = traitlets.Dict().tag(sync=True)
    sites: traitlets.List[Any] = traitlets.List().tag(sync=True)
    chosen = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, model: Model, acts: Any = None, tables: Mapping[str, pd.DataFrame] | None = None
    ) -> None:
        """Lay a model out; see `layers`."""
        self._model, self._acts, self._tables = model, acts, tables
        tables = tables or {}
        activities = activity_of(model, acts)
        listed = [
            {
                **_site(site),
                "activity": activities.get(place(site)),
                "multimodal": multimodal_of(tables.get(place(site))),
            }
            for site in model.sites
        ]
        known = [site for site in listed if site["multimodal"] or site["activity"]]
        stages = [site for site in listed if site["kind"] in ("stage", "block")]
        parameters = sum(weight.numel() for weight in model.module.parameters())
        super().__init__(
            about={
                "model": model.name,
                "kind": type(model.module).__name__,
                "parameters": parameters,
                "towers": list(model.towers),
                "accepted": ACCEPTED,
            },
            sites=listed,
            chosen=(known or stages or listed)[-1]["name"] if listed else "",
        )

    @property
    def heading(self) -> str:
        """The model's name."""
        return f"Layers of {self.about['model']}"

    @traitlets.validate("chosen")
    def _known(self, proposal: Any) -> str:
        names = [site["name"] for site in self.sites]
        if proposal["value"] not in names:
            hint = suggestion(proposal["value"], names)
            raise UnknownSite(f"The overview has no site {proposal['value']!r}.{hint}")
        return str(proposal["value"])

    def figure(self, **settings: Any) -> Figure:
        """Draw stages and blocks; ``settings`` are those of `lens.figures.layer_overview`."""
        from lens.figures import layer_overview

        return layer_overview(self._model, self._acts, self._tables, **settings)

    def answers(self) -> host.Answers:
        """Nothing: a page holds the whole overview."""
        return {}

    def __repr__(self) -> str:
        return f"{self.heading}: {len(self.sites)} sites"


def layers(
    model: Model,
    acts: Any = None,
    tables: pd.DataFrame | Iterable[pd.DataFrame] | Mapping[str, pd.DataFrame] | None = None,
) -> LayerOverview:
    """Open the overview of a model: towers, stages and blocks with their shapes and units.

    Parameters
    ----------
    model
        From `lens.load` or `lens.wrap`.
    acts
        What `lens.capture` returned, of this model: each site's mean and largest activation over
        the inputs are shown.
    tables
        What `lens.multimodal` returned for one site or several; or the tables by site.

    Raises
    ------
    BadInput
        If `model` is none, or `acts` or `tables` are not what they should be.
    UnknownSite
        If a table is of a site that the model does not have.

    Examples
    --------
    >>> model = lens.load()
    >>> lens.widgets.layers(model, tables=lens.multimodal(model))  # doctest: +SKIP
    """
    if not isinstance(model, Model):
        raise BadInput(f"The overview shows a model of lens.load, not a {type(model).__name__}.")
    if acts is not None and not hasattr(acts, "values_of"):
        raise BadInput(f"Activations come from lens.capture; this is a {type(acts).__name__}.")
    return LayerOverview(model, acts, tables_of(model, tables))


def _site(site: Site) -> dict[str, Any]:
    return {
        "name": site.name,
        "place": place(site),
        "tower": site.tower,
        "kind": site.kind,
        "shape": list(site.shape),
        "layout": site.layout[1:],
        "units": site.n_units,
        "grid": list(site.grid) if site.grid else None,
    }
