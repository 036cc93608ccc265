"""Stimuli with ground truth: the embedded glyphs, and written words."""

from lens.data.glyphs import Glyphs, glyphs

__all__ = ["Glyphs", "glyphs"]
