"""Stimuli with ground truth: the embedded glyphs, and written words."""

from lens.data.glyphs import Glyphs, glyphs
from lens.data.row import row
from lens.data.stimuli import Stimuli

__all__ = ["Glyphs", "Stimuli", "glyphs", "row"]
