"""The overview of layers."""

from lens.widgets.layer_overview.view import LayerOverview, layers

__all__ = ["LayerOverview", "layers"]
