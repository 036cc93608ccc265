"""The front end: one folder a view, its Python traits, its ES module and its CSS side by side.

``save`` writes several views into one page; ``export_notebook`` takes a whole notebook home.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lens.widgets.export import export_notebook
    from lens.widgets.layer_overview import layers
    from lens.widgets.live_images import live
    from lens.widgets.unit_table import units
    from lens.widgets.view import View, save

__all__ = ["View", "export_notebook", "layers", "live", "save", "units"]

_HOME = {
    "View": "view",
    "export_notebook": "export",
    "layers": "layer_overview",
    "live": "live_images",
    "save": "view",
    "units": "unit_table",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
