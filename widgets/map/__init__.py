"""The embedding map."""

from lens.widgets.map.view import EmbeddingMap

__all__ = ["EmbeddingMap"]
