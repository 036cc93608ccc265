"""A visualization while it is made."""

from lens.widgets.live.view import Live, live

__all__ = ["Live", "live"]
