"""The attention explorer."""

from lens.widgets.attention.explorer import AttentionExplorer, explore

__all__ = ["AttentionExplorer", "explore"]
