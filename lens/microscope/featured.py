"""The units that get more than one picture: those that are shown first, facet by facet.

A facet costs as much as a visualization. For the best multimodal units, what they want is drawn
once more from other noise, and by way of each facet that the stimuli have (as a picture, a drawing,
a written word; Goh et al. 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lens.errors import BadInput
from lens.featurevis import visualize
from lens.featurevis.faceted import probes as probing
from lens.featurevis.faceted.probes import Probe
from lens.featurevis.objectives.facets import facet
from lens.sites import Site, Unit
from lens.widgets.neuron.verdict import ACCEPTED

if TYPE_CHECKING:
    from lens.featurevis import Visualization
    from lens.microscope.findings import Facts
    from lens.microscope.folder import Folder

#: How many units of a site get facets, and how many of them may answer to the same concept.
FEATURED, ALIKE = 24, 2
#: How much a facet has to say; see `lens.featurevis.objectives.facets`.
STRENGTH = 1.0
#: What the second picture of a unit is called: the same objective, climbed from other noise.
AGAIN = "other noise"


@dataclass(frozen=True, eq=False)
class Guided:
    """Draws units by way of one facet.

    Attributes
    ----------
    facet
        Its name.
    probes
        What guides.
    settings
        For `lens.visualize`.
    """

    facet: str
    probes: tuple[Probe, ...]
    settings: Mapping[str, Any]

    def __call__(self, units: Sequence[Unit]) -> Visualization:
        """Make an image for each unit."""
        own = {key: value for key, value in self.settings.items() if key != "at"}
        place = self.settings["at"]
        aims = [facet(unit, self.probes, self.facet, STRENGTH, at=place) for unit in units]
        return visualize(aims, **own)


def featured(units: Sequence[Facts]) -> list[int]:
    """Choose the units that are shown first: those that passed the test, best first.

    Of the units of one concept, the best two; 24 in all.
    """
    passed = [(facts.statistics, facts.unit) for facts in units if facts.statistics is not None]
    ranked = sorted(
        ((known, unit) for known, unit in passed if known["q"] <= ACCEPTED),
        key=lambda found: (-found[0]["score"], found[0]["q"], found[1]),
    )
    seen: dict[str, int] = {}
    chosen = []
    for known, unit in ranked:
        seen[known["concept"]] = seen.get(known["concept"], 0) + 1
        if seen[known["concept"]] <= ALIKE:
            chosen.append(unit)
    return sorted(chosen[:FEATURED])


def probe_of(folder: Folder, number: int, site: Site, stimuli: Any) -> Probe:
    """Train what guides to the facets of the stimuli, or take what an earlier run trained.

    Raises
    ------
    BadInput
        Where stimuli or model have no facets: one rendering only, too few of one, no early site.
    """
    name = f"{number}-probe"
    kept = folder.kept(name)
    if kept is None:
        made = probing.train(probing.early_site(site.pre_activation), stimuli)
        kept = {
            "site": np.asarray(made.site.name),
            "facets": np.asarray(made.facets, dtype=str),
            "weights": made.weights,
            "accuracy": np.asarray(made.accuracy),
            "n": np.asarray(made.n),
        }
        folder.keep(name, **kept)
    return Probe(
        site.model.site(str(kept["site"])),
        tuple(kept["facets"].tolist()),
        kept["weights"],
        float(kept["accuracy"]),
        (int(kept["n"][0]), int(kept["n"][1])),
    )


def drawers(probe: Probe, plain: Mapping[str, Any], site: Site, batch_size: int) -> dict[str, Any]:
    """Give the drawers of the featured units by name, made as the plain visualizations are."""
    place = plain.get("at", "cls" if site.n_prefix else "mean")
    if place not in ("mean", "max", "cls"):
        raise BadInput(
            f"Facets are drawn for the mean or the largest of a unit's places or the class token, "
            f"and the visualizations are made for at={place!r}."
        )
    settings = {key: value for key, value in plain.items() if key not in ("copies", "snapshots")}
    settings |= {"at": place, "batch_size": batch_size, "progress": False}
    return {name: Guided(name, (probe,), settings) for name in probe.facets}
