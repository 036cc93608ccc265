"""The heat map of an attribution."""

from lens.widgets.heatmap.view import HeatMap, heatmap

__all__ = ["HeatMap", "heatmap"]
