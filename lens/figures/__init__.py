"""Report figures: what the workbench found, as a page of an article shows it.

Each function returns a `Figure`: vector axes and text with their fonts inside, pictures as the
pixels that they are, one house style, and the same bytes every time.
"""

from __future__ import annotations

from lens.figures.conditional import conditional_plot, conditional_shares
from lens.figures.explanation import explanation
from lens.figures.facet_sheet import facet_sheet
from lens.figures.figure import Figure
from lens.figures.image_sheet import image_sheet
from lens.figures.response_table import cell_means, response_table
from lens.figures.unit_card import unit_card

__all__ = [
    "Figure",
    "cell_means",
    "conditional_plot",
    "conditional_shares",
    "explanation",
    "facet_sheet",
    "image_sheet",
    "response_table",
    "unit_card",
]
