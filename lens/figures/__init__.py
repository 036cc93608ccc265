"""Report figures: what the workbench found, as a page of an article shows it.

Each function returns a `Figure`: vector axes and text with their fonts inside, pictures as the
pixels that they are, one house style, and the same bytes every time.
"""

from __future__ import annotations

from lens.figures.attention_sheet import attention_sheet
from lens.figures.conditional import conditional_plot, conditional_shares
from lens.figures.embedding_map import embedding_map
from lens.figures.explanation import explanation
from lens.figures.facet_sheet import facet_sheet
from lens.figures.figure import Figure
from lens.figures.image_sheet import image_sheet
from lens.figures.layer_overview import layer_overview
from lens.figures.response_table import cell_means, response_table
from lens.figures.unit_card import unit_card
from lens.figures.unit_table import unit_table

__all__ = [
    "Figure",
    "attention_sheet",
    "cell_means",
    "conditional_plot",
    "conditional_shares",
    "embedding_map",
    "explanation",
    "facet_sheet",
    "image_sheet",
    "layer_overview",
    "response_table",
    "unit_card",
    "unit_table",
]
