"""Feature visualization: images that units want to see.

``visualize`` makes them and ``rerun`` makes them again; ``objectives`` says what to climb,
``parameterization`` where images come from, ``transforms`` what they have to withstand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lens.featurevis.quality import Quality
    from lens.featurevis.render import rerun, visualize
    from lens.featurevis.second_opinion import Naming, naming
    from lens.featurevis.visualization import Visualization, read_recipe

__all__ = ["Naming", "Quality", "Visualization", "naming", "read_recipe", "rerun", "visualize"]

_HOME = {
    "Naming": "second_opinion",
    "naming": "second_opinion",
    "Quality": "quality",
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
