"""Feature visualization: images that units want to see.

``visualize`` makes them and ``rerun`` makes them again; ``objectives`` says what to climb,
``parameterization`` where images come from, ``transforms`` what they have to withstand. ``facets``
shows a unit as a picture, a drawing and a word; ``texts`` finds the words that excite it. ``guide``
drives a generator by a text and ``rank`` orders images by one; ``invert`` shows what a layer keeps
of an image, ``activation_atlas`` what it tells apart, ``interpolate`` the way between two units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lens.featurevis.atlas import activation_atlas
    from lens.featurevis.faceted.run import facets, facets_again
    from lens.featurevis.faceted.sheet import Facets
    from lens.featurevis.guided.guide import guide
    from lens.featurevis.guided.ranking import rank
    from lens.featurevis.interpolation import interpolate
    from lens.featurevis.inversion import invert
    from lens.featurevis.judged.quality import Quality
    from lens.featurevis.judged.second_opinion import Naming, naming
    from lens.featurevis.parameterization.stylegan import stylegan
    from lens.featurevis.render import rerun, visualize
    from lens.featurevis.visualization import Visualization, read_recipe
    from lens.featurevis.wording.result import TextsThatExcite
    from lens.featurevis.wording.search import texts

__all__ = [
    "Facets",
    "Naming",
    "Quality",
    "TextsThatExcite",
    "Visualization",
    "activation_atlas",
    "facets",
    "facets_again",
    "guide",
    "interpolate",
    "invert",
    "naming",
    "rank",
    "read_recipe",
    "rerun",
    "stylegan",
    "texts",
    "visualize",
]

_HOME = {
    "activation_atlas": "atlas",
    "guide": "guided.guide",
    "interpolate": "interpolation",
    "invert": "inversion",
    "rank": "guided.ranking",
    "stylegan": "parameterization.stylegan",
    "facets": "faceted.run",
    "facets_again": "faceted.run",
    "Facets": "faceted.sheet",
    "Naming": "judged.second_opinion",
    "naming": "judged.second_opinion",
    "Quality": "judged.quality",
    "texts": "wording.search",
    "TextsThatExcite": "wording.result",
    "rerun": "render",
    "visualize": "render",
    "Visualization": "visualization",
    "read_recipe": "visualization",
}


def __getattr__(name: str) -> Any:
    # torch loads when something is used, not when the room is looked into.
    from importlib import import_module

    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in ("objectives", "parameterization", "transforms"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
