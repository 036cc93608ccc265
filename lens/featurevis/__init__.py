"""Feature visualization: images that units want to see.

``visualize`` makes them and ``rerun`` makes them again; ``objectives`` says what to climb,
``parameterization`` where images come from, ``transforms`` what they have to withstand. ``guide``
drives a generator by a text and ``rank`` orders images by one; ``invert`` shows what a layer keeps
of an image, ``activation_atlas`` what it tells apart, ``interpolate`` the way between two units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lens.featurevis.atlas import activation_atlas
    from lens.featurevis.guidance import guide
    from lens.featurevis.interpolation import interpolate
    from lens.featurevis.inversion import invert
    from lens.featurevis.latent import stylegan
    from lens.featurevis.ranking import rank
    from lens.featurevis.render import rerun, visualize
    from lens.featurevis.visualization import Visualization, read_recipe

__all__ = [
    "Visualization",
    "activation_atlas",
    "guide",
    "interpolate",
    "invert",
    "rank",
    "read_recipe",
    "rerun",
    "stylegan",
    "visualize",
]

_HOME = {
    "activation_atlas": "atlas",
    "guide": "guidance",
    "interpolate": "interpolation",
    "invert": "inversion",
    "rank": "ranking",
    "stylegan": "latent",
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
