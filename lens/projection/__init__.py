"""Embedding projections: many vectors as one map, with how far the map can be trusted.

`lens.project` makes a `Projection`; the embedding map in ``lens.widgets`` shows it.

Examples
--------
>>> proj = lens.project(lens.data.glyphs().stimuli(per_cell=4), model=lens.load())
>>> proj.quality.trustworthiness
>>> proj.search("dog")
>>> proj.save("map.html")
"""

from __future__ import annotations

from lens.projection.labelling import Labels
from lens.projection.projecting import project
from lens.projection.projection import Projection
from lens.projection.quality import Quality

__all__ = ["Labels", "Projection", "Quality", "project"]
