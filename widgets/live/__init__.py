"""Feature visualization, live."""

from lens.widgets.live.view import LiveImages, live

__all__ = ["LiveImages", "live"]
